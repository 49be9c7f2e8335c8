/* SPDX-License-Identifier: MIT */
/* Whether a server whose stream is open but says nothing is still there. TCP keepalive finds a machine that has vanished;
 * a program that hangs, or one that its proxy has lost, is found by asking it, in a request of its own whose connection is
 * not kept: `ping`, and in the era that has none `server/discover`, which every server of that era must know.
 *
 * A stream is given up only when two questions in a row are left without any answer, and nothing else was heard
 * meanwhile. Any answer of the server's own, an error as well, is a sign of life. So a server that does not know `ping`
 * is not dead: it is not asked again on this connection. As long as it has never answered one, the second question is
 * its list, which every server knows; so one that passes over what it does not know is left alone, too.
 *
 * What is wrong on our side (no token, no descriptors, no name server) says nothing about the server. */
#include "worker/peer/peer_internal.h"

#include "common/duration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct peer_ping {
    struct peer_task task;
    struct peer *peer;
    struct delay *limit;
    struct call *call; /* or NULL: the answer comes on the stream */
    uint32_t id;
    const char *method;
    bool is_second; /* the first question was left without an answer */
    bool asks_list;
    bool heard; /* anything, since the first question */
};

static const char PING[] = "ping";
static const char DISCOVER[] = "server/discover";

static struct peer_ping *find(const struct peer *peer)
{
    return (struct peer_ping *)peer_task_find(peer->tasks, PEER_PING);
}

void peer_ping_cancel(struct peer *peer)
{
    struct peer_ping *ping = find(peer);
    if (ping == NULL)
        return;
    peer_task_remove(peer, &ping->task);
    call_cancel(&ping->call);
    delay_cancel(&ping->limit);
    free(ping);
}

void peer_ping_heard(struct peer *peer)
{
    struct peer_ping *ping = find(peer);
    if (ping != NULL)
        ping->heard = true;
}

/* A kind of which the server has a list; -1: none. */
static int kind_of(const struct peer *peer)
{
    for (int kind = 0; kind < KIND_COUNT; kind++)
        if ((peer->has & (1U << kind)) != 0)
            return kind;
    return -1;
}

static const struct call_handlers CALL_HANDLERS;

static int send_question(struct peer_ping *ping, const char *body)
{
    struct peer *peer = ping->peer;
    if (peer->era->send != NULL)
        return peer->era->send(peer, body);
    const struct transfer_target target = peer->era->target(peer);
    const struct call_request request = {
        .rpc_method = peer->era->names_methods ? ping->method : NULL,
        .id = peer->era->replies_on_stream ? 0 : ping->id,
        .body = body,
        .headers_timeout_ms = 2 * peer_attempt_ms(peer), /* `limit` comes first */
        .timeout_ms = 2 * peer_attempt_ms(peer),
        .close_after = true,
    };
    return call_start(&target, &request, &CALL_HANDLERS, ping, &ping->call);
}

static void on_limit(void *user);

/* The text of the question whose turn it is; NULL without memory. */
static char *write_question(struct peer_ping *ping)
{
    struct peer *peer = ping->peer;
    int kind = kind_of(peer);
    ping->asks_list = ping->is_second && !peer->knows_ping && kind >= 0;
    if (ping->asks_list) {
        ping->method = mcp_list_method((enum kind)kind);
        return mcp_list(ping->id, (enum kind)kind, NULL, peer->era->era, peer->def);
    }
    ping->method = peer->era->era == ERA_STATELESS ? DISCOVER : PING;
    return ping->method == PING ? mcp_ping(ping->id) : mcp_discover(ping->id, peer->def);
}

/* 0 or a negative errno. */
static int ask(struct peer_ping *ping)
{
    struct peer *peer = ping->peer;
    ping->id = peer_new_id(peer);
    char *body = write_question(ping);
    if (body == NULL)
        return -ENOMEM;
    int result = delay_start(peer->env->loop, peer_attempt_ms(peer), on_limit, ping, &ping->limit);
    if (result == 0)
        result = send_question(ping, body);
    free(body);
    return result;
}

/* No answer: asks once more, or ends the peer, which runs a handler. */
static void miss(struct peer_ping *ping, const char *text)
{
    struct peer *peer = ping->peer;
    call_cancel(&ping->call);
    delay_cancel(&ping->limit);
    if (ping->is_second && !ping->heard) {
        peer_end(peer, PEER_STREAM_ENDED, "%s: %s", ping->method, text);
        return;
    }
    if (!ping->is_second && !ping->heard) {
        ping->is_second = true;
        if (ask(ping) == 0)
            return;
    }
    peer_ping_cancel(peer);
}

static void on_limit(void *user)
{
    struct peer_ping *ping = user;
    char limit[DURATION_TEXT_SIZE], text[64];
    ping->limit = NULL;
    snprintf(text, sizeof(text), "no answer within %s, twice", duration_words(peer_attempt_ms(ping->peer), limit));
    miss(ping, text);
}

/* The reply is not the server's: it is not there, or a gateway says so. */
static bool is_missed(const struct call_reply *reply)
{
    if (reply->verdict == CALL_REFUSED)
        return reply->status >= 502 && reply->status <= 504;
    if (reply->verdict != CALL_FAILED || reply->denied != NULL || reply->http == NULL)
        return false;
    return reply->http->reason == HTTP_CUT || reply->http->reason == HTTP_NO_CONNECT ||
           reply->http->reason == HTTP_TIMED_OUT;
}

/* The answer of one that is there. May run a handler. */
static void take_answer(struct peer *peer, const struct call_reply *reply, bool is_of_list)
{
    if (reply->verdict == CALL_RESULT && !is_of_list) {
        peer->knows_ping = true;
        return;
    }
    if (!peer->knows_ping && reply->verdict != CALL_FAILED)
        peer->is_deaf_to_ping = true;
    if (peer->era->check_lost == NULL || is_of_list)
        return;
    /* What says that the session is lost may be this server's word for a method that it does not know. */
    if (peer->knows_ping)
        (void)peer->era->check_lost(peer, reply);
    else if (reply->verdict == CALL_REFUSED && kind_of(peer) >= 0)
        (void)!peer_list(peer, (enum kind)kind_of(peer)); /* without memory the next ping finds out */
}

static void take_reply(struct peer_ping *ping, const struct call_reply *reply)
{
    char text[ROW_ERROR_SIZE];
    if (is_missed(reply)) {
        peer_reply_text(reply, text);
        miss(ping, text);
        return;
    }
    struct peer *peer = ping->peer;
    bool is_of_list = ping->asks_list;
    peer_ping_cancel(peer);
    take_answer(peer, reply, is_of_list);
}

static void on_message(void *user, const struct jsonrpc_message *message)
{
    const struct peer_ping *ping = user;
    peer_on_message(ping->peer, message);
}

static void on_reply(void *user, const struct call_reply *reply)
{
    struct peer_ping *ping = user;
    ping->call = NULL;
    if (!ping->peer->era->replies_on_stream || reply->verdict != CALL_RESULT)
        take_reply(ping, reply);
}

/* Not by peer_ping_heard: a gateway's bytes are no sign of life. */
static void on_heard(void *user)
{
    const struct peer_ping *ping = user;
    ping->peer->env->handlers->on_heard(ping->peer->user);
}

static const struct call_handlers CALL_HANDLERS = {
    .on_heard = on_heard, .on_message = on_message, .on_reply = on_reply};

bool peer_ping_on_reply(struct peer *peer, const struct jsonrpc_message *message)
{
    struct peer_ping *ping = find(peer);
    if (ping == NULL || !jsonrpc_is_id(ping->id, message->id))
        return false;
    const struct call_reply reply = call_reply_from_message(message);
    take_reply(ping, &reply);
    return true;
}

bool peer_ping(struct peer *peer)
{
    if (!peer->is_listening || peer->is_deaf_to_ping)
        return false;
    if (find(peer) != NULL)
        return true;
    struct peer_ping *ping = calloc(1, sizeof(*ping));
    if (ping == NULL)
        return true;
    ping->peer = peer;
    peer_task_add(peer, &ping->task, PEER_PING);
    if (ask(ping) != 0)
        peer_ping_cancel(peer);
    return true;
}
