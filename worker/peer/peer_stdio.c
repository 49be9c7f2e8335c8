/* SPDX-License-Identifier: MIT */
/* Both eras over the pipes of a stdio server: one file, because one process is asked on one pipe what it speaks.
 *
 *   server/discover -> result            -> subscriptions/listen -> acknowledged -> listening        2026-07-28
 *                   -> error, or silence -> initialize -> notifications/initialized -> listening     before
 *                   -> exit              -> started again, and asked `initialize` only
 *
 * Some servers of old say nothing to a request before `initialize`, hence the silence, which has half of the attempt's
 * time; some exit, which is borne with once in an attempt. In the old era notifications simply come; in the new one
 * those of our subscription count. When the process ends, all has ended: starting it again is the owner's to decide.
 *
 * What is no message is passed over, since many programs print something; a flood of it is no server.
 *
 * A long line is parsed beside the loop. Meanwhile the process is not read, and the lines that have been read already wait,
 * in their order. */
#include "worker/peer/document.h"
#include "worker/peer/glance.h"
#include "worker/peer/peer_internal.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/mask.h"
#include "worker/stdio/stdio_process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    JUNK_MAX = 1000, /* lines that are no messages, in a window of time */
    JUNK_WINDOW_MS = 10000,
};

enum phase { DISCOVERING, INITIALIZING, LISTENING, INITIALIZED };

struct peer_stdio {
    struct peer *peer; /* NULL: it has left while this was `busy` */
    struct stdio_process *process;
    struct delay *patience;    /* until the probe must have been answered */
    struct document *document; /* that is being parsed beside the loop, or NULL */
    struct buf backlog;        /* lines that came behind it, each with its end */
    uint32_t id;               /* of the request that the phase is about */
    uint64_t junk_since_ms;    /* monotonic */
    uint64_t junk_total;
    unsigned junk; /* since then */
    enum phase phase;
    bool was_probed;      /* the process of now */
    bool has_discovered;  /* or has been asked to, in this attempt */
    bool has_initialized; /* likewise */
    bool retried;         /* server/discover, after an answer that it had already */
    bool restarted;       /* the process, after an exit on the probe */
    bool busy;            /* with a line */
};

static const char DISCOVER[] = "server/discover";
static const char LISTEN[] = "subscriptions/listen";
static const char INITIALIZE[] = "initialize";

static const struct stdio_handlers PROCESS_HANDLERS;

/* --- requests --- */

static int send_line(struct peer *peer, const char *body)
{
    const struct peer_stdio *stdio = peer->as.stdio;
    return stdio->process == NULL ? -EPIPE : stdio_process_write(stdio->process, body);
}

/* Begins a phase with its request. 0 or a negative errno. */
static int ask(struct peer *peer, enum phase phase, const char *method,
               char *(*make)(uint32_t id, const struct server_def *def))
{
    struct peer_stdio *stdio = peer->as.stdio;
    stdio->id = peer_new_id(peer);
    char *body = make(stdio->id, peer->def);
    if (body == NULL)
        return -ENOMEM;
    stdio->phase = phase;
    peer_set_step(peer, method);
    int result = send_line(peer, body);
    free(body);
    return result == -EPIPE ? 0 : result; /* the process tells of that itself */
}

static int initialize(struct peer *peer)
{
    peer->as.stdio->has_initialized = true;
    peer->era = &PEER_STDIO_SESSION;
    return ask(peer, INITIALIZING, INITIALIZE, mcp_initialize);
}

static void on_patience_over(void *user)
{
    struct peer *peer = user;
    peer->as.stdio->patience = NULL;
    peer_check(peer, INITIALIZE, initialize(peer));
}

static int discover(struct peer *peer)
{
    struct peer_stdio *stdio = peer->as.stdio;
    stdio->was_probed = stdio->has_discovered = true;
    peer->era = &PEER_STDIO_STATELESS;
    int result = ask(peer, DISCOVERING, DISCOVER, mcp_discover);
    if (result == 0 && !stdio->has_initialized && stdio->patience == NULL)
        result = delay_start(peer->env->loop, peer_attempt_ms(peer) / 2, on_patience_over, peer, &stdio->patience);
    return result;
}

/* --- which era --- */

static void not_stateless(struct peer *peer, const struct call_reply *reply)
{
    if (peer->as.stdio->has_initialized)
        peer_not_this_era(peer, DISCOVER, reply);
    else
        peer_check(peer, INITIALIZE, initialize(peer));
}

/* A server that says so is of the new era, although its answer to the probe came late, or not at all. */
static void not_session(struct peer *peer, const struct call_reply *reply)
{
    struct peer_stdio *stdio = peer->as.stdio;
    bool is_stateless = reply->code == JSONRPC_UNSUPPORTED_VERSION && !stdio->retried;
    if (stdio->has_discovered && !is_stateless) {
        peer_not_this_era(peer, INITIALIZE, reply);
        return;
    }
    stdio->retried = stdio->has_discovered;
    peer_check(peer, DISCOVER, discover(peer));
}

/* --- server/discover, subscriptions/listen --- */

/* What the answer says of versions is not that all is well. */
static void on_versions(struct peer *peer, enum mcp_versions versions, const struct call_reply *reply)
{
    struct peer_stdio *stdio = peer->as.stdio;
    if (versions == MCP_VERSIONS_LEGACY || versions == MCP_VERSIONS_UNTOLD) {
        not_stateless(peer, reply);
    } else if (versions == MCP_VERSIONS_FOREIGN || stdio->retried) {
        peer_end(peer, PEER_PROTOCOL, "%s: the server speaks no revision that is known here", DISCOVER);
    } else { /* ours is refused, and named as supported: once more */
        stdio->retried = true;
        peer_check(peer, DISCOVER, discover(peer));
    }
}

static void on_discover_reply(struct peer *peer, const struct call_reply *reply)
{
    delay_cancel(&peer->as.stdio->patience);
    if (reply->verdict == CALL_RESULT) {
        struct mcp_hello hello;
        enum mcp_versions versions = mcp_read_discover(reply->result, &hello);
        if (versions != MCP_VERSIONS_COMMON) {
            on_versions(peer, versions, reply);
            return;
        }
        peer_greet(peer, &hello);
        peer_check(peer, LISTEN, ask(peer, LISTENING, LISTEN, mcp_listen));
    } else if (reply->code == JSONRPC_UNSUPPORTED_VERSION) {
        on_versions(peer, mcp_read_supported(reply->data), reply);
    } else if (reply->code == JSONRPC_MISSING_CAPABILITY) {
        peer_fail(peer, DISCOVER, reply);
    } else {
        not_stateless(peer, reply);
    }
}

/* --- initialize --- */

static void on_greeted(struct peer *peer, const struct mcp_hello *hello)
{
    peer_greet(peer, hello);
    peer_post(peer, mcp_initialized());
    peer->as.stdio->phase = INITIALIZED;
    peer_listening(peer);
}

static void on_initialize_reply(struct peer *peer, const struct call_reply *reply)
{
    struct mcp_hello hello;
    if (reply->verdict != CALL_RESULT) {
        not_session(peer, reply);
        return;
    }
    switch (mcp_read_initialize(reply->result, &hello)) {
    case MCP_VERSIONS_COMMON:
        on_greeted(peer, &hello);
        break;
    case MCP_VERSIONS_UNTOLD:
        not_session(peer, reply);
        break;
    case MCP_VERSIONS_LEGACY:
    case MCP_VERSIONS_FOREIGN:
        peer_end(peer, PEER_PROTOCOL, "%s: the server chose a revision that is not known here", INITIALIZE);
        break;
    }
}

/* --- messages --- */

static void on_reply(struct peer *peer, const struct jsonrpc_message *message)
{
    const struct call_reply reply = call_reply_from_message(message);
    switch (peer->as.stdio->phase) {
    case DISCOVERING:
        on_discover_reply(peer, &reply);
        break;
    case INITIALIZING:
        on_initialize_reply(peer, &reply);
        break;
    case LISTENING:
        peer_stateless_over(peer, &reply);
        break;
    case INITIALIZED: /* another answer to what has been answered */
        break;
    }
}

/* An error without an id can only be about the handshake's request while there is no other. */
static bool is_to_phase(const struct peer *peer, const struct jsonrpc_message *message)
{
    if (message->type == JSONRPC_ERROR && message->id == NULL)
        return !peer->is_listening && !peer->is_ended;
    return jsonrpc_is_id(peer->as.stdio->id, message->id);
}

static void on_message(struct peer *peer, const struct jsonrpc_message *message)
{
    const struct peer_stdio *stdio = peer->as.stdio;
    bool is_reply = message->type == JSONRPC_RESULT || message->type == JSONRPC_ERROR;
    if (is_reply && is_to_phase(peer, message))
        on_reply(peer, message);
    else if (is_reply)
        peer_on_reply(peer, message);
    else if (stdio->phase == LISTENING)
        peer_stateless_on_message(peer, stdio->id, message);
    else if (stdio->phase == INITIALIZED)
        peer_on_message(peer, message);
}

static void deliver(struct peer_stdio *stdio, json_t *document, bool is_large)
{
    for (size_t i = 0; i < jsonrpc_count(document) && stdio->peer != NULL; i++) {
        struct jsonrpc_message message = jsonrpc_get(document, i);
        message.is_large = is_large;
        if (message.type != JSONRPC_INVALID)
            on_message(stdio->peer, &message);
    }
}

static void on_junk(struct peer_stdio *stdio)
{
    struct peer *peer = stdio->peer;
    uint64_t now_ms = clock_mono_ms();
    if (stdio->junk_total++ == 0)
        log_warn("stdio.junk", LOG_TEXT("server", peer->def->id),
                 LOG_TEXT("remedy", "the server's standard output is for messages; let it print elsewhere"));
    if (now_ms - stdio->junk_since_ms >= JUNK_WINDOW_MS) {
        stdio->junk_since_ms = now_ms;
        stdio->junk = 0;
    }
    if (++stdio->junk > JUNK_MAX)
        peer_end(peer, PEER_PROTOCOL, "its standard output is not that of an MCP server");
}

/* A document of which nothing is a message is junk like any other. */
static bool has_message(const json_t *document)
{
    for (size_t i = 0; i < jsonrpc_count(document); i++)
        if (jsonrpc_get(document, i).type != JSONRPC_INVALID)
            return true;
    return false;
}

/* Takes what parsing came to. */
static void take(struct peer_stdio *stdio, int outcome, json_t *document, bool is_large)
{
    if (outcome != 0)
        (void)jsonrpc_problem(outcome, stdio->peer->env->limits);
    if (outcome == 0 && has_message(document))
        deliver(stdio, document, is_large);
    else
        on_junk(stdio);
}

static void on_parsed(void *user, int outcome, json_t *document);

/* False, without memory for that. */
static bool put_aside(struct peer_stdio *stdio, const char *line, size_t size)
{
    const struct peer *peer = stdio->peer;
    void *copy = malloc(size);
    if (copy == NULL)
        return false;
    memcpy(copy, line, size);
    if (document_parse(peer->env->loop, copy, size, &peer->env->limits->json, &(struct mask){.def = peer->def},
                       on_parsed, stdio, &stdio->document) == 0)
        return true;
    free(copy);
    return false;
}

static void read_line(struct peer_stdio *stdio, const char *line, size_t size)
{
    const struct peer *peer = stdio->peer;
    struct jsonrpc_message message;
    json_t *document = NULL;
    if (glance(line, size, &peer->env->limits->json, &message)) {
        on_message(stdio->peer, &message);
        return;
    }
    if (size >= DOCUMENT_LARGE && put_aside(stdio, line, size))
        return;
    int outcome = jsonrpc_parse(line, size, &peer->env->limits->json, &document);
    if (outcome == 0)
        mask_document(&(struct mask){.def = peer->def}, line, size, document);
    take(stdio, outcome, document, false);
    json_decref(document);
}

/* Reads what waits, up to the next long line. */
static void read_backlog(struct peer_stdio *stdio)
{
    struct buf backlog = stdio->backlog;
    size_t at = 0;
    buf_init(&stdio->backlog, STDIO_READ_SIZE);
    while (stdio->peer != NULL && stdio->document == NULL && at < backlog.size) {
        const char *line = (const char *)backlog.bytes + at;
        size_t size = (size_t)((const char *)memchr(line, '\n', backlog.size - at) - line);
        read_line(stdio, line, size);
        at += size + 1;
    }
    if (stdio->document != NULL && at < backlog.size) { /* what was there before, and then some */
        memmove(backlog.bytes, backlog.bytes + at, backlog.size - at);
        backlog.size -= (uint32_t)at;
        stdio->backlog = backlog;
    } else {
        buf_fini(&backlog);
    }
}

/* Ends being busy. */
static void rest(struct peer_stdio *stdio)
{
    stdio->busy = false;
    if (stdio->peer == NULL)
        free(stdio);
}

static void on_parsed(void *user, int outcome, json_t *document)
{
    struct peer_stdio *stdio = user;
    uv_loop_t *loop = stdio->peer->env->loop;
    stdio->document = NULL;
    stdio->busy = true;
    take(stdio, outcome, document, true);
    document_free(loop, document);
    if (stdio->peer != NULL)
        read_backlog(stdio);
    if (stdio->peer != NULL && stdio->document == NULL && stdio->process != NULL)
        stdio_process_hold(stdio->process, false);
    rest(stdio);
}

static void on_line(void *user, const char *line, size_t size)
{
    struct peer_stdio *stdio = user;
    if (size == 0)
        return;
    stdio->busy = true;
    peer_on_heard(stdio->peer);
    if (stdio->peer != NULL && stdio->document != NULL) {
        if (buf_append(&stdio->backlog, line, size) != 0 || buf_append(&stdio->backlog, "\n", 1) != 0)
            peer_end(stdio->peer, PEER_NO_RESOURCES, "no memory");
    } else if (stdio->peer != NULL) {
        read_line(stdio, line, size);
        if (stdio->document != NULL)
            stdio_process_hold(stdio->process, true);
    }
    rest(stdio);
}

/* --- the process --- */

static int start_process(struct peer *peer)
{
    struct peer_stdio *stdio = peer->as.stdio;
    return stdio_process_start(peer->env->loop, peer->def, peer->env->limits->line, &PROCESS_HANDLERS, stdio,
                               &stdio->process);
}

/* What has been said and is not heard yet is of no interest any more. */
static void drop_unread(struct peer_stdio *stdio)
{
    document_cancel(&stdio->document);
    buf_fini(&stdio->backlog);
}

static void restart(struct peer *peer)
{
    struct peer_stdio *stdio = peer->as.stdio;
    stdio->restarted = true;
    stdio->was_probed = false;
    delay_cancel(&stdio->patience);
    drop_unread(stdio);
    stdio_process_close(&stdio->process);
    int result = start_process(peer);
    if (result == 0)
        result = initialize(peer);
    peer_check(peer, INITIALIZE, result);
}

static enum peer_end_reason reason_of(const struct peer *peer, const struct stdio_end *end)
{
    switch (end->reason) {
    case STDIO_TOO_LONG:
        return PEER_PROTOCOL;
    case STDIO_NO_RESOURCES:
        return PEER_NO_RESOURCES;
    case STDIO_NOT_STARTED:
    case STDIO_EXITED:
    case STDIO_BROKEN:
        break;
    }
    return peer->is_listening ? PEER_STREAM_ENDED : PEER_UNREACHABLE;
}

static void on_process_end(void *user, const struct stdio_end *end)
{
    struct peer_stdio *stdio = user;
    struct peer *peer = stdio->peer;
    if (end->reason == STDIO_TOO_LONG)
        limits_hit(peer->env->limits, COUNTER_LIMIT_LINE);
    bool in_handshake = stdio->phase == DISCOVERING || stdio->phase == INITIALIZING;
    if (end->reason == STDIO_EXITED && in_handshake && stdio->was_probed && !stdio->restarted) {
        restart(peer);
    } else if (peer->is_ended) { /* it was there for its lists only */
        peer_lists_fail(peer, "the server has ended");
        stdio_process_close(&stdio->process);
    } else {
        peer_end(peer, reason_of(peer, end), "%s", end->text);
    }
}

static const struct stdio_handlers PROCESS_HANDLERS = {.on_line = on_line, .on_end = on_process_end};

/* --- the eras --- */

static void leave(struct peer *peer)
{
    struct peer_stdio *stdio = peer->as.stdio;
    if (stdio->phase == LISTENING)
        peer_post(peer, mcp_cancelled(stdio->id, "no longer wanted"));
    if (stdio->junk_total > 0)
        log_info("stdio.junk_total", LOG_TEXT("server", peer->def->id), LOG_U64("lines", stdio->junk_total));
    drop_unread(stdio);
    stdio_process_close(&stdio->process);
    delay_cancel(&stdio->patience);
    peer->as.stdio = NULL;
    stdio->peer = NULL;
    if (!stdio->busy)
        free(stdio);
}

static int begin(struct peer *peer, int (*first)(struct peer *peer))
{
    peer->as.stdio = calloc(1, sizeof(*peer->as.stdio));
    if (peer->as.stdio == NULL)
        return -ENOMEM;
    peer->as.stdio->peer = peer;
    buf_init(&peer->as.stdio->backlog, STDIO_READ_SIZE);
    int result = start_process(peer);
    if (result == 0)
        result = first(peer);
    if (result != 0)
        leave(peer);
    return result;
}

static int begin_stateless(struct peer *peer)
{
    return begin(peer, discover);
}

static int begin_session(struct peer *peer)
{
    return begin(peer, initialize);
}

const struct peer_era PEER_STDIO_STATELESS = {.era = ERA_STATELESS,
                                              .cancels = true,
                                              .replies_on_stream = true,
                                              .start = begin_stateless,
                                              .send = send_line,
                                              .close = leave};

const struct peer_era PEER_STDIO_SESSION = {.era = ERA_SESSION,
                                            .answers_requests = true,
                                            .cancels = true,
                                            .replies_on_stream = true,
                                            .start = begin_session,
                                            .send = send_line,
                                            .close = leave};
