/* SPDX-License-Identifier: MIT */
/* A one-shot timer on the heap: what is timed seldom, in a process that holds many connections, should cost nothing
 * while it is not running. Loop thread only. */
#ifndef WORKER_DELAY_H
#define WORKER_DELAY_H

#include "common/compiler.h"

#include <stdint.h>
#include <uv.h>

struct delay;

/* Runs `on_due` once after `ms`, from the loop; the delay is gone by then. 0 or a negative errno. */
MUST_CHECK int delay_start(uv_loop_t *loop, uint64_t ms, void (*on_due)(void *user), void *user, struct delay **out);

/* Ends it without the callback, and sets *delay to NULL. NULL in *delay does nothing. */
void delay_cancel(struct delay **delay);

#endif
