/* SPDX-License-Identifier: MIT */
/* What a peer comes to, as an event of conn_fsm: for the connections of a worker, and for a probe, which must not find
 * anything else than they would. Pure. */
#ifndef WORKER_VERDICT_H
#define WORKER_VERDICT_H

#include "common/names.h"
#include "worker/conn/conn_fsm.h"
#include "worker/peer/peer.h"

#include <stdbool.h>

/* peer_start failed with `error`, a negative errno: *text says why. */
enum conn_event verdict_of_start(int error, const char **text);

/* It ended in `state`, for `reason`: as if this were its first failure. `polled`: what offers nothing to hear is polled. */
enum conn_event verdict_of_end(enum state state, enum peer_end_reason reason, bool polled);

#endif
