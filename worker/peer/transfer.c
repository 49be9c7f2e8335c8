/* SPDX-License-Identifier: MIT */
/* Where HTTP and SSE become JSON-RPC. Everything a peer hears goes through here: answers of `call`, and the streams of
 * sessions and of HTTP+SSE.
 *
 * A transfer may be held for months, so it keeps no more than it needs: a body's buffer exists only while there is a
 * body to collect, of the head what `on_end` tells, and what its owner knows (loop, limits, credentials) is asked for when
 * it is needed: never after a handler that may have done away with the owner.
 *
 * Handlers may cancel the transfer that calls them. While it is `busy` with bytes it is then only marked, and freed by
 * whoever made it busy; what loops over handlers looks at the mark after each call. */
#include "worker/peer/transfer.h"

#include "common/buf.h"
#include "common/slab.h"
#include "worker/http/delay.h"
#include "worker/http/sse.h"
#include "worker/mask.h"
#include "worker/oauth/bearer.h"
#include "worker/peer/document.h"
#include "worker/peer/glance.h"
#include "worker/peer/mcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 64 * 1024 }; /* of a backlog, a turn */

/* A large document is being parsed beside the loop; then what came meanwhile is read, a slice a turn. */
struct pending {
    uv_loop_t *loop;
    struct document *document; /* NULL: none any more */
    struct delay *turn;        /* the next slice's */
    struct buf backlog;
    size_t at; /* what is read of it */
    bool has_ended;
    struct http_end end;
};

struct transfer {
    union {
        struct http_exchange *exchange;
        struct bearer *bearer; /* with an account */
    } by;                      /* NULL: it has ended */
    const struct transfer_handlers *handlers;
    void *user;
    struct pending *pending; /* NULL: nothing is */
    union {
        struct sse sse;  /* of an event stream */
        struct buf body; /* of all else, its head's included */
    } read;
    uint32_t retry_after_ms; /* at most a day */
    uint16_t status;
    bool has_account : 1;
    bool is_event_stream : 1, is_json : 1, is_empty : 1, challenged : 1, had_credentials : 1;
    bool busy : 1;
    bool cancelled : 1; /* while it was busy */
};
static_assert(sizeof(struct transfer) <= 64, "each held stream has one");

static struct transfer_target target_of(const struct transfer *transfer)
{
    return transfer->handlers->target(transfer->user);
}

static void break_off(struct transfer *transfer)
{
    if (transfer->has_account) {
        bearer_cancel(&transfer->by.bearer);
    } else {
        http_cancel(transfer->by.exchange);
        transfer->by.exchange = NULL;
    }
}

static void drop_pending(struct transfer *transfer)
{
    struct pending *pending = transfer->pending;
    if (pending == NULL)
        return;
    transfer->pending = NULL;
    document_cancel(&pending->document);
    delay_cancel(&pending->turn);
    buf_fini(&pending->backlog);
    free(pending);
}

static void destroy(struct transfer *transfer)
{
    break_off(transfer);
    drop_pending(transfer);
    if (transfer->is_event_stream)
        sse_fini(&transfer->read.sse);
    else
        buf_fini(&transfer->read.body);
    slab_give(&slab_held, transfer, sizeof(*transfer));
}

void transfer_hand_over(struct transfer *transfer, const struct transfer_handlers *handlers, void *user)
{
    transfer->handlers = handlers;
    transfer->user = user;
}

void transfer_cancel(struct transfer **transfer)
{
    if (*transfer == NULL)
        return;
    struct transfer *old = *transfer;
    *transfer = NULL;
    break_off(old);
    if (old->busy)
        old->cancelled = true;
    else
        destroy(old);
}

bool transfer_is_over(const struct transfer *transfer)
{
    return (transfer->has_account ? (const void *)transfer->by.bearer : transfer->by.exchange) == NULL;
}

/* What is known of the end, but why. */
static struct transfer_end end_of(const struct transfer *transfer)
{
    const struct sse *sse = transfer->is_event_stream ? &transfer->read.sse : NULL;
    return (struct transfer_end){
        .status = transfer->status,
        .is_event_stream = transfer->is_event_stream,
        .is_json = transfer->is_json,
        .is_empty = transfer->is_empty,
        .challenged = transfer->challenged,
        .had_credentials = transfer->had_credentials,
        .body = sse == NULL ? buf_text(&transfer->read.body) : "",
        .last_event_id = sse != NULL ? sse_last_id(sse) : "",
        .retry_ms = sse != NULL ? sse_retry_ms(sse) : 0,
        .retry_after_ms = transfer->retry_after_ms,
    };
}

/* Tells that it is over; frees it. */
static void finish(struct transfer *transfer, const struct http_end *http, const char *problem)
{
    struct transfer_end end = end_of(transfer);
    end.http = http;
    end.problem = problem;
    transfer->handlers->on_end(transfer->user, &end);
    destroy(transfer);
}

static bool is_success(const struct transfer *transfer)
{
    return transfer->status >= 200 && transfer->status < 300;
}

/* --- messages --- */

/* Hands the messages of a document out. */
static void deliver(struct transfer *transfer, json_t *document, bool is_large)
{
    size_t count = transfer->handlers->on_message != NULL ? jsonrpc_count(document) : 0;
    for (size_t i = 0; i < count && !transfer->cancelled; i++) {
        struct jsonrpc_message message = jsonrpc_get(document, i);
        message.is_large = is_large;
        if (message.type != JSONRPC_INVALID)
            transfer->handlers->on_message(transfer->user, &message);
    }
}

/* Takes what parsing came to. NULL, or what is wrong with it. */
static const char *take(struct transfer *transfer, int outcome, json_t *document, bool is_large)
{
    if (outcome == 0)
        deliver(transfer, document, is_large);
    const char *problem = outcome != 0 ? jsonrpc_problem(outcome, target_of(transfer).limits) : NULL;
    return is_success(transfer) ? problem : NULL;
}

static struct mask mask_of(const struct transfer_target *target)
{
    return (struct mask){.def = target->def,
                         .token = target->account != NULL ? oauth_account_token(target->account) : NULL,
                         .session_id = target->session_id};
}

static const char *parse(struct transfer *transfer, const void *bytes, size_t size)
{
    json_t *document = NULL;
    const struct transfer_target target = target_of(transfer);
    const struct mask mask = mask_of(&target);
    int outcome = jsonrpc_parse(bytes, size, &target.limits->json, &document);
    if (outcome == 0)
        mask_document(&mask, bytes, size, document);
    const char *problem = take(transfer, outcome, document, false);
    json_decref(document);
    return problem;
}

static void on_parsed(void *user, int outcome, json_t *document);

/* Begins to parse a large document, whose bytes it takes over. False, without memory for that: it does not. */
static bool put_aside(struct transfer *transfer, void *bytes, size_t size)
{
    struct pending *pending = transfer->pending;
    const struct transfer_target target = target_of(transfer);
    if (pending == NULL) {
        pending = calloc(1, sizeof(*pending));
        if (pending == NULL)
            return false;
        pending->loop = target.loop;
        buf_init(&pending->backlog, target.limits->event);
        transfer->pending = pending;
    }
    const struct mask mask = mask_of(&target);
    if (document_parse(target.loop, bytes, size, &target.limits->json, &mask, on_parsed, transfer,
                       &pending->document) == 0)
        return true;
    if (pending->backlog.size == 0)
        drop_pending(transfer);
    return false;
}

static bool put_event_aside(struct transfer *transfer, const char *data, size_t size)
{
    void *copy = size < DOCUMENT_LARGE ? NULL : malloc(size);
    if (copy == NULL)
        return false;
    memcpy(copy, data, size);
    bool is_aside = put_aside(transfer, copy, size);
    if (!is_aside)
        free(copy);
    return is_aside;
}

static bool put_body_aside(struct transfer *transfer)
{
    struct buf *body = &transfer->read.body;
    if (body->size < DOCUMENT_LARGE || !is_success(transfer) || !put_aside(transfer, body->bytes, body->size))
        return false;
    (void)buf_take(body);
    return true;
}

static bool on_event(void *user, const char *type, const char *data, size_t size)
{
    struct transfer *transfer = user;
    struct jsonrpc_message message;
    if (strcmp(type, "message") != 0) {
        if (transfer->handlers->on_event != NULL)
            transfer->handlers->on_event(transfer->user, type, data);
    } else if (glance(data, size, &target_of(transfer).limits->json, &message)) {
        if (transfer->handlers->on_message != NULL)
            transfer->handlers->on_message(transfer->user, &message);
    } else if (put_event_aside(transfer, data, size)) {
        return false;
    } else {
        (void)parse(transfer, data, size);
    }
    return !transfer->cancelled;
}

static const struct sse_handlers SSE_HANDLERS = {.on_event = on_event};

/* Reads of a stream up to the end, or to a large event; *fed is how much that was. NULL, or what is wrong. */
static const char *read_stream(struct transfer *transfer, const uint8_t *bytes, size_t size, size_t *fed)
{
    struct limits *limits = target_of(transfer).limits;
    const uint8_t *at = bytes;
    int outcome = sse_feed(&transfer->read.sse, (uint32_t)limits->event, &at, bytes + size, &SSE_HANDLERS, transfer);
    *fed = outcome == SSE_STOPPED && !transfer->cancelled ? (size_t)(at - bytes) : size;
    if (outcome == SSE_TOO_LARGE) {
        limits_hit(limits, COUNTER_LIMIT_EVENT);
        return "an event is larger than --max-event";
    }
    return outcome == SSE_NO_MEMORY ? "no memory" : NULL;
}

static const char *feed(struct transfer *transfer, const uint8_t *bytes, size_t size)
{
    size_t fed = 0;
    const char *problem = transfer->pending == NULL ? read_stream(transfer, bytes, size, &fed) : NULL;
    if (problem != NULL || fed == size)
        return problem;
    int outcome = buf_append(&transfer->pending->backlog, bytes + fed, size - fed);
    if (outcome == BUF_FULL)
        limits_hit(target_of(transfer).limits, COUNTER_LIMIT_EVENT);
    return outcome == 0          ? NULL
           : outcome == BUF_FULL ? "more than --max-event came while an event was read"
                                 : "no memory";
}

/* --- what waits for a large document --- */

static void on_turn(void *user);

/* Everything is read: the exchange goes on as if nothing had been, or ends. */
static void resume(struct transfer *transfer, const char *problem)
{
    bool has_ended = transfer->pending->has_ended;
    struct http_end end = transfer->pending->end;
    drop_pending(transfer);
    if (has_ended || problem != NULL)
        finish(transfer, has_ended ? &end : NULL, problem);
}

/* The next slice of the backlog. */
static void go_on(struct transfer *transfer, const char *problem)
{
    struct pending *pending = transfer->pending;
    size_t size = pending->backlog.size - pending->at, fed = 0;
    transfer->busy = true;
    if (size > SLICE)
        size = SLICE;
    if (problem == NULL && !transfer->cancelled && size > 0)
        problem = read_stream(transfer, pending->backlog.bytes + pending->at, size, &fed);
    transfer->busy = false;
    pending->at += fed;
    if (transfer->cancelled)
        destroy(transfer);
    else if (pending->document != NULL && problem == NULL)
        return;
    else if (problem != NULL || pending->at == pending->backlog.size)
        resume(transfer, problem);
    else if (delay_start(pending->loop, 0, on_turn, transfer, &pending->turn) != 0)
        resume(transfer, "no memory");
}

static void on_turn(void *user)
{
    struct transfer *transfer = user;
    transfer->pending->turn = NULL;
    go_on(transfer, NULL);
}

static void on_parsed(void *user, int outcome, json_t *document)
{
    struct transfer *transfer = user;
    transfer->pending->document = NULL;
    transfer->busy = true;
    const char *problem = take(transfer, outcome, document, true);
    document_free(transfer->pending->loop, document);
    go_on(transfer, transfer->is_event_stream ? NULL : problem);
}

/* The whole body is in. NULL, or what is wrong with it. */
static const char *read_body(struct transfer *transfer)
{
    const struct buf *body = &transfer->read.body;
    if (transfer->is_event_stream || transfer->is_empty || !transfer->is_json || put_body_aside(transfer))
        return NULL;
    return parse(transfer, body->bytes, body->size);
}

/* --- the exchange --- */

static void on_head(void *user, const struct http_head *head)
{
    struct transfer *transfer = user;
    transfer->status = (uint16_t)head->status;
    if (head->is_event_stream && is_success(transfer)) {
        transfer->is_event_stream = true;
        sse_init(&transfer->read.sse);
    } else {
        buf_init(&transfer->read.body, is_success(transfer) ? target_of(transfer).limits->body : TRANSFER_REFUSAL_MAX);
    }
    transfer->is_json = head->is_json;
    transfer->challenged = head->www_authenticate[0] != '\0';
    transfer->retry_after_ms = (uint32_t)head->retry_after_ms;
    if (transfer->handlers->on_head != NULL)
        transfer->handlers->on_head(transfer->user, head);
}

/* NULL, or what is wrong. */
static const char *collect(struct transfer *transfer, const uint8_t *bytes, size_t size)
{
    bool wanted = is_success(transfer);
    if (wanted && !transfer->is_json)
        return NULL;
    struct buf *body = &transfer->read.body;
    size_t room = body->max - body->size;
    if (!wanted && size > room)
        size = room;
    int outcome = buf_append(body, bytes, size);
    if (outcome == BUF_FULL)
        limits_hit(target_of(transfer).limits, COUNTER_LIMIT_BODY);
    return outcome == 0 ? NULL : outcome == BUF_FULL ? "the answer is larger than --max-body" : "no memory";
}

static void on_body(void *user, const uint8_t *bytes, size_t size)
{
    struct transfer *transfer = user;
    const char *problem = NULL;
    transfer->is_empty = false;
    if (transfer->handlers->on_message == NULL)
        return;
    transfer->busy = true;
    if (transfer->handlers->on_heard != NULL)
        transfer->handlers->on_heard(transfer->user);
    if (!transfer->cancelled)
        problem = transfer->is_event_stream ? feed(transfer, bytes, size) : collect(transfer, bytes, size);
    transfer->busy = false;
    if (transfer->cancelled)
        destroy(transfer);
    else if (problem != NULL)
        finish(transfer, NULL, problem);
}

static void forget_exchange(struct transfer *transfer)
{
    if (transfer->has_account)
        transfer->by.bearer = NULL;
    else
        transfer->by.exchange = NULL;
}

static void on_end(void *user, const struct http_end *end)
{
    struct transfer *transfer = user;
    forget_exchange(transfer);
    if (end->reason == HTTP_TOO_LARGE)
        limits_hit(target_of(transfer).limits, transfer->status == 0 ? COUNTER_LIMIT_HEADER : COUNTER_LIMIT_BODY);
    transfer->busy = true;
    const char *problem = end->reason == HTTP_DONE && transfer->pending == NULL ? read_body(transfer) : NULL;
    transfer->busy = false;
    if (transfer->cancelled) {
        destroy(transfer);
    } else if (transfer->pending != NULL) {
        transfer->pending->has_ended = true;
        transfer->pending->end = *end;
    } else {
        finish(transfer, end, problem);
    }
}

static void on_denied(void *user, const struct oauth_failure *failure)
{
    struct transfer *transfer = user;
    forget_exchange(transfer);
    struct transfer_end end = end_of(transfer);
    end.denied = failure;
    end.retry_after_ms = failure->retry_after_ms;
    transfer->handlers->on_end(transfer->user, &end);
    destroy(transfer);
}

static const struct bearer_handlers HANDLERS = {.http = {.on_head = on_head, .on_body = on_body, .on_end = on_end},
                                                .on_denied = on_denied};

static bool has_authorization(const struct server_def *def)
{
    for (size_t i = 0; i < def->extras->header_count; i++)
        if (strcasecmp(def->extras->headers[i].name, "Authorization") == 0)
            return true;
    return false;
}

static int start_exchange(struct transfer *transfer, const struct transfer_target *target,
                          const struct transfer_request *request)
{
    struct mcp_headers headers;
    int result = mcp_headers_init(&headers, target->def,
                                  &(struct mcp_header_values){.http_method = request->http_method,
                                                              .version = target->version,
                                                              .session_id = target->session_id,
                                                              .rpc_method = request->rpc_method,
                                                              .rpc_name = request->rpc_name,
                                                              .last_event_id = request->last_event_id});
    if (result != 0)
        return result;
    const struct http_request http = {
        .method = request->http_method,
        .url = target->url,
        .headers = headers.lines,
        .header_count = headers.count,
        .body = request->body,
        .body_size = request->body != NULL ? strlen(request->body) : 0,
        .headers_timeout_ms = request->headers_timeout_ms,
        .total_timeout_ms = request->total_timeout_ms,
        .head_max = target->limits->header,
        .close_after = request->close_after,
        .ca_file = target->def->extras->ca_file,
        .proxy = target->def->extras->proxy,
        .guard = target->guard,
        .guard_user = target->guard_user,
    };
    transfer->had_credentials = target->account != NULL || has_authorization(target->def);
    if (target->account != NULL)
        result = bearer_start(target->http, target->account, &http, &HANDLERS, transfer, &transfer->by.bearer);
    else
        result = http_start(target->http, &http, &HANDLERS.http, transfer, &transfer->by.exchange);
    mcp_headers_fini(&headers);
    return result;
}

int transfer_start(const struct transfer_target *target, const struct transfer_request *request,
                   const struct transfer_handlers *handlers, void *user, struct transfer **out)
{
    struct transfer *transfer = slab_take(&slab_held, sizeof(struct transfer));
    if (transfer == NULL)
        return -ENOMEM;
    transfer->handlers = handlers;
    transfer->user = user;
    transfer->is_empty = true;
    transfer->has_account = target->account != NULL;
    int result = start_exchange(transfer, target, request);
    if (result != 0) {
        destroy(transfer);
        return result;
    }
    *out = transfer;
    return 0;
}
