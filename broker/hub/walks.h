/* SPDX-License-Identifier: MIT */
/* Questions about many servers: each is answered after a walk over the table, of which every turn of the loop does a part.
 * Runs on the loop. */
#ifndef HUB_WALKS_H
#define HUB_WALKS_H

#include "common/bus.h"
#include "common/compiler.h"
#include "common/row_pick.h"
#include "common/table.h"

#include <jansson.h>
#include <uv.h>

enum { WALKS_MAX = 16 };

struct walks;

/* `on_end` gets each question back, once, from the loop, with what was picked; NULL: there was no memory for it. 0 or
 * -ENOMEM. */
MUST_CHECK int walks_open(uv_loop_t *loop, const struct table *table,
                          void (*on_end)(void *user, struct bus_question *question,
                                         const struct row_pick_options *wanted, struct row_pick *pick),
                          void *user, struct walks **out);

/* Walks for the question; the texts of `wanted` are those of `args`, which is kept meanwhile. 0, 1 when too many walk
 * already, or -ENOMEM. */
MUST_CHECK int walks_add(struct walks *walks, struct bus_question *question, const struct row_pick_options *wanted,
                         json_t *args);

/* Drops the questions that still wait. NULL does nothing. */
void walks_close(struct walks *walks);

#endif
