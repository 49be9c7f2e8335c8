/* SPDX-License-Identifier: MIT */
/* What a server may cost, in one place: the settings that bound it, and how often each bound was met. One of these a worker;
 * whoever enforces a bound reads it here at the moment of need, so that a reload changes it for all connections. */
#ifndef WORKER_LIMITS_H
#define WORKER_LIMITS_H

#include "common/config.h"
#include "common/table.h"

#include <stddef.h>
#include <stdint.h>

enum { LIMITS_FIRST = COUNTER_LIMIT_HEADER, LIMITS_COUNT = COUNTER_LIMIT_ASIDE - LIMITS_FIRST + 1 };

struct limits {
    size_t header, body, event, line, list_size; /* bytes */
    unsigned depth, list_pages, list_items;
    unsigned requests, notifications; /* of one server, a minute */
    uint64_t list_ms;
    uint64_t hits[LIMITS_COUNT]; /* not yet in the table */
};

/* Takes the bounds over from the settings; what was counted stays. */
void limits_set(struct limits *limits, const struct config *config);

/* Counts a bound that was met: one of COUNTER_LIMIT_HEADER ... COUNTER_LIMIT_ASIDE. */
void limits_hit(struct limits *limits, enum counter counter);

/* Moves what was counted into the table. */
void limits_tell(struct limits *limits, struct table *table, int slot);

#endif
