/* SPDX-License-Identifier: MIT */
/* Every POST of every era goes through here, so this is where "the server has answered" is decided. The verdict says
 * what happened on the wire and nothing more: what it means for the era or the session is the peers' to know.
 *
 *   start -> transfer -> on_message (ours: kept) -> on_end -> reply
 *                                   `-> closed early, id seen, resumable: delay -> GET with Last-Event-ID -> …
 *
 * The reply is given once the exchange has ended, so that its connection can be used again; a server that leaves the
 * stream open after the answer is not waited for (LINGER_MS). */
#include "worker/peer/call.h"

#include "common/clock.h"
#include "common/slab.h"
#include "worker/http/delay.h"
#include "worker/peer/document.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINGER_MS = 200,
    RESUMES_MAX = 10,
    RESUME_DELAY_MS = 1000, /* when the server names none */
    RESUME_DELAY_MAX_MS = 60000,
};

/* What a call keeps that may have to be resumed. */
struct call_resume {
    uint64_t headers_timeout_ms;
    uint64_t deadline_ms; /* monotonic; 0: none */
    char *cursor;         /* last event id, or NULL */
};

struct call {
    struct transfer_target target;
    const struct call_handlers *handlers;
    void *user;
    struct transfer *transfer;
    struct delay *delay;        /* lingering, or waiting to resume */
    struct call_resume *resume; /* NULL: not resumable */
    char *session_id;           /* or NULL */
    /* The answer, when it has come. */
    json_t *result;
    json_t *data;
    int code;
    int status;  /* of the POST */
    uint32_t id; /* 0: none */
    uint8_t resumes;
    bool answered;
    bool is_large;
};

/* Of a large document this may be the last reference. */
static void let_go(const struct call *call, json_t *value)
{
    if (call->is_large)
        document_free(call->target.loop, value);
    else
        json_decref(value);
}

static void destroy(struct call *call)
{
    transfer_cancel(&call->transfer);
    delay_cancel(&call->delay);
    let_go(call, call->result);
    let_go(call, call->data);
    if (call->resume != NULL)
        free(call->resume->cursor);
    free(call->resume);
    free(call->session_id);
    slab_give(&slab_held, call, sizeof(*call));
}

void call_cancel(struct call **call)
{
    if (*call == NULL)
        return;
    struct call *old = *call;
    *call = NULL;
    destroy(old);
}

struct transfer *call_leave_stream(struct call **call, const struct transfer_handlers *handlers, void *user)
{
    struct call *old = *call;
    struct transfer *stream = old->transfer;
    assert(old->resume == NULL);
    if (old->answered)
        return NULL;
    *call = NULL;
    old->transfer = NULL;
    transfer_hand_over(stream, handlers, user);
    destroy(old);
    return stream;
}

/* --- the reply --- */

/* Whether the text has a word that begins so: "host", "hosts", "hostname". */
static bool has_word(const char *text, const char *start)
{
    for (const char *at = text; (at = strcasestr(at, start)) != NULL; at++)
        if (at == text || !isalnum((unsigned char)at[-1]))
            return true;
    return false;
}

/* Servers that guard against DNS rebinding answer 403 and say why in plain words or as JSON, or 421. Web pages are not
 * looked into: proxies make them, and sign them with the name of some host. */
static bool names_host(const struct transfer_end *end)
{
    const char *body = end->body + strspn(end->body, " \t\r\n");
    if (end->status == 421)
        return true;
    return end->status == 403 && !end->challenged && body[0] != '<' &&
           (has_word(body, "host") || has_word(body, "localhost"));
}

struct call_reply call_reply_from_end(const struct transfer_end *end)
{
    struct call_reply reply = {
        .status = end->status,
        .session_id = "",
        .is_json = end->is_json,
        .challenged = end->challenged,
        .had_credentials = end->had_credentials,
        .denied = end->denied,
        .retry_after_ms = end->retry_after_ms,
        .http = end->http,
        .problem = end->problem,
    };
    bool is_success = end->status >= 200 && end->status < 300;
    if (end->status != 0 && !is_success) {
        reply.verdict = CALL_REFUSED;
        reply.names_host = names_host(end);
    } else if (end->problem != NULL || (end->http != NULL && end->http->reason == HTTP_DONE)) {
        reply.verdict = CALL_BROKEN;
    } else {
        reply.verdict = CALL_FAILED;
    }
    return reply;
}

struct call_reply call_reply_from_message(const struct jsonrpc_message *message)
{
    return (struct call_reply){.verdict = message->type == JSONRPC_RESULT ? CALL_RESULT : CALL_ERROR,
                               .result = message->result,
                               .code = message->code,
                               .data = message->data,
                               .is_large = message->is_large,
                               .session_id = ""};
}

/* Why a 2xx is no answer to a request. */
static const char *find_problem(const struct transfer_end *end)
{
    if (end->problem != NULL)
        return end->problem;
    if (end->is_event_stream)
        return "the stream ended without an answer";
    if (end->status == 202 || end->status == 204)
        return "accepted, but not answered";
    if (end->is_empty)
        return "the answer is empty";
    return end->is_json ? "the answer is to another request, or is none"
                        : "the answer is neither JSON nor an event stream";
}

/* Gives the reply and frees the call. */
static void give(struct call *call, const struct call_reply *reply)
{
    call->handlers->on_reply(call->user, reply);
    destroy(call);
}

static void give_answer(struct call *call, const struct transfer_end *end)
{
    struct call_reply reply = {.status = call->status, .session_id = ""};
    if (end != NULL)
        reply = call_reply_from_end(end);
    if (call->session_id != NULL)
        reply.session_id = call->session_id;
    if (reply.verdict != CALL_REFUSED)
        reply.verdict = call->result != NULL ? CALL_RESULT : CALL_ERROR;
    reply.result = call->result;
    reply.code = call->code;
    reply.is_large = call->is_large;
    reply.data = call->data;
    reply.problem = NULL;
    give(call, &reply);
}

static void give_failure(struct call *call, const struct transfer_end *end)
{
    struct call_reply reply = call_reply_from_end(end);
    if (call->session_id != NULL)
        reply.session_id = call->session_id;
    if (call->resumes > 0 && reply.verdict == CALL_REFUSED && end->status != 404) {
        reply.verdict = CALL_BROKEN;
        reply.problem = "the stream ended without an answer and could not be resumed";
    } else if (reply.verdict == CALL_BROKEN && call->id == 0) {
        reply.verdict = CALL_RESULT;
    } else if (reply.verdict == CALL_BROKEN) {
        reply.problem = find_problem(end);
    }
    give(call, &reply);
}

/* --- resuming --- */

static const struct transfer_handlers TRANSFER_HANDLERS;

static void on_resume(void *user)
{
    struct call *call = user;
    const struct call_resume *resume = call->resume;
    call->delay = NULL;
    uint64_t now = clock_mono_ms();
    const struct transfer_request request = {
        .http_method = "GET",
        .last_event_id = resume->cursor,
        .headers_timeout_ms = resume->headers_timeout_ms,
        .total_timeout_ms = resume->deadline_ms > now ? resume->deadline_ms - now : 1,
    };
    if (transfer_start(&call->target, &request, &TRANSFER_HANDLERS, call, &call->transfer) == 0)
        return;
    const struct call_reply reply = {
        .verdict = CALL_BROKEN, .status = call->status, .session_id = "", .problem = "the stream could not be resumed"};
    give(call, &reply);
}

/* Plans to go on with a stream that was closed early. False when there is nothing to resume, or no time. */
static bool go_on(struct call *call, const struct transfer_end *end)
{
    struct call_resume *resume = call->resume;
    if (resume == NULL)
        return false;
    if (end->last_event_id[0] != '\0') {
        free(resume->cursor);
        resume->cursor = strdup(end->last_event_id);
    }
    if (!end->is_event_stream || end->problem != NULL || resume->cursor == NULL || call->resumes == RESUMES_MAX)
        return false;
    uint64_t wait = end->retry_ms > 0 ? end->retry_ms : RESUME_DELAY_MS;
    if (wait > RESUME_DELAY_MAX_MS)
        wait = RESUME_DELAY_MAX_MS;
    if (resume->deadline_ms != 0 && clock_mono_ms() + wait >= resume->deadline_ms)
        return false;
    call->resumes++;
    return delay_start(call->target.loop, wait, on_resume, call, &call->delay) == 0;
}

/* --- the exchange --- */

const char CALL_GARBLED[] = "the stream is compressed, which was not asked for";

static void on_head(void *user, const struct http_head *head)
{
    struct call *call = user;
    if (head->is_garbled && head->is_event_stream) {
        const struct call_reply reply = {
            .verdict = CALL_BROKEN, .status = head->status, .session_id = "", .problem = CALL_GARBLED};
        transfer_cancel(&call->transfer);
        give(call, &reply);
        return;
    }
    if (call->resumes > 0)
        return;
    call->status = head->status;
    if (head->session_id[0] != '\0' && call->session_id == NULL)
        call->session_id = strdup(head->session_id);
}

static void on_heard(void *user)
{
    const struct call *call = user;
    if (call->handlers->on_heard != NULL)
        call->handlers->on_heard(call->user);
}

static void on_linger_over(void *user)
{
    struct call *call = user;
    call->delay = NULL;
    transfer_cancel(&call->transfer);
    give_answer(call, NULL);
}

/* An error without an id is about the only request of the exchange. */
static bool is_answer(const struct call *call, const struct jsonrpc_message *message)
{
    if (message->type == JSONRPC_ERROR && message->id == NULL)
        return true;
    if (message->type != JSONRPC_RESULT && message->type != JSONRPC_ERROR)
        return false;
    return jsonrpc_is_id(call->id, message->id);
}

static void on_message(void *user, const struct jsonrpc_message *message)
{
    struct call *call = user;
    if (!call->answered && is_answer(call, message)) {
        call->answered = true;
        call->result = json_incref(message->result);
        call->data = json_incref(message->data);
        call->code = message->code;
        call->is_large = message->is_large;
        if (!transfer_is_over(call->transfer) &&
            delay_start(call->target.loop, LINGER_MS, on_linger_over, call, &call->delay) != 0)
            call->delay = NULL; /* then the exchange's own end is waited for */
    } else if (call->handlers->on_message != NULL) {
        call->handlers->on_message(call->user, message);
    }
}

static void on_end(void *user, const struct transfer_end *end)
{
    struct call *call = user;
    call->transfer = NULL;
    delay_cancel(&call->delay);
    if (call->answered)
        give_answer(call, end);
    else if (!go_on(call, end))
        give_failure(call, end);
}

static struct transfer_target target_of(void *user)
{
    const struct call *call = user;
    struct transfer_target target = call->target;
    if (target.session_id == NULL) /* else one may begin with the answer */
        target.session_id = call->session_id;
    return target;
}

static const struct transfer_handlers TRANSFER_HANDLERS = {
    .target = target_of, .on_head = on_head, .on_heard = on_heard, .on_message = on_message, .on_end = on_end};

static bool keep_for_resuming(struct call *call, const struct call_request *request)
{
    call->resume = malloc(sizeof(*call->resume));
    if (call->resume != NULL)
        *call->resume = (struct call_resume){
            .headers_timeout_ms = request->headers_timeout_ms,
            .deadline_ms = request->timeout_ms > 0 ? clock_mono_ms() + request->timeout_ms : 0,
        };
    return call->resume != NULL;
}

int call_start(const struct transfer_target *target, const struct call_request *request,
               const struct call_handlers *handlers, void *user, struct call **out)
{
    struct call *call = slab_take(&slab_held, sizeof(struct call));
    if (call == NULL)
        return -ENOMEM;
    call->target = *target;
    call->handlers = handlers;
    call->user = user;
    call->id = request->id;
    if (request->resumable && !keep_for_resuming(call, request)) {
        destroy(call);
        return -ENOMEM;
    }
    const struct transfer_request transfer = {
        .http_method = "POST",
        .rpc_method = request->rpc_method,
        .rpc_name = request->rpc_name,
        .body = request->body,
        .headers_timeout_ms = request->headers_timeout_ms,
        .total_timeout_ms = request->timeout_ms,
        .close_after = request->close_after,
    };
    int result = transfer_start(target, &transfer, &TRANSFER_HANDLERS, call, &call->transfer);
    if (result != 0) {
        destroy(call);
        return result;
    }
    *out = call;
    return 0;
}
