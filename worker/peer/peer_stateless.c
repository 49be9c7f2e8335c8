/* SPDX-License-Identifier: MIT */
/* 2026-07-28: no session and no handshake. One request, whose answer is a stream that stays open, listens; another asks
 * what the server is, where that is not clear from the first.
 *
 *   subscriptions/listen   -> event stream: acknowledged{what is honoured}, list_changed …, [result: ended gracefully]
 *   server/discover        -> supportedVersions, capabilities
 *
 * An acknowledgement of all that was asked for leaves nothing open: the server is of this era, has these lists, and its
 * name comes with them. So that is asked first (any request may be the first one: basic/versioning, Protocol Version
 * Negotiation), and most servers are asked nothing else. After any other answer server/discover tells the eras apart, and
 * what lists there are.
 *
 * Listening begins with the acknowledgement, for what it honours; nothing honoured is nothing to listen to. Messages of
 * other subscriptions are dropped. The stream cannot be resumed, and closing it is how a client leaves. Responses are
 * never sent in this era, so requests of the server are passed over. */
#include "worker/peer/peer_internal.h"

#include <errno.h>
#include <stdlib.h>

static const char DISCOVER[] = "server/discover";
static const char LISTEN[] = "subscriptions/listen";

static const struct call_handlers DISCOVER_HANDLERS, LISTEN_HANDLERS;
static const struct transfer_handlers STREAM_HANDLERS;

static struct transfer_target target_of(const struct peer *peer)
{
    struct transfer_target target = peer_target(peer);
    target.version = MCP_STATELESS_VERSION;
    return target;
}

static int discover(struct peer *peer)
{
    struct peer_stateless *stateless = &peer->as.stateless;
    stateless->has_discovered = true;
    stateless->id = peer_new_id(peer);
    char *body = mcp_discover(stateless->id, peer->def);
    if (body == NULL)
        return -ENOMEM;
    peer_set_step(peer, DISCOVER);
    const struct call_request request = {
        .rpc_method = DISCOVER, .id = stateless->id, .body = body, .timeout_ms = peer_attempt_ms(peer)};
    int result = peer_call(peer, &request, &DISCOVER_HANDLERS, peer, &stateless->under_way.call);
    free(body);
    return result;
}

static int subscribe(struct peer *peer)
{
    struct peer_stateless *stateless = &peer->as.stateless;
    stateless->id = peer_new_id(peer);
    char *body = mcp_listen(stateless->id, peer->def);
    if (body == NULL)
        return -ENOMEM;
    peer_set_step(peer, LISTEN);
    const struct call_request request = {.rpc_method = LISTEN, .id = stateless->id, .body = body};
    int result = peer_call(peer, &request, &LISTEN_HANDLERS, peer, &stateless->under_way.call);
    free(body);
    return result;
}

static void on_heard(void *user)
{
    peer_on_heard(user);
}

/* Says nothing about the era, or that it is this one and our request is wrong. */
static bool is_fault(const struct call_reply *reply)
{
    return peer_is_beside_the_era(reply) || reply->code == JSONRPC_HEADER_MISMATCH ||
           reply->code == JSONRPC_MISSING_CAPABILITY;
}

/* --- server/discover --- */

/* What the answer says of versions is not that all is well. */
static void on_versions(struct peer *peer, enum mcp_versions versions, const struct call_reply *reply)
{
    struct peer_stateless *stateless = &peer->as.stateless;
    if (versions == MCP_VERSIONS_LEGACY || versions == MCP_VERSIONS_UNTOLD) {
        peer_not_this_era(peer, DISCOVER, reply);
    } else if (versions == MCP_VERSIONS_FOREIGN || stateless->retried) {
        peer_end(peer, PEER_PROTOCOL, "%s: the server speaks no revision that is known here", DISCOVER);
    } else { /* ours is refused, and named as supported: once more */
        stateless->retried = true;
        peer_check(peer, DISCOVER, discover(peer));
    }
}

static void on_discovered(void *user, const struct call_reply *reply)
{
    struct peer *peer = user;
    peer->as.stateless.under_way.call = NULL;
    if (is_fault(reply)) {
        peer_fail(peer, DISCOVER, reply);
    } else if (reply->verdict == CALL_RESULT) {
        struct mcp_hello hello;
        enum mcp_versions versions = mcp_read_discover(reply->result, &hello);
        if (versions != MCP_VERSIONS_COMMON) {
            on_versions(peer, versions, reply);
            return;
        }
        const struct peer_attempt *attempt = peer_attempt(peer);
        peer_greet(peer, &hello);
        if (attempt->is_refused)
            peer_end_as(peer, &attempt->refusal);
        else
            peer_check(peer, LISTEN, subscribe(peer));
    } else if (reply->code == JSONRPC_UNSUPPORTED_VERSION) {
        on_versions(peer, mcp_read_supported(reply->data), reply);
    } else {
        peer_not_this_era(peer, DISCOVER, reply);
    }
}

static const struct call_handlers DISCOVER_HANDLERS = {.on_heard = on_heard, .on_reply = on_discovered};

/* --- subscriptions/listen --- */

static void on_acknowledged(struct peer *peer, uint8_t kinds)
{
    peer->heard = kinds & peer->def->events;
    if (peer->heard != 0)
        peer_listening(peer);
    else
        peer_end(peer, PEER_UNSUPPORTED, "%s: the server honours none of the notifications asked for", LISTEN);
}

static void end_gracefully(struct peer *peer)
{
    const struct peer_end end = {.reason = PEER_STREAM_ENDED, .graceful = true, .text = "the server ended the stream"};
    peer_end_as(peer, &end);
}

void peer_stateless_on_message(struct peer *peer, uint32_t id, const struct jsonrpc_message *message)
{
    uint8_t kinds;
    if (mcp_is_cancelled(message, id)) {
        if (peer->is_listening)
            end_gracefully(peer);
        else
            peer_end(peer, PEER_UNREACHABLE, "%s: cancelled by the server", LISTEN);
    } else if (message->type != JSONRPC_REQUEST && !mcp_is_of(message, id)) {
        return;
    } else if (!peer->is_listening && !peer->is_ended && mcp_is_acknowledgement(message, &kinds)) {
        on_acknowledged(peer, kinds);
    } else {
        peer_on_message(peer, message);
    }
}

/* A stream that is acknowledged is listened to for months, or left at once: the call is not kept for that. */
static void on_message(void *user, const struct jsonrpc_message *message)
{
    struct peer *peer = user;
    struct peer_stateless *stateless = &peer->as.stateless;
    uint8_t kinds;
    if (mcp_is_of(message, stateless->id) && mcp_is_acknowledgement(message, &kinds)) {
        if (!stateless->has_discovered && (peer->def->events & ~kinds) != 0) {
            call_cancel(&stateless->under_way.call);
            peer_check(peer, DISCOVER, discover(peer));
            return;
        }
        if (!stateless->has_discovered)
            peer_greet(peer, &(struct mcp_hello){.version = MCP_STATELESS_VERSION, .advertised = kinds, .has = kinds});
        struct transfer *stream = call_leave_stream(&stateless->under_way.call, &STREAM_HANDLERS, peer);
        stateless->is_acknowledged = stream != NULL;
        if (stream != NULL)
            stateless->under_way.stream = stream;
    }
    peer_stateless_on_message(peer, stateless->id, message);
}

/* The end that it is the cause of that the stream was refused, or ended before it was acknowledged. */
static struct peer_end refusal_of(const struct call_reply *reply)
{
    struct peer_end end = peer_end_from(PEER_PROTOCOL, LISTEN, reply);
    if (reply->verdict == CALL_RESULT && reply->is_json) {
        end.reason = PEER_UNSUPPORTED;
        snprintf(end.text, sizeof(end.text), "%s: answered at once, without a stream", LISTEN);
    } else if (reply->code == JSONRPC_METHOD_NOT_FOUND || reply->code == JSONRPC_INVALID_PARAMS ||
               (reply->verdict == CALL_REFUSED && (reply->status == 404 || reply->status == 405))) {
        end.reason = PEER_UNSUPPORTED;
    } else if (reply->code == JSONRPC_INTERNAL_ERROR) { /* so says a server that has no room for one more */
        end.reason = PEER_UNREACHABLE;
    }
    return end;
}

static void end_refused(struct peer *peer, const struct call_reply *reply)
{
    const struct peer_end end = refusal_of(reply);
    peer_end_as(peer, &end);
}

void peer_stateless_over(struct peer *peer, const struct call_reply *reply)
{
    if (!peer->is_listening && peer_is_beside_the_era(reply))
        peer_fail(peer, LISTEN, reply);
    else if (!peer->is_listening)
        end_refused(peer, reply);
    else if (reply->verdict == CALL_RESULT || reply->verdict == CALL_ERROR)
        end_gracefully(peer);
    else if (reply->verdict == CALL_BROKEN && reply->http != NULL)
        peer_end(peer, PEER_STREAM_ENDED, "stream: the server closed it");
    else
        peer_end(peer, PEER_STREAM_ENDED, "stream: %s",
                 reply->verdict == CALL_BROKEN ? reply->problem : reply->http->text);
}

/* Codes that this era gives no meaning to, and older servers give to a request that is not `initialize`. */
static bool is_of_older(const struct call_reply *reply)
{
    return reply->verdict == CALL_REFUSED &&
           (reply->code == JSONRPC_INVALID_REQUEST ||
            (reply->code <= JSONRPC_IMPLEMENTATION_FIRST && reply->code >= JSONRPC_IMPLEMENTATION_LAST));
}

/* No acknowledgement, and nothing is known of the server yet. */
static void on_refused_first(struct peer *peer, const struct call_reply *reply)
{
    struct peer_attempt *attempt = peer_attempt(peer);
    if (is_fault(reply)) {
        peer_fail(peer, LISTEN, reply);
    } else if (is_of_older(reply)) {
        peer_not_this_era(peer, LISTEN, reply);
    } else {
        attempt->is_refused = reply->code != JSONRPC_UNSUPPORTED_VERSION;
        attempt->refusal = refusal_of(reply);
        peer_check(peer, DISCOVER, discover(peer));
    }
}

static void on_reply(void *user, const struct call_reply *reply)
{
    struct peer *peer = user;
    peer->as.stateless.under_way.call = NULL;
    if (peer->as.stateless.has_discovered)
        peer_stateless_over(peer, reply);
    else
        on_refused_first(peer, reply);
}

static const struct call_handlers LISTEN_HANDLERS = {
    .on_heard = on_heard, .on_message = on_message, .on_reply = on_reply};

static void on_stream_message(void *user, const struct jsonrpc_message *message)
{
    struct peer *peer = user;
    uint32_t id = peer->as.stateless.id;
    bool is_error = message->type == JSONRPC_ERROR;
    if ((is_error && message->id == NULL) ||
        ((is_error || message->type == JSONRPC_RESULT) && jsonrpc_is_id(id, message->id)))
        end_gracefully(peer);
    else
        peer_stateless_on_message(peer, id, message);
}

static void on_stream_end(void *user, const struct transfer_end *end)
{
    struct peer *peer = user;
    const struct call_reply reply = call_reply_from_end(end);
    peer->as.stateless.under_way.stream = NULL;
    peer_stateless_over(peer, &reply);
}

static const struct transfer_handlers STREAM_HANDLERS = {
    .target = peer_stream_target, .on_heard = on_heard, .on_message = on_stream_message, .on_end = on_stream_end};

/* --- the era --- */

static void leave(struct peer *peer)
{
    struct peer_stateless *stateless = &peer->as.stateless;
    if (stateless->is_acknowledged)
        transfer_cancel(&stateless->under_way.stream);
    else
        call_cancel(&stateless->under_way.call);
}

static int begin(struct peer *peer)
{
    peer->as.stateless = (struct peer_stateless){.id = 0};
    int result = peer->env->discovers ? discover(peer) : subscribe(peer);
    if (result != 0)
        leave(peer);
    return result;
}

const struct peer_era PEER_STATELESS = {
    .era = ERA_STATELESS, .names_methods = true, .start = begin, .target = target_of, .close = leave};
