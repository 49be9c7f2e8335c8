/* SPDX-License-Identifier: MIT */
/* Learning what to watch: the worker's end of common/assignment.h. Asks for ever, and hands what it is told to conns. */
#ifndef WORKER_ASSIGNMENTS_H
#define WORKER_ASSIGNMENTS_H

#include "common/compiler.h"
#include "worker/conn/conns.h"

#include <stdint.h>
#include <uv.h>

struct assignments;

/* Sends the first question; the hub need not be there yet. `conns` lives longer. 0 or a negative errno. */
MUST_CHECK int assignments_open(uv_loop_t *loop, const char *run_dir, int slot, uint64_t start_count,
                                struct conns *conns, struct assignments **out);

/* Asks no more. The memory goes when the loop has closed its handles. NULL does nothing. */
void assignments_close(struct assignments *assignments);

#endif
