/* SPDX-License-Identifier: MIT */
/* What a keeper is told to start. Loop thread only. */
#ifndef WORKER_STDIO_ORDER_H
#define WORKER_STDIO_ORDER_H

#include "common/compiler.h"
#include "common/server_def.h"

#include <uv.h>

/* Writes to the leash what to start, for the keeper to read when it is there. `def`, which has a command, need not outlive
 * the call. 0 or a negative errno; -E2BIG: no keeper takes so long an order. */
MUST_CHECK int stdio_order_send(uv_pipe_t *leash, const struct server_def *def);

#endif
