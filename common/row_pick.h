/* SPDX-License-Identifier: MIT */
/* The rows that somebody wants to see: those that a filter lets through, the first of them in some order. The looking is
 * done in steps, so that who has other things to do need not look at 100,000 rows in one go. Pure. */
#ifndef COMMON_ROW_PICK_H
#define COMMON_ROW_PICK_H

#include "common/compiler.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

/* X(symbol, "name"): what comes first is what an operator looks for, the most, or what is so for the longest time.
 * A server of which it is not known comes last, and the id decides between equals. */
#define ROW_ORDERS(X)                                                                                                  \
    X(ID, "id")                                                                                                        \
    X(STATE, "state") /* the most in trouble; then those whose lists changed most often */                             \
    X(WORKER, "worker")                                                                                                \
    X(WORKSPACE, "workspace")                                                                                          \
    X(TOOLS, "tools")                                                                                                  \
    X(CHANGES, "changes")                                                                                              \
    X(ATTEMPTS, "attempts")                                                                                            \
    X(CONNECTED, "connected")                                                                                          \
    X(HEARD, "heard")                                                                                                  \
    X(NEXT, "next")

enum row_order {
    ROW_ORDER_TABLE, /* as the table has them; its name is "" */
#define X(symbol, name) ROW_ORDER_##symbol,
    ROW_ORDERS(X)
#undef X
        ROW_ORDER_COUNT
};
const char *row_order_name(unsigned order);
bool row_order_from_name(const char *name, enum row_order *order);

/* NULL or -1 each: any. */
struct row_filter {
    const char *workspace_id;
    const char *text; /* in the id, the name or the workspace, whatever the case of its letters */
    int worker;
    int state;
};
bool row_filter_matches(const struct row_filter *filter, const struct row *row, int owner);

/* Where a row stands in an order, and which it is. */
struct row_rank {
    uint64_t first, second;
    char workspace_id[ROW_SCOPE_SIZE]; /* "" in all orders but its own */
    char server_id[ROW_ID_SIZE];
    uint32_t row;
};

struct row_pick_options {
    struct row_filter filter; /* its texts live as long as the pick */
    enum row_order order;
    uint32_t limit; /* at least 1 */
    uint32_t begin; /* the first row to look at */
};
struct row_pick;

/* 0 or -ENOMEM. */
MUST_CHECK int row_pick_begin(const struct row_pick_options *options, struct row_pick **out);

/* Looks at `count` more rows. 1: there are more to be looked at; 0: done; or -ENOMEM. */
MUST_CHECK int row_pick_step(struct row_pick *pick, const struct table *table, uint32_t count);

/* What was picked, in order. Borrowed until the next step. */
const struct row_rank *row_pick_rows(struct row_pick *pick, uint32_t *count);

/* Rows that the filter let through, of those looked at; and rows that could not be read, because somebody writes them, or
 * died doing it. */
uint32_t row_pick_matching(const struct row_pick *pick);
uint32_t row_pick_busy(const struct row_pick *pick);

/* NULL does nothing. */
void row_pick_end(struct row_pick *pick);

#endif
