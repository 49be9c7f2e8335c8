/* SPDX-License-Identifier: MIT */
/* What is measured, in Prometheus' text format (0.0.4): from the table's slots and counters, from one pass over the rows,
 * and from what the hub knows beside. Writes text, does no I/O. */
#ifndef HUB_METRICS_H
#define HUB_METRICS_H

#include "broker/hub/roster.h"
#include "common/buf.h"
#include "common/compiler.h"
#include "common/names.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

enum { METRICS_WORKERS = 256, METRICS_AGE_BOUNDS = 7, METRICS_BYTES_MAX = 4 * 1024 * 1024 };

/* What the rows come to. Large: keep it on the heap. */
struct metrics_rows {
    uint32_t servers;
    uint32_t states[STATE_COUNT];
    uint32_t connections[METRICS_WORKERS + 1][ERA_COUNT][STATE_COUNT]; /* by worker; the last: of no worker */
    uint64_t unpublished;
    uint64_t ages[METRICS_AGE_BOUNDS + 1]; /* listening servers by time since they were verified; the last: longer */
    uint64_t ages_sum_ms;
};

/* What stands in no table. Texts are borrowed. */
struct metrics_facts {
    uint64_t started_ms;
    uint64_t workers_configured;
    const char *redis_state; /* "off", "up", "connecting", "down" */
    bool has_file;           /* there is a servers file; then: */
    bool file_good;
    uint64_t file_read_ms; /* 0: never */
};

/* One pass over the rows of all servers in the roster. */
void metrics_count_rows(const struct table *table, const struct roster *roster, uint64_t now_ms,
                        struct metrics_rows *out);

/* Counts an event that everybody was told of, `latency_ms` after its change was noticed. `reason` may come from a row that
 * was scribbled on. */
void metrics_count_published(struct table *table, unsigned reason, uint64_t latency_ms);

/* Worker processes that are there and whose loop turns. */
unsigned metrics_workers_running(const struct table *table, uint64_t now_ms);

/* Appends all metrics: 0 or an enum buf_outcome. */
MUST_CHECK int metrics_write(struct buf *out, const struct table *table, const struct metrics_rows *rows,
                             const struct metrics_facts *facts, uint64_t now_ms);

#endif
