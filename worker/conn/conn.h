/* SPDX-License-Identifier: MIT */
/* One connection, for as long as the worker has the server: its state, its attempts, its timers, its row of the table.
 * It owns the peer that speaks, decides by conn_fsm and retry, and tells by publish.
 *
 * It may be asked for anything at any time but from within a peer's callback. Its time is common/clock.h's, its timers
 * are in `timeline`: conn_run_due runs those that are due, conn_run_admitted starts attempts that there is room for now.
 * The loop does both in each turn. */
#ifndef WORKER_CONN_H
#define WORKER_CONN_H

#include "common/compiler.h"
#include "common/config.h"
#include "common/server_def.h"
#include "common/table.h"
#include "worker/conn/admission.h"
#include "worker/conn/pace.h"
#include "worker/conn/publish.h"
#include "worker/conn/timeline.h"
#include "worker/peer/peer.h"

#include <stddef.h>
#include <stdint.h>

struct conn;

/* What all connections of a worker share; lives longer than any. `config` may change between calls: tell each
 * connection with conn_reconfigured. */
struct conn_env {
    struct table *table;
    int slot;
    const struct config *config;
    const struct peer_env *peers; /* which tell conn_peer_handlers */
    struct publish *publish;
    struct timeline *timeline;
    struct admission *admission;
    char full_text[ROW_ERROR_SIZE]; /* what a server is told that waits for ADMISSION_FULL */
    struct pace settling;           /* of fetches that only settle a fingerprint */
    uint64_t random;                /* state of the generator behind all jitter; any value */
    size_t count;                   /* connections that there are */
};

extern const struct peer_handlers conn_peer_handlers;

/* Takes over the row, which must be this slot's: goes on from what stands there. Takes `def` on success. 0 or -ENOMEM. */
MUST_CHECK int conn_create(struct conn_env *env, uint32_t row, uint32_t incarnation, struct server_def *def,
                           struct conn **out);

/* Why a connection goes. */
enum conn_parting {
    CONN_DROPPED, /* not ours any more: no event after this */
    CONN_STOPPED, /* the worker leaves: events owed are published, the next one goes on */
};
/* Lets go of everything and frees it. Its row tells what the next owner should know. */
void conn_part(struct conn *conn, enum conn_parting parting);

uint32_t conn_incarnation(const struct conn *conn);

/* The definition again, or another one (taken). `wanted`: because somebody asked to connect the server. */
void conn_define(struct conn *conn, struct server_def *def, bool wanted);

/* Somebody asked for it: not idle. */
void conn_touch(struct conn *conn);

/* Makes it anew, now. */
void conn_reconnect(struct conn *conn);

/* The configuration is another one. */
void conn_reconfigured(struct conn *conn);

/* Tells the row why it waits, if it waits for a limit that is reached. */
void conn_tell_limit(struct conn *conn);

void conn_run_due(struct conn_env *env);
void conn_run_admitted(struct conn_env *env);

#endif
