/* SPDX-License-Identifier: MIT */
/* The bell: what a worker sends to the hub over nng pub/sub when rows of its shard have changed. All changes of one
 * turn of the loop go in one message. A bell says only where to look; what there is to tell stands in the table, so
 * that one that is lost (nng drops when a queue is full) costs a sweep and no event.
 *
 *   msgpack: [version, slot, start count, sequence, wall clock in us, [[row, incarnation, type, diff or nil], …]]
 *
 * `sequence` counts the slot's bells without gaps over all its starts; the row `heartbeat` of the slot carries the last
 * one, too. Pure. */
#ifndef COMMON_BELL_H
#define COMMON_BELL_H

#include "common/buf.h"
#include "common/compiler.h"

#include <jansson.h>
#include <stdint.h>

enum { BELL_VERSION = 1, BELL_ITEMS_MAX = 4096, BELL_BYTES_MAX = 4 * 1024 * 1024 };

struct bell {
    int slot;
    uint64_t start_count;
    uint64_t sequence;
    uint64_t rung_us;
};

struct bell_item {
    uint32_t row;
    uint32_t incarnation;
    unsigned type;      /* enum kind or EVENT_STATUS */
    const json_t *diff; /* as in struct event; borrowed; or NULL */
};

MUST_CHECK int bell_write(struct buf *out, const struct bell *bell, const struct bell_item *items, size_t count);

/* Reads a message; `on_item` is called for each item, the diff being borrowed for the call. Nothing is called unless
 * the whole message is well-formed. 0, or 1 when it is no bell. */
MUST_CHECK int bell_read(const void *bytes, size_t size, struct bell *bell,
                         void (*on_item)(void *user, const struct bell *bell, const struct bell_item *item),
                         void *user);

#endif
