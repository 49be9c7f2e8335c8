/* SPDX-License-Identifier: MIT */
/* A peer: one MCP server, spoken to. It finds the era, shakes hands, opens the stream, hears and answers, fetches
 * lists, and says once how it ended. It keeps no state beyond one connection: when to try again, what to remember and
 * whom to tell is the business of `conn`, which owns it.
 *
 *   conn ── peer ─┬─ peer_stateless  2026-07-28 ─┬─ call ─┐
 *                 ├─ peer_session    2025-*     ─┼────────┼─ transfer ── http, sse, jsonrpc
 *                 ├─ peer_sse        2024-11-05 ─┴────────┘
 *                 └─ peer_stdio      both, over pipes ────── stdio_process, jsonrpc
 *
 * All callbacks run from the loop, never from within peer_start, and never after peer_close. Loop thread only. */
#ifndef WORKER_PEER_H
#define WORKER_PEER_H

#include "common/compiler.h"
#include "common/names.h"
#include "common/server_def.h"
#include "common/table.h"
#include "worker/http/http.h"
#include "worker/oauth/oauth.h"
#include "worker/peer/catalog.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct peer;
struct peer_handlers;

/* What all peers of a worker share. Lives longer than any of them. */
struct peer_env {
    uv_loop_t *loop;
    struct http *http;
    struct limits *limits;
    struct oauth *oauth; /* for definitions with `auth` */
    http_guard guard;    /* for servers made at run time, and for those of the file */
    const void *guard_user_runtime;
    const void *guard_user_file;
    uint64_t connect_timeout_ms;
    const struct peer_handlers *handlers; /* who is told */
    bool keeps_items;                     /* lists are given with their items (catalog_items), which costs their size */
    bool discovers; /* a server is asked for all that it has, where listening tells as much as is needed */
};

/* What was found out, once the handshake is through. */
struct peer_facts {
    enum era era;
    const char *protocol_version; /* static; NULL: not known, or told before */
    const char *server_info;      /* "name/version", printable, cut; NULL: not known, or told before */
    uint8_t advertised;           /* bit a kind: listChanged is advertised (a hint) */
    uint8_t has;                  /* bit a kind: the capability is there, so there is a list */
    uint8_t heard;                /* bit a kind: will be notified as far as can be known (stateless: acknowledged) */
};

/* How a peer ended, from the view of who must decide what next. */
enum peer_end_reason {
    PEER_UNREACHABLE,  /* resolve, connect, TLS, time-out, 5xx: an outage */
    PEER_STREAM_ENDED, /* an open stream ended, gracefully or not */
    PEER_SESSION_LOST, /* the server forgot us: start anew at once */
    PEER_UNSUPPORTED,  /* it works, and offers nothing to listen to */
    PEER_UNAUTHORIZED, /* 401/403 without means to answer it */
    PEER_FORBIDDEN,    /* by our policy, or the server refuses the name in our URL: the configuration must change */
    PEER_TOO_MUCH,     /* it asks, or makes us ask, too often: leave it alone for the time told */
    PEER_PROTOCOL,     /* it is no MCP server, or breaks the protocol */
    PEER_NO_RESOURCES, /* ours: memory, descriptors */
};

struct peer_end {
    enum peer_end_reason reason;
    bool graceful;             /* the server said that it ends the stream */
    uint64_t retry_after_ms;   /* asked for by the server (Retry-After, `retry:`); 0: not */
    char text[ROW_ERROR_SIZE]; /* for people; no secret */
};

/* Borrowed for the callback. */
struct peer_fetched {
    const struct catalog *list; /* NULL: it could not be fetched, and the connection goes on */
    const char *error;          /* then: why, as "HTTP 503" */
    const char *server_info;    /* as in peer_facts; NULL: not told with the list */
};

struct peer_handlers {
    /* The stream is open and acknowledged: from now on changes are heard. Once. */
    void (*on_listening)(void *user, const struct peer_facts *facts);
    /* The stream was lost and opened again within the session, at once: still listening, but what happened in between
     * may have been missed, so list again. */
    void (*on_resumed)(void *user);
    /* list_changed, on whatever stream it came. */
    void (*on_changed)(void *user, enum kind kind);
    /* Bytes came from the server (any). */
    void (*on_heard)(void *user);
    /* A request, of either side, the attempt's included: how many there were in this minute. Past the limit the peer ends,
     * not at once. May not close the peer. NULL: nobody counts. */
    uint32_t (*on_request)(void *user);
    /* A fetch came to its end. */
    void (*on_list)(void *user, enum kind kind, const struct peer_fetched *fetched);
    /* A tool has answered: `result` is borrowed, NULL when it failed (`error` says why). NULL: none is ever called. */
    void (*on_called)(void *user, const json_t *result, const char *error);
    /* Once, unless closed before; no callback follows it, but on_list after PEER_UNSUPPORTED. The peer is still there:
     * close it. `facts` are those known so far. */
    void (*on_end)(void *user, const struct peer_end *end, const struct peer_facts *facts);
};

/* Starts: everything from the probe on. `hint` is the era that was right the last time, or ERA_UNKNOWN. `env` and `def` live
 * longer than the peer. An attempt takes at most def->timeout_ms (env->connect_timeout_ms when 0). 0 or
 * a negative errno; -ENOTSUP: a program is not started for a definition made at run time. */
MUST_CHECK int peer_start(const struct peer_env *env, struct server_def *def, enum era hint, void *user,
                          struct peer **out);

/* What it was started with. */
struct server_def *peer_def(const struct peer *peer);

/* Fetches a list, page by page, once on_listening has run, or after an on_end with PEER_UNSUPPORTED; at other times it
 * does nothing. One of a kind at a time: asking, once or often, while one is under way fetches once more after it, and
 * on_list runs for both. A list takes at most the limits' time. 0; or -ENOMEM: it is not fetched, and on_list does not run. */
MUST_CHECK int peer_list(struct peer *peer, enum kind kind);

/* Asks whether the server is still there; one that is not comes to its end as PEER_STREAM_ENDED, after some time. False
 * when there is no use in asking: not listening, or a server that does not know the question. */
bool peer_ping(struct peer *peer);

/* Calls a tool, when peer_list could be called, and none is being called: on_called runs once, within 60 s. A listener
 * has no use for that; a probe has. `arguments` is an object. 0 or a negative errno. */
MUST_CHECK int peer_call_tool(struct peer *peer, const char *name, json_t *arguments);

/* Leaves: the stream is cut at once; a session is ended by a DELETE that goes on in the background for at most 5 s
 * (peer_farewells counts those), when it has begun: of many, only so many are under way at once. A stdio server likewise
 * is given some seconds to leave before it is killed. No callback afterwards. NULL does nothing. */
void peer_close(struct peer *peer);

/* Sessions and stdio servers being ended, or waiting for that, of the whole process: who stops waits for 0. */
unsigned peer_farewells(void);

#endif
