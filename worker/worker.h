/* SPDX-License-Identifier: MIT */
/* A worker: everything that one slot's shard of connections needs, put together on one loop. main drives it by what the
 * supervisor says. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "common/compiler.h"
#include "common/config.h"

#include <stdint.h>
#include <uv.h>

struct worker;

/* Attaches to the table, opens the ways to the hub (which need not be there) and asks what to watch. Takes what is in
 * `config` on success. 0 or a negative errno, told in the log. */
MUST_CHECK int worker_create(uv_loop_t *loop, int slot, uint64_t start_count, struct config *config,
                             struct worker **out);

/* Other settings, from now on; takes what is in `config`. Run directory and capacity stay what they were. */
void worker_reconfigure(struct worker *worker, struct config *config);

/* Leaves in order: closes all connections, waits for sessions to be ended, then calls back, once. Asking again does
 * nothing. */
void worker_stop(struct worker *worker, void (*on_stopped)(void *user), void *user);

/* After on_stopped. The memory goes when the loop has closed its handles. NULL does nothing. */
void worker_destroy(struct worker *worker);

#endif
