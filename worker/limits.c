/* SPDX-License-Identifier: MIT */
/* Counting is apart from the table because those who meet a bound (parsers, transfers) know of no slot and should not: the
 * worker moves the counts over with each heartbeat. */
#include "worker/limits.h"

#include <assert.h>

enum { KIB = 1024 };

void limits_set(struct limits *limits, const struct config *config)
{
    limits->header = (size_t)config->max_header * KIB;
    limits->body = (size_t)config->max_body * KIB;
    limits->event = (size_t)config->max_event * KIB;
    limits->line = (size_t)config->max_line * KIB;
    limits->list_size = (size_t)config->max_list_size * KIB;
    limits->json = (struct limits_json){.depth = (unsigned)config->max_depth,
                                        .values = (unsigned)config->max_values,
                                        .batch = (unsigned)config->max_batch};
    limits->list_pages = (unsigned)config->max_list_pages;
    limits->list_items = (unsigned)config->max_list_items;
    limits->requests = (unsigned)config->max_requests;
    limits->notifications = (unsigned)config->max_notifications;
    limits->list_ms = config->list_timeout;
    limits->farewell_ms = config->farewell_timeout;
    limits->farewells = config->max_connecting;
    limits->farewells_waiting = config->max_connections;
}

void limits_hit(struct limits *limits, enum counter counter)
{
    unsigned at = (unsigned)counter - LIMITS_FIRST;
    assert(at < LIMITS_COUNT);
    limits->hits[at]++;
}

void limits_tell(struct limits *limits, struct table *table, int slot)
{
    for (unsigned i = 0; i < LIMITS_COUNT; i++) {
        if (limits->hits[i] > 0)
            table_count(table, slot, (enum counter)(LIMITS_FIRST + i), limits->hits[i]);
        limits->hits[i] = 0;
    }
}
