/* SPDX-License-Identifier: MIT */
/* What the hub writes into rows that no worker has. Every function here is for rows without an owner. */
#ifndef HUB_ROWS_H
#define HUB_ROWS_H

#include "broker/hub/history.h"
#include "common/compiler.h"
#include "common/server_def.h"
#include "common/table.h"

#include <stdint.h>

/* Begins the row for a server that was not in the table: a new incarnation, with what is known of its lists. 0 or a negative errno (-ENOSPC: no memory for the row), which has been logged. */
MUST_CHECK int rows_begin(struct table *table, const struct history *history, uint32_t row,
                          const struct server_def *def);

/* Writes a row that keeps its history, but that no worker has for now: `queued`, or `disabled`, and the definition's
 * names. */
void rows_rest(struct table *table, uint32_t row, const struct server_def *def);

/* Rows that were emptied, all between the lowest and the highest; all zero is none. */
struct rows_freed {
    struct rows_span {
        uint32_t first, end;
    } lately, before;
};

/* Empties a row whose server is gone; its generations are not used again. */
void rows_clear(struct table *table, struct history *history, uint32_t row, struct rows_freed *freed);

/* To be called each second: gives back the memory of rows that were emptied in the second before the last one, which nobody
 * reads any more. Returns where they are. */
struct rows_span rows_give_back(struct table *table, struct rows_freed *freed);

#endif
