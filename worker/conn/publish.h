/* SPDX-License-Identifier: MIT */
/* Ringing the bell: rows that changed in one turn of the loop are told to the hub in one message (common/bell.h). What
 * there is to tell stands in the table already, so nothing is lost with a bell. */
#ifndef WORKER_PUBLISH_H
#define WORKER_PUBLISH_H

#include "common/compiler.h"
#include "common/table.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct publish;

/* Opens the way to the hub, which need not be there yet; `queue` messages are kept on it. `table` lives longer. 0 or a
 * negative errno. */
MUST_CHECK int publish_open(const char *run_dir, int queue, struct table *table, int slot, uint64_t start_count,
                            struct publish **out);

/* Notes a change of the row: `type` is an enum kind or EVENT_STATUS; `diff` (referenced) may be NULL. */
void publish_note(struct publish *publish, uint32_t row, uint32_t incarnation, unsigned type, json_t *diff);

/* Sends what was noted since the last time, and gives how many changes that were; before the loop goes to sleep. */
size_t publish_flush(struct publish *publish);

/* What was not flushed is not sent. NULL does nothing. */
void publish_close(struct publish *publish);

#endif
