/* SPDX-License-Identifier: MIT */
/* The worker's end of its spawner (keeper_main.c), the process that starts programs for it. One for each process; it must
 * be opened before the sandbox is entered, since afterwards nothing can be executed any more. Loop thread only. */
#ifndef WORKER_SPAWNER_H
#define WORKER_SPAWNER_H

#include "common/compiler.h"
#include "worker/stdio/keeper.h"

#include <uv.h>

/* Starts it. `on_gone` runs from the loop when it has died, and at most once. 0 or a negative errno, which was logged. */
MUST_CHECK int spawner_open(uv_loop_t *loop, void (*on_gone)(void *user), void *user);

/* Asks for a keeper that gets these descriptors, which stay the caller's to close: the server's 0, 1 and 2, and the
 * leash. 0 or a negative errno; -ECHILD without a spawner. */
MUST_CHECK int spawner_request(const int fds[KEEPER_FDS]);

/* It exits; keepers stay, as long as their leashes do. Nothing without one. */
void spawner_close(void);

#endif
