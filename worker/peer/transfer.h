/* SPDX-License-Identifier: MIT */
/* One HTTP exchange with an MCP server, read as JSON-RPC messages: those on an event stream as they come, that of a JSON
 * body (or those of its batch) at its end. What is no message is passed over. Loop thread only. */
#ifndef WORKER_TRANSFER_H
#define WORKER_TRANSFER_H

#include "common/compiler.h"
#include "common/server_def.h"
#include "worker/http/http.h"
#include "worker/limits.h"
#include "worker/oauth/oauth.h"
#include "worker/peer/jsonrpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { TRANSFER_REFUSAL_MAX = 64 * 1024 }; /* of an answer that is not wanted; the rest is dropped */

/* Where the requests of a connection go, whose they are, and what all of them carry. Borrowed; who starts something copies
 * the struct, and what it points at outlives that. */
struct transfer_target {
    uv_loop_t *loop;
    struct http *http;
    struct limits *limits;
    http_guard guard;
    const void *guard_user;
    const struct server_def *def;
    struct oauth_account *account; /* for bearer tokens; NULL: none */
    const char *url;
    const char *version;    /* MCP-Protocol-Version; NULL: none */
    const char *session_id; /* Mcp-Session-Id; NULL: none */
};

struct transfer_request {
    const char *http_method;
    const char *rpc_method;    /* Mcp-Method; NULL: none */
    const char *rpc_name;      /* Mcp-Name; NULL: none */
    const char *last_event_id; /* NULL: none */
    const char *body;          /* JSON text; NULL: none */
    uint64_t headers_timeout_ms;
    uint64_t total_timeout_ms; /* 0: none */
    bool close_after;          /* nothing follows it soon */
};

struct transfer;

struct transfer_end {
    int status; /* 0: no head came */
    bool is_event_stream;
    bool is_json;
    bool is_empty;                      /* not a byte of body came */
    bool challenged;                    /* there was a WWW-Authenticate */
    bool had_credentials;               /* it was sent with an Authorization, or a 401 would have brought a token */
    const struct oauth_failure *denied; /* there was no token to be had; NULL: not so */
    const struct http_end *http; /* how the exchange ended; NULL: it was broken off, see `problem` and `denied` */
    const char *problem;         /* what the server did wrong, a literal; or NULL */
    const char *body;            /* of a refusal, its beginning as text; "" otherwise */
    const char *last_event_id;   /* "": none */
    uint32_t retry_ms;           /* `retry:`; 0: none */
    uint64_t retry_after_ms;     /* Retry-After; 0: none */
};

/* Each may cancel the transfer. A NULL one is not called, but `target` and on_end must be there. */
struct transfer_handlers {
    /* The target again, which is not kept here; url, version and http are not looked at. May not cancel. */
    struct transfer_target (*target)(void *user);
    void (*on_head)(void *user, const struct http_head *head);
    void (*on_heard)(void *user); /* bytes came */
    /* NULL: bodies are not read at all. */
    void (*on_message)(void *user, const struct jsonrpc_message *message);
    /* An event of another type than `message`. */
    void (*on_event)(void *user, const char *type, const char *data);
    /* Once, last; the transfer is gone, what `end` points at lives for the call. */
    void (*on_end)(void *user, const struct transfer_end *end);
};

/* 0 or a negative errno; then no handler runs. `handlers` outlive the transfer. */
MUST_CHECK int transfer_start(const struct transfer_target *target, const struct transfer_request *request,
                              const struct transfer_handlers *handlers, void *user, struct transfer **out);

/* From now on it is those that are told. May be called from a handler. */
void transfer_hand_over(struct transfer *transfer, const struct transfer_handlers *handlers, void *user);

/* Ends it without on_end, and sets *transfer to NULL. NULL in *transfer does nothing. */
void transfer_cancel(struct transfer **transfer);

/* For a handler: whether the exchange has ended, so that this message is its last, or one of a batch that is. */
bool transfer_is_over(const struct transfer *transfer);

#endif
