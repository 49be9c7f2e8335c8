/* SPDX-License-Identifier: MIT */
/* 2024-11-05, HTTP+SSE: one GET is stream, session and the way back of all replies at once.
 *
 *   GET -> event `endpoint` -> POST initialize there -> reply on the stream -> POST notifications/initialized -> listening
 *
 * The endpoint must be of the GET's origin, for our credentials go there. Replies are found by their id among the
 * messages of the stream; that a POST was accepted says only that a reply may come, which is why each has its own time
 * limit. There is nothing to resume and nobody to say goodbye to: when the stream ends, all has ended. */
#include "worker/peer/peer_internal.h"

#include "common/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct peer_http_sse {
    struct transfer *stream;
    struct delay *patience; /* until the endpoint must have come */
    struct call *call;      /* POST of the handshake */
    char *endpoint;         /* URL, or NULL until it is known */
    uint32_t id;            /* of `initialize`, until it has been answered */
};

static const char INITIALIZE[] = "initialize";
static const char INITIALIZED[] = "notifications/initialized";
static const char GET_STREAM[] = "GET";

static struct transfer_target target_of(const struct peer *peer)
{
    struct transfer_target target = peer_target(peer);
    if (peer->as.http_sse->endpoint != NULL)
        target.url = peer->as.http_sse->endpoint;
    return target;
}

static void on_heard(void *user)
{
    peer_on_heard(user);
}

/* --- the handshake --- */

static const struct call_handlers POST_HANDLERS;

static int post_step(struct peer *peer, const char *step, char *body)
{
    if (body == NULL)
        return -ENOMEM;
    peer_set_step(peer, step);
    const struct call_request request = {.body = body, .timeout_ms = peer_attempt_ms(peer)};
    int result = peer_call(peer, &request, &POST_HANDLERS, peer, &peer->as.http_sse->call);
    free(body);
    return result;
}

static void on_posted(void *user, const struct call_reply *reply)
{
    struct peer *peer = user;
    peer->as.http_sse->call = NULL;
    if (reply->verdict != CALL_RESULT)
        peer_fail(peer, peer_step(peer), reply);
    else if (peer_step(peer) == INITIALIZED)
        peer_listening(peer);
}

static const struct call_handlers POST_HANDLERS = {.on_heard = on_heard, .on_reply = on_posted};

static void on_greeted(struct peer *peer, const struct jsonrpc_message *message)
{
    struct peer_http_sse *http_sse = peer->as.http_sse;
    http_sse->id = 0;
    call_cancel(&http_sse->call); /* it may not have been told that its POST was accepted */
    if (message->type == JSONRPC_ERROR) {
        const struct call_reply reply = call_reply_from_message(message);
        peer_fail(peer, INITIALIZE, &reply);
        return;
    }
    struct mcp_hello hello;
    if (mcp_read_initialize(message->result, &hello) != MCP_VERSIONS_COMMON) {
        peer_end(peer, PEER_PROTOCOL, "%s: the server chose a revision that is not known here", INITIALIZE);
        return;
    }
    peer_greet(peer, &hello);
    peer_check(peer, INITIALIZED, post_step(peer, INITIALIZED, mcp_initialized()));
}

static void on_endpoint(struct peer *peer, const char *reference)
{
    struct peer_http_sse *http_sse = peer->as.http_sse;
    delay_cancel(&http_sse->patience);
    http_sse->endpoint = url_resolve(peer->def->url, reference);
    if (http_sse->endpoint == NULL) {
        peer_end(peer, PEER_PROTOCOL, "%s: the endpoint is no URL, or is of another origin", GET_STREAM);
        return;
    }
    http_sse->id = peer_new_id(peer);
    char *body = mcp_initialize(http_sse->id, peer->def);
    peer_check(peer, INITIALIZE, post_step(peer, INITIALIZE, body));
}

/* --- the stream --- */

static void not_this_era(struct peer *peer, const char *problem)
{
    const struct call_reply reply = {.verdict = CALL_BROKEN, .problem = problem};
    transfer_cancel(&peer->as.http_sse->stream);
    peer_not_this_era(peer, GET_STREAM, &reply);
}

static void on_patience_over(void *user)
{
    struct peer *peer = user;
    peer->as.http_sse->patience = NULL;
    not_this_era(peer, "no `endpoint` came on the stream");
}

/* Half of the attempt's time is for the endpoint, so that there is some left to try another era. */
static void on_head(void *user, const struct http_head *head)
{
    struct peer *peer = user;
    if (head->status < 200 || head->status >= 300)
        return; /* its end tells more */
    if (!head->is_event_stream || head->is_garbled)
        not_this_era(peer, head->is_event_stream ? CALL_GARBLED : "the answer is no event stream");
    else
        peer_check(peer, GET_STREAM,
                   delay_start(peer->env->loop, peer_attempt_ms(peer) / 2, on_patience_over, peer,
                               &peer->as.http_sse->patience));
}

static void on_event(void *user, const char *type, const char *data)
{
    struct peer *peer = user;
    if (strcmp(type, "endpoint") == 0 && peer->as.http_sse->endpoint == NULL)
        on_endpoint(peer, data);
}

static void on_message(void *user, const struct jsonrpc_message *message)
{
    struct peer *peer = user;
    const struct peer_http_sse *http_sse = peer->as.http_sse;
    if (http_sse->endpoint == NULL)
        not_this_era(peer, "the first event is not `endpoint`");
    else if (message->type != JSONRPC_RESULT && message->type != JSONRPC_ERROR)
        peer_on_message(peer, message);
    else if (jsonrpc_is_id(http_sse->id, message->id))
        on_greeted(peer, message);
    else
        peer_on_reply(peer, message);
}

static void on_end(void *user, const struct transfer_end *end)
{
    struct peer *peer = user;
    struct call_reply reply = call_reply_from_end(end);
    peer->as.http_sse->stream = NULL;
    delay_cancel(&peer->as.http_sse->patience);
    if (reply.verdict == CALL_BROKEN && reply.problem == NULL)
        reply.problem = "the server closed it";
    if (peer->as.http_sse->endpoint == NULL && !peer_is_beside_the_era(&reply)) {
        peer_not_this_era(peer, GET_STREAM, &reply);
    } else if (peer->as.http_sse->endpoint == NULL) {
        peer_fail(peer, GET_STREAM, &reply);
    } else {
        struct peer_end over =
            peer_end_from(peer->is_listening ? PEER_STREAM_ENDED : PEER_UNREACHABLE, "stream", &reply);
        if (end->retry_ms > 0)
            over.retry_after_ms = end->retry_ms;
        peer_end_as(peer, &over);
    }
}

static const struct transfer_handlers STREAM_HANDLERS = {.target = peer_stream_target,
                                                         .on_head = on_head,
                                                         .on_heard = on_heard,
                                                         .on_message = on_message,
                                                         .on_event = on_event,
                                                         .on_end = on_end};

/* --- the era --- */

static void leave(struct peer *peer)
{
    struct peer_http_sse *http_sse = peer->as.http_sse;
    transfer_cancel(&http_sse->stream);
    delay_cancel(&http_sse->patience);
    call_cancel(&http_sse->call);
    free(http_sse->endpoint);
    free(http_sse);
    peer->as.http_sse = NULL;
}

static int begin(struct peer *peer)
{
    peer->as.http_sse = calloc(1, sizeof(*peer->as.http_sse));
    if (peer->as.http_sse == NULL)
        return -ENOMEM;
    peer_set_step(peer, GET_STREAM);
    const struct transfer_target target = target_of(peer);
    const struct transfer_request request = {.http_method = "GET", .headers_timeout_ms = peer_attempt_ms(peer)};
    peer_count(peer);
    int result = transfer_start(&target, &request, &STREAM_HANDLERS, peer, &peer->as.http_sse->stream);
    if (result != 0)
        leave(peer);
    return result;
}

const struct peer_era PEER_HTTP_SSE = {.era = ERA_SSE,
                                       .answers_requests = true,
                                       .cancels = true,
                                       .replies_on_stream = true,
                                       .start = begin,
                                       .target = target_of,
                                       .close = leave};
