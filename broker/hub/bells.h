/* SPDX-License-Identifier: MIT */
/* Hears the workers' bells on bells.sock, and finds out when one was lost: by a gap in a slot's sequence, or because the
 * slot's word in the table is ahead of what was heard. Handlers run from the loop. */
#ifndef HUB_BELLS_H
#define HUB_BELLS_H

#include "common/bell.h"
#include "common/compiler.h"
#include "common/table.h"

#include <uv.h>

struct bells_handlers {
    /* Something changed in a row. The incarnation is the row's. */
    void (*on_item)(void *user, const struct bell_item *item);
    /* A bell was lost: only the dirty bits know of what. */
    void (*on_gap)(void *user);
    /* A slot has another process: the one before may have died between a change and its dirty bit. */
    void (*on_successor)(void *user);
};

struct bells;

/* `queue`: bells that are kept while the loop is busy. 0 or a negative errno, which has been logged. */
MUST_CHECK int bells_open(uv_loop_t *loop, const char *run_dir, size_t queue, struct table *table,
                          const struct bells_handlers *handlers, void *user, struct bells **out);

/* To be called once a second: notices bells lost at the tail, with none after them, and successors. */
void bells_check_tails(struct bells *bells);

/* NULL does nothing. */
void bells_close(struct bells *bells);

#endif
