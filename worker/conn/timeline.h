/* SPDX-License-Identifier: MIT */
/* What is due when: one ordered structure for the timers of all connections, driven by one timer of the loop. A node is
 * embedded in what it belongs to and costs 8 bytes there and 16 here. Times are milliseconds of any one clock, no further from
 * now than a moment may be (moment.h). Pure. */
#ifndef WORKER_TIMELINE_H
#define WORKER_TIMELINE_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

#define TIMELINE_NEVER UINT64_MAX

struct timeline_node {
    uint32_t due;   /* a moment */
    uint32_t place; /* in the heap, from 1; 0: not set */
};

/* Embedded; all zero is empty. Read only from outside. */
struct timeline {
    struct timeline_place *heap;
    size_t count, capacity;
    uint64_t now_ms; /* as told last */
};

/* Makes room for `count` nodes in all, so that setting one never fails. 0 or -ENOMEM. */
MUST_CHECK int timeline_reserve(struct timeline *timeline, size_t count);

/* There will be `count` nodes from now on: gives back much room that this leaves unused. */
void timeline_release(struct timeline *timeline, size_t count);
void timeline_fini(struct timeline *timeline);

/* Sets or moves it; TIMELINE_NEVER clears it. */
void timeline_set(struct timeline *timeline, struct timeline_node *node, uint64_t now_ms, uint64_t due_ms);
void timeline_clear(struct timeline *timeline, struct timeline_node *node);

/* The earliest time that is set, or TIMELINE_NEVER. */
uint64_t timeline_next(const struct timeline *timeline);

/* Takes one whose time is `now_ms` or earlier, the earliest first; NULL when there is none. */
struct timeline_node *timeline_take_due(struct timeline *timeline, uint64_t now_ms);

#endif
