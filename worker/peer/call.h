/* SPDX-License-Identifier: MIT */
/* One JSON-RPC request by POST, and its answer: as a JSON body, or on an event stream where other messages may come
 * first. The answer is found by its id, whatever else is said. A stream that closes before the answer is resumed where
 * the era has that. A notification, and an answer to a request of the server, is a call without an id: whatever a 2xx
 * says is its result. Loop thread only. */
#ifndef WORKER_CALL_H
#define WORKER_CALL_H

#include "common/compiler.h"
#include "worker/peer/jsonrpc.h"
#include "worker/peer/transfer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct call;

enum call_verdict {
    CALL_RESULT,  /* a result; or the notification was accepted */
    CALL_ERROR,   /* a JSON-RPC error with a 2xx: see `code` */
    CALL_REFUSED, /* another HTTP status: see `status`, and `code`, if the body was a JSON-RPC error */
    CALL_FAILED,  /* no answer: see `http`, `denied` */
    CALL_BROKEN,  /* no answer to this request, or none at all: see `problem` */
};

struct call_reply {
    enum call_verdict verdict;
    int status;             /* 0: no head came */
    json_t *result;         /* CALL_RESULT of a request; take a reference to keep it */
    int code;               /* of a JSON-RPC error; 0: none */
    const json_t *data;     /* of the error, or NULL */
    const char *session_id; /* Mcp-Session-Id; "": none */
    bool is_large;          /* `result` is, see jsonrpc_message */
    bool is_json;           /* it came as a JSON body, not on a stream */
    bool challenged;        /* WWW-Authenticate */
    bool had_credentials;   /* a bearer token, or an Authorization of the definition, was sent */
    bool names_host;        /* it refuses the name it was called by, which is about our URL, not about credentials */
    uint64_t retry_after_ms;
    const struct http_end *http;
    const struct oauth_failure *denied; /* CALL_FAILED: there was no token to be had; NULL: not so */
    const char *problem;
};

struct call_request {
    const char *rpc_method; /* Mcp-Method; NULL: none */
    const char *rpc_name;   /* Mcp-Name; NULL: none */
    uint32_t id;            /* 0: no answer is expected */
    const char *body;
    uint64_t headers_timeout_ms;
    uint64_t timeout_ms; /* for all of it; 0: none (a stream) */
    bool resumable;
    bool close_after; /* nothing follows it soon */
};

/* Each may cancel the call. A NULL one is not called, but on_reply must be there. */
struct call_handlers {
    void (*on_heard)(void *user);
    /* Another message than the answer. */
    void (*on_message)(void *user, const struct jsonrpc_message *message);
    /* Once, last; the call is gone, what `reply` points at lives for the callback. */
    void (*on_reply)(void *user, const struct call_reply *reply);
};

/* What is wrong with a stream that is compressed. */
extern const char CALL_GARBLED[];

/* 0 or a negative errno; then no handler runs. */
MUST_CHECK int call_start(const struct transfer_target *target, const struct call_request *request,
                          const struct call_handlers *handlers, void *user, struct call **out);

/* Ends it without on_reply, and sets *call to NULL. NULL in *call does nothing. */
void call_cancel(struct call **call);

/* The call, which is not resumable, has turned out to be a stream that is held, whose answer its owner knows when it comes:
 * from now on the exchange is the owner's, and tells `handlers`; *call is gone and NULL. NULL when it has been answered
 * already: all is as before. May be called from on_message. */
struct transfer *call_leave_stream(struct call **call, const struct transfer_handlers *handlers, void *user);

/* What an exchange that ended without an answer says. */
struct call_reply call_reply_from_end(const struct transfer_end *end);

/* What a result or an error says that came by another way than the response to a POST. Borrowed from the message. */
struct call_reply call_reply_from_message(const struct jsonrpc_message *message);

#endif
