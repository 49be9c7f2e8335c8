/* SPDX-License-Identifier: MIT */
/* The part of a peer that all eras share: it chooses the era, limits the attempt, and turns what went wrong into one
 * end that its owner can act on.
 *
 *   unknown      subscriptions/listen -> (not this era) initialize -> (refused as old servers do) GET, HTTP+SSE
 *   with a hint  that era first; when the server is not of it, those above that have not been tried
 *   over pipes   peer_stdio.c, which knows both eras of it
 *
 * Only an answer that speaks of the era moves on to the next one. An outage, missing credentials or a policy end the
 * attempt as what they are, with the era left unknown.
 *
 * Texts are made of our own words, HTTP statuses and JSON-RPC codes. A server's own text is left out: it may repeat the
 * credentials that it was sent. */
#include "worker/peer/peer_internal.h"

#include "common/duration.h"
#include "common/rate.h"
#include "common/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t bit_of(enum era era)
{
    return (uint8_t)(1U << era);
}

/* --- what is under way --- */

struct peer_task *peer_task_find(struct peer_task *tasks, enum peer_task_type type)
{
    while (tasks != NULL && tasks->type != type)
        tasks = tasks->next;
    return tasks;
}

void peer_task_add(struct peer *peer, struct peer_task *task, enum peer_task_type type)
{
    *task = (struct peer_task){.next = peer->tasks, .type = type};
    peer->tasks = task;
}

void peer_task_remove(struct peer *peer, const struct peer_task *task)
{
    struct peer_task **link = &peer->tasks;
    while (*link != task)
        link = &(*link)->next;
    *link = task->next;
}

struct peer_attempt *peer_attempt(const struct peer *peer)
{
    return (struct peer_attempt *)peer_task_find(peer->tasks, PEER_ATTEMPT);
}

/* --- for the eras --- */

uint64_t peer_attempt_ms(const struct peer *peer)
{
    return peer->def->timeout_ms > 0 ? peer->def->timeout_ms : peer->env->connect_timeout_ms;
}

static const void *guard_user_of(const struct peer *peer)
{
    bool is_runtime = peer->def->source == SOURCE_RUNTIME;
    return is_runtime ? peer->env->guard_user_runtime : peer->env->guard_user_file;
}

struct transfer_target peer_target(const struct peer *peer)
{
    return (struct transfer_target){
        .loop = peer->env->loop,
        .http = peer->env->http,
        .limits = peer->env->limits,
        .guard = peer->env->guard,
        .guard_user = guard_user_of(peer),
        .def = peer->def,
        .account = peer->account,
        .url = peer->def->url,
    };
}

struct transfer_target peer_stream_target(void *user)
{
    return peer_target(user);
}

void peer_count(struct peer *peer)
{
    const struct peer_env *env = peer->env;
    if (env->handlers->on_request != NULL && env->handlers->on_request(peer->user) > env->limits->requests)
        peer->is_too_much = true;
}

uint32_t peer_new_id(struct peer *peer)
{
    return ++peer->last_id;
}

int peer_call(struct peer *peer, const struct call_request *wanted, const struct call_handlers *handlers, void *user,
              struct call **out)
{
    peer_count(peer);
    if (peer->era->send != NULL) {
        *out = NULL;
        return peer->era->send(peer, wanted->body);
    }
    const struct transfer_target target = peer->era->target(peer);
    struct call_request request = *wanted;
    request.rpc_method = peer->era->names_methods ? wanted->rpc_method : NULL;
    request.rpc_name = peer->era->names_methods ? wanted->rpc_name : NULL;
    request.headers_timeout_ms = wanted->timeout_ms > 0 ? wanted->timeout_ms : peer_attempt_ms(peer);
    request.resumable = peer->era->resumes && wanted->timeout_ms > 0;
    return call_start(&target, &request, handlers, user, out);
}

void peer_set_step(struct peer *peer, const char *step)
{
    struct peer_attempt *attempt = peer_attempt(peer);
    if (attempt != NULL)
        attempt->step = step;
}

const char *peer_step(const struct peer *peer)
{
    const struct peer_attempt *attempt = peer_attempt(peer);
    return attempt != NULL ? attempt->step : "";
}

void peer_greet(struct peer *peer, const struct mcp_hello *hello)
{
    peer->known_era = (uint8_t)peer->era->era;
    peer->advertised = hello->advertised;
    peer->has = hello->has;
    peer->heard = hello->advertised & peer->def->events;
    struct peer_attempt *attempt = peer_attempt(peer);
    if (attempt == NULL)
        return;
    attempt->version = hello->version;
    free(attempt->server_info);
    attempt->server_info = hello->server_info[0] != '\0' ? strdup(hello->server_info) : NULL;
}

static void attempt_destroy(struct peer_attempt *attempt)
{
    if (attempt == NULL)
        return;
    delay_cancel(&attempt->limit);
    free(attempt->server_info);
    free(attempt);
}

/* Ends the attempt, and takes what is known, for a handler: the caller destroys the attempt, which outlives the peer, that
 * the handler may close. */
static struct peer_attempt *end_attempt(struct peer *peer, struct peer_facts *facts)
{
    struct peer_attempt *attempt = peer_attempt(peer);
    if (attempt != NULL) {
        peer_task_remove(peer, &attempt->task);
        delay_cancel(&attempt->limit);
    }
    *facts = (struct peer_facts){.era = (enum era)peer->known_era,
                                 .protocol_version = attempt != NULL ? attempt->version : NULL,
                                 .server_info = attempt != NULL ? attempt->server_info : NULL,
                                 .advertised = peer->advertised,
                                 .has = peer->has,
                                 .heard = peer->heard};
    return attempt;
}

void peer_listening(struct peer *peer)
{
    struct peer_facts facts;
    struct peer_attempt *attempt = end_attempt(peer, &facts);
    peer->is_listening = true;
    peer->env->handlers->on_listening(peer->user, &facts);
    attempt_destroy(attempt);
}

static void end_too_much(struct peer *peer)
{
    struct peer_end end = {.reason = PEER_TOO_MUCH, .retry_after_ms = RATE_MS};
    snprintf(end.text, sizeof(end.text), "more than %u requests in a minute (--max-requests)",
             peer->env->limits->requests);
    limits_hit(peer->env->limits, COUNTER_LIMIT_REQUESTS);
    peer_end_as(peer, &end);
}

void peer_on_heard(struct peer *peer)
{
    peer_ping_heard(peer);
    if (peer->is_ended)
        return;
    if (peer->is_too_much)
        end_too_much(peer);
    else
        peer->env->handlers->on_heard(peer->user);
}

void peer_on_message(struct peer *peer, const struct jsonrpc_message *message)
{
    enum kind kind;
    if (message->type == JSONRPC_REQUEST)
        peer_count(peer);
    if (peer->is_too_much)
        end_too_much(peer);
    else if (message->type == JSONRPC_REQUEST && peer->era->answers_requests)
        peer_post(peer, mcp_answer(message));
    else if (mcp_is_list_changed(message, &kind) && peer->is_listening && (peer->def->events & (1U << kind)) != 0)
        peer->env->handlers->on_changed(peer->user, kind);
}

void peer_on_reply(struct peer *peer, const struct jsonrpc_message *message)
{
    bool taken =
        peer_ping_on_reply(peer, message) || peer_list_on_reply(peer, message) || peer_tool_on_reply(peer, message);
    (void)taken; /* a reply to nothing is passed over */
}

/* --- ends --- */

static void close_all(struct peer *peer)
{
    peer_ping_cancel(peer);
    peer_lists_cancel(peer);
    peer_tool_cancel(peer);
    peer_posts_cancel(peer);
    if (peer->era != NULL)
        peer->era->close(peer);
    peer->era = NULL;
}

void peer_end_as(struct peer *peer, const struct peer_end *end)
{
    if (peer->is_ended)
        return;
    struct peer_facts facts;
    struct peer_attempt *attempt = end_attempt(peer, &facts);
    peer->is_ended = true;
    peer->is_listening = false;
    peer_ping_cancel(peer);
    peer->is_unsupported = end->reason == PEER_UNSUPPORTED;
    if (!peer->is_unsupported)
        close_all(peer);
    peer->env->handlers->on_end(peer->user, end, &facts);
    attempt_destroy(attempt);
}

void peer_end(struct peer *peer, enum peer_end_reason reason, const char *format, ...)
{
    struct peer_end end = {.reason = reason};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(end.text, sizeof(end.text), format, arguments);
    va_end(arguments);
    peer_end_as(peer, &end);
}

void peer_check(struct peer *peer, const char *what, int result)
{
    if (result != 0)
        peer_end(peer, PEER_NO_RESOURCES, "%s: %s", what, uv_strerror(result));
}

static const char *refusal_text(const struct call_reply *reply)
{
    if (reply->status == 401)
        return reply->had_credentials ? ": it refuses the credentials it was given" : ": it wants credentials";
    if (reply->names_host)
        return ": it refuses the host in our URL; use the name it allows, or let it allow this one";
    if (reply->status == 403)
        return reply->challenged || reply->had_credentials ? ": it wants other credentials" : ": forbidden";
    if (reply->status >= 300 && reply->status < 400)
        return ": a redirect, which is not followed";
    if (reply->code == JSONRPC_HEADER_MISMATCH || reply->code == JSONRPC_MISSING_CAPABILITY)
        return ": our request did not arrive as it was sent; a proxy may have changed its headers";
    return "";
}

void peer_reply_text(const struct call_reply *reply, char text[ROW_ERROR_SIZE])
{
    char code[32] = "";
    if (reply->code != 0)
        snprintf(code, sizeof(code), "error %d", reply->code);
    switch (reply->verdict) {
    case CALL_RESULT:
        snprintf(text, ROW_ERROR_SIZE, "not the answer of an MCP server");
        break;
    case CALL_ERROR:
        snprintf(text, ROW_ERROR_SIZE, "%s%s", code[0] != '\0' ? code : "an error", refusal_text(reply));
        break;
    case CALL_REFUSED:
        snprintf(text, ROW_ERROR_SIZE, "HTTP %d%s%s%s", reply->status, code[0] != '\0' ? ", " : "", code,
                 refusal_text(reply));
        break;
    case CALL_FAILED:
        snprintf(text, ROW_ERROR_SIZE, "%s",
                 reply->denied != NULL ? reply->denied->text
                 : reply->http != NULL ? reply->http->text
                                       : "no answer");
        break;
    case CALL_BROKEN:
        snprintf(text, ROW_ERROR_SIZE, "%s", reply->problem != NULL ? reply->problem : "no answer");
        break;
    }
}

struct peer_end peer_end_from(enum peer_end_reason reason, const char *what, const struct call_reply *reply)
{
    struct peer_end end = {.reason = reason, .retry_after_ms = reply->retry_after_ms};
    char text[ROW_ERROR_SIZE];
    peer_reply_text(reply, text);
    snprintf(end.text, sizeof(end.text), "%.30s: %.*s", what, ROW_ERROR_SIZE - 40, text);
    return end;
}

static enum peer_end_reason reason_of_failure(const struct http_end *http)
{
    switch (http != NULL ? http->reason : HTTP_CUT) {
    case HTTP_FORBIDDEN:
        return PEER_FORBIDDEN;
    case HTTP_NO_RESOURCES:
        return PEER_NO_RESOURCES;
    case HTTP_TOO_LARGE:
    case HTTP_BAD:
        return PEER_PROTOCOL;
    case HTTP_DONE:
    case HTTP_CUT:
    case HTTP_NO_RESOLVE:
    case HTTP_NO_CONNECT:
    case HTTP_NO_TLS:
    case HTTP_TIMED_OUT:
        break;
    }
    return PEER_UNREACHABLE;
}

static enum peer_end_reason reason_of_denial(const struct oauth_failure *denied)
{
    switch (denied->reason) {
    case OAUTH_REFUSED:
        return PEER_UNAUTHORIZED;
    case OAUTH_FORBIDDEN:
        return PEER_FORBIDDEN;
    case OAUTH_NO_RESOURCES:
        return PEER_NO_RESOURCES;
    case OAUTH_OUTAGE:
        break;
    }
    return PEER_UNREACHABLE;
}

/* Statuses of a server that is there and cannot serve just now. */
static bool is_outage(int status)
{
    return status >= 500 || status == 408 || status == 425 || status == 429;
}

static bool is_redirect(int status)
{
    return status >= 300 && status < 400;
}

bool peer_is_beside_the_era(const struct call_reply *reply)
{
    if (reply->verdict == CALL_FAILED)
        return true;
    return reply->verdict == CALL_REFUSED &&
           (reply->status == 401 || reply->status == 403 || reply->status == 407 || reply->names_host ||
            is_outage(reply->status) || is_redirect(reply->status));
}

void peer_fail(struct peer *peer, const char *what, const struct call_reply *reply)
{
    struct peer_end end = peer_end_from(PEER_PROTOCOL, what, reply);
    if (reply->http != NULL && reply->http->reason == HTTP_TIMED_OUT)
        limits_hit(peer->env->limits, COUNTER_LIMIT_CONNECT_TIME);
    if (reply->denied != NULL)
        end.reason = reason_of_denial(reply->denied);
    else if (reply->verdict == CALL_FAILED)
        end.reason = reason_of_failure(reply->http);
    else if (reply->names_host)
        end.reason = PEER_FORBIDDEN;
    else if (reply->verdict == CALL_REFUSED && (reply->status == 401 || reply->status == 403))
        end.reason = PEER_UNAUTHORIZED;
    else if (reply->verdict == CALL_REFUSED && is_outage(reply->status))
        end.reason = PEER_UNREACHABLE;
    peer_end_as(peer, &end);
}

/* --- choosing an era --- */

static const struct peer_era *const ERAS[ERA_COUNT] = {
    [ERA_STATELESS] = &PEER_STATELESS, [ERA_SESSION] = &PEER_SESSION, [ERA_SSE] = &PEER_HTTP_SSE};

static const struct peer_era *const STDIO_ERAS[ERA_COUNT] = {
    [ERA_STATELESS] = &PEER_STDIO_STATELESS, [ERA_SESSION] = &PEER_STDIO_SESSION};

static int start_era(struct peer *peer, enum era era)
{
    peer->era = peer->def->transport == TRANSPORT_STDIO ? STDIO_ERAS[era] : ERAS[era];
    peer_attempt(peer)->tried |= bit_of(era);
    assert(peer->era != NULL);
    int result = peer->era->start(peer);
    if (result != 0)
        peer->era = NULL;
    return result;
}

/* The first era to try. */
static enum era choose_first(const struct server_def *def, enum era hint)
{
    if (def->transport == TRANSPORT_SSE)
        return ERA_SSE;
    bool is_known = hint == ERA_SESSION || (hint == ERA_SSE && def->transport == TRANSPORT_HTTP);
    return is_known ? hint : ERA_STATELESS;
}

/* The next era to try, or ERA_UNKNOWN. Over pipes the eras change without starting anew. */
static enum era choose_next(const struct peer *peer)
{
    const struct peer_attempt *attempt = peer_attempt(peer);
    if (peer->def->transport != TRANSPORT_HTTP)
        return ERA_UNKNOWN;
    if ((attempt->tried & bit_of(ERA_STATELESS)) == 0)
        return ERA_STATELESS;
    if ((attempt->tried & bit_of(ERA_SESSION)) == 0)
        return ERA_SESSION;
    if ((attempt->tried & bit_of(ERA_SSE)) == 0 && attempt->may_be_sse)
        return ERA_SSE;
    return ERA_UNKNOWN;
}

void peer_not_this_era(struct peer *peer, const char *what, const struct call_reply *reply)
{
    const struct peer_end end = peer_end_from(PEER_PROTOCOL, what, reply);
    enum era next = choose_next(peer);
    if (next == ERA_UNKNOWN && peer->def->transport == TRANSPORT_SSE) {
        peer_end_as(peer, &end);
    } else if (next == ERA_UNKNOWN) {
        peer_end(peer, PEER_PROTOCOL, "no revision of MCP is spoken there; last answer: %.100s", end.text);
    } else {
        peer->era->close(peer);
        peer_check(peer, "connect", start_era(peer, next));
    }
}

/* What is asked for first has as much time as the attempt, and knows better what it has waited for: so it comes first. */
enum { ATTEMPT_GRACE_MS = 50 };

static void on_attempt_over(void *user)
{
    struct peer *peer = user;
    char limit[DURATION_TEXT_SIZE];
    peer_attempt(peer)->limit = NULL;
    limits_hit(peer->env->limits, COUNTER_LIMIT_CONNECT_TIME);
    peer_end(peer, PEER_UNREACHABLE, "%s: timed out after %s", peer_step(peer),
             duration_format(peer_attempt_ms(peer), limit));
}

/* --- the owner's --- */

/* 0 or a negative errno. */
static MUST_CHECK int begin_attempt(struct peer *peer)
{
    struct peer_attempt *attempt = calloc(1, sizeof(*attempt));
    if (attempt == NULL)
        return -ENOMEM;
    peer_task_add(peer, &attempt->task, PEER_ATTEMPT);
    return delay_start(peer->env->loop, peer_attempt_ms(peer) + ATTEMPT_GRACE_MS, on_attempt_over, peer,
                       &attempt->limit);
}

int peer_start(const struct peer_env *env, struct server_def *def, enum era hint, void *user, struct peer **out)
{
    if (def->transport == TRANSPORT_STDIO && def->source != SOURCE_FILE)
        return -ENOTSUP;
    struct peer *peer = slab_take(&slab_held, sizeof(struct peer));
    if (peer == NULL)
        return -ENOMEM;
    peer->env = env;
    peer->def = def;
    peer->user = user;
    int result = begin_attempt(peer);
    if (result == 0 && def->extras->auth != NULL)
        result = oauth_account_open(env->oauth, def, env->guard, guard_user_of(peer), &peer->account);
    if (result == 0)
        result = start_era(peer, choose_first(def, hint));
    if (result != 0) {
        peer_close(peer);
        return result;
    }
    *out = peer;
    return 0;
}

struct server_def *peer_def(const struct peer *peer)
{
    return peer->def;
}

void peer_close(struct peer *peer)
{
    if (peer == NULL)
        return;
    close_all(peer);
    attempt_destroy(peer_attempt(peer));
    if (peer->account != NULL)
        oauth_account_release(peer->account);
    slab_give(&slab_held, peer, sizeof(*peer));
}
