/* SPDX-License-Identifier: MIT */
/* What a server may cost, in one place: the settings that bound it, and how often each bound was met. One of these a worker;
 * whoever enforces a bound reads it here at the moment of need, so that a reload changes it for all connections. */
#ifndef WORKER_LIMITS_H
#define WORKER_LIMITS_H

#include "common/config.h"
#include "common/table.h"

#include <stddef.h>
#include <stdint.h>

enum { LIMITS_FIRST = COUNTER_LIMIT_HEADER, LIMITS_COUNT = COUNTER_LIMIT_FAREWELL_TIME - LIMITS_FIRST + 1 };

/* Of one JSON document. A copy goes along with one that is parsed beside the loop. */
struct limits_json {
    unsigned depth, values, batch;
};

struct limits {
    size_t header, body, event, line, list_size; /* bytes */
    struct limits_json json;
    unsigned list_pages, list_items;
    unsigned requests, notifications; /* of one server, a minute */
    uint64_t list_ms, farewell_ms;
    uint64_t farewells, farewells_waiting; /* sessions being ended at once, and those to be ended after them */
    uint64_t hits[LIMITS_COUNT];           /* not yet in the table */
};

/* Takes the bounds over from the settings; what was counted stays. */
void limits_set(struct limits *limits, const struct config *config);

/* Counts a bound that was met: one of COUNTER_LIMIT_HEADER ... COUNTER_LIMIT_FAREWELL_TIME that is a worker's. */
void limits_hit(struct limits *limits, enum counter counter);

/* Moves what was counted into the table. */
void limits_tell(struct limits *limits, struct table *table, int slot);

#endif
