/* SPDX-License-Identifier: MIT */
/* Calls a tool, in every era, for a probe that was told to: a listener never does. It is here so that a call goes the
 * way of all other requests, whose answers come as JSON, on a stream, on a stream that is resumed, or over a pipe. One
 * call at a time; parameters are not repeated as headers (`x-mcp-header`), so a server that insists on that refuses. */
#include "worker/peer/peer_internal.h"

#include "common/duration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct peer_tool {
    struct peer_task task;
    struct peer *peer;
    struct call *call; /* NULL: the reply comes on the stream */
    struct delay *limit;
    uint32_t id;
};

static struct peer_tool *find(const struct peer *peer)
{
    return (struct peer_tool *)peer_task_find(peer->tasks, PEER_TOOL);
}

void peer_tool_cancel(struct peer *peer)
{
    struct peer_tool *tool = find(peer);
    if (tool == NULL)
        return;
    peer_task_remove(peer, &tool->task);
    call_cancel(&tool->call);
    delay_cancel(&tool->limit);
    free(tool);
}

/* Tells how it ended. Runs a handler. */
static void complete(struct peer *peer, const json_t *result, const char *error)
{
    peer_tool_cancel(peer);
    peer->env->handlers->on_called(peer->user, result, error);
}

static void on_limit(void *user)
{
    struct peer_tool *tool = user;
    struct peer *peer = tool->peer;
    char limit[DURATION_TEXT_SIZE], text[64];
    tool->limit = NULL;
    if (peer->era->cancels)
        peer_post(peer, mcp_cancelled(tool->id, "timeout"));
    snprintf(text, sizeof(text), "timed out after %s", duration_format(PEER_TOOL_MS, limit));
    complete(peer, NULL, text);
}

/* Runs a handler. */
static void take_reply(struct peer *peer, const struct call_reply *reply)
{
    char text[ROW_ERROR_SIZE];
    if (reply->verdict == CALL_RESULT && (peer->era->era != ERA_STATELESS || mcp_is_complete(reply->result))) {
        complete(peer, reply->result, NULL);
        return;
    }
    peer_reply_text(reply, text);
    complete(peer, NULL, reply->verdict == CALL_RESULT ? "an incomplete result: it wants to be asked again" : text);
}

static void on_heard(void *user)
{
    const struct peer_tool *tool = user;
    peer_on_heard(tool->peer);
}

static void on_message(void *user, const struct jsonrpc_message *message)
{
    const struct peer_tool *tool = user;
    peer_on_message(tool->peer, message);
}

static void on_reply(void *user, const struct call_reply *reply)
{
    struct peer_tool *tool = user;
    struct peer *peer = tool->peer;
    tool->call = NULL;
    if (peer->era->replies_on_stream && reply->verdict == CALL_RESULT)
        return;
    if (peer->era->check_lost != NULL && peer->era->check_lost(peer, reply))
        return;
    take_reply(peer, reply);
}

static const struct call_handlers CALL_HANDLERS = {
    .on_heard = on_heard, .on_message = on_message, .on_reply = on_reply};

bool peer_tool_on_reply(struct peer *peer, const struct jsonrpc_message *message)
{
    const struct peer_tool *tool = find(peer);
    if (tool == NULL || !jsonrpc_is_id(tool->id, message->id))
        return false;
    const struct call_reply reply = call_reply_from_message(message);
    take_reply(peer, &reply);
    return true;
}

static int send_call(struct peer_tool *tool, const char *name, json_t *arguments)
{
    struct peer *peer = tool->peer;
    char *body = mcp_call_tool(tool->id, name, arguments, peer->era->era, peer->def);
    const struct call_request request = {
        .rpc_method = MCP_CALL_TOOL,
        .rpc_name = name,
        .id = peer->era->replies_on_stream ? 0 : tool->id,
        .body = body,
        .timeout_ms = PEER_TOOL_MS,
    };
    int result = body == NULL ? -ENOMEM : peer_call(peer, &request, &CALL_HANDLERS, tool, &tool->call);
    free(body);
    return result;
}

int peer_call_tool(struct peer *peer, const char *name, json_t *arguments)
{
    if (find(peer) != NULL || (!peer->is_listening && !peer->is_unsupported))
        return -EBUSY;
    struct peer_tool *tool = calloc(1, sizeof(*tool));
    if (tool == NULL)
        return -ENOMEM;
    tool->peer = peer;
    tool->id = peer_new_id(peer);
    peer_task_add(peer, &tool->task, PEER_TOOL);
    int result = send_call(tool, name, arguments);
    if (result == 0)
        result = delay_start(peer->env->loop, PEER_TOOL_MS, on_limit, tool, &tool->limit);
    if (result != 0)
        peer_tool_cancel(peer);
    return result;
}
