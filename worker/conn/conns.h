/* SPDX-License-Identifier: MIT */
/* The connections of a worker, by row. Rows and incarnations come from the hub; what fits nothing is logged and
 * ignored. */
#ifndef WORKER_CONNS_H
#define WORKER_CONNS_H

#include "common/compiler.h"
#include "common/server_def.h"
#include "worker/conn/conn.h"

#include <stdbool.h>
#include <stdint.h>

struct conns;

/* `env` lives longer. 0 or -ENOMEM. */
MUST_CHECK int conns_create(struct conn_env *env, struct conns **out);

/* Parts with all (CONN_STOPPED), if conns_stop has not, and frees it. NULL does nothing. */
void conns_destroy(struct conns *conns);

/* A server that is this worker's: new, or again, or with another definition. Takes `def`. `wanted`: somebody asked for
 * it just now. */
void conns_put(struct conns *conns, uint32_t row, uint32_t incarnation, struct server_def *def, bool wanted);
void conns_drop(struct conns *conns, uint32_t row, uint32_t incarnation);
void conns_touch(struct conns *conns, uint32_t row, uint32_t incarnation);
void conns_reconnect(struct conns *conns, uint32_t row, uint32_t incarnation);

/* A full list: all that is put between the two is kept, the rest dropped. Beginning again starts anew. */
void conns_begin_full(struct conns *conns);
void conns_end_full(struct conns *conns);

void conns_reconfigured(struct conns *conns);

/* Those that wait for a limit say so; called once in a while. */
void conns_tell_limits(struct conns *conns);

/* Parts with all, for good: later puts are ignored. */
void conns_stop(struct conns *conns);

#endif
