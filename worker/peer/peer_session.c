/* SPDX-License-Identifier: MIT */
/* 2025-03-26 to 2025-11-25, Streamable HTTP: a handshake makes a session, and a GET within it opens the stream.
 *
 *   initialize -> notifications/initialized -> GET -> listening -> (lost, ids seen) GET + Last-Event-ID -> …
 *
 * Servers differ in what they offer: some have no stream (405, or a 200 that is none), some no session id. A server
 * that says no more than 400 or 404 to a request with a session id has forgotten it, which only a new session mends.
 * 409 means that it still holds an older stream of ours: worth waiting for a little.
 *
 * A resumed stream that has stayed is put to the test by a plain GET beside it. Some servers resume a stream and never
 * send another message on it (the reference SDK does with the event store of its examples). They accept that GET, which
 * then becomes the stream; one that holds the resumed stream to be the session's refuses it, and is not asked again.
 *
 * A lost stream is resumed here only while that is quick: the server gave event ids and asks for no long wait, and not
 * more often than RESUMES_MAX in a row. What a server does on purpose is no loss: it may close a stream in order, having
 * said after which time to come again, for as long as it likes (2025-11-25). Everything else is the owner's to retry. So nothing here can go round faster
 * than the back-off of the owner, whatever the server does. */
#include "worker/peer/peer_internal.h"

#include "common/clock.h"
#include "common/slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESUMES_MAX = 3,
    RESUME_DELAY_MS = 500, /* when the server names none */
    RESUME_DELAY_MIN_MS = 100,
    RESUME_DELAY_MAX_MS = 5000, /* a stream that is down for longer is not to be called open */
    POLLED_LIFE_MS = 1000,      /* a stream that was closed on purpose has lived for as long */
    POLLED_DELAY_MIN_MS = 2000, /* after one, whatever the server asks for: it may go on for ever */
    STABLE_MS = 30000,          /* a stream that lived as long may be resumed as often as a new one */
    RIVAL_DELAY_MS = 1000,      /* what is lost again at once is not worth a second request */
    CONFLICTS_MAX = 3,
    CONFLICT_DELAY_MS = 500, /* doubled each time */
};

struct peer_session {
    struct call *call; /* of the handshake */
    struct transfer *stream;
    struct transfer *rival; /* the plain GET beside a resumed stream */
    struct delay *delay;    /* before the next GET: of the stream, or of the rival */
    const char *version;    /* MCP-Protocol-Version; NULL: not known yet */
    char *id;               /* Mcp-Session-Id, or NULL */
    char *cursor;           /* of the last event with an id, or NULL */
    uint64_t opened_ms;     /* monotonic */
    uint8_t resumes;        /* since a stream lived for a while */
    uint8_t conflicts;      /* in a row */
    bool is_open;           /* the stream's head said that it is one */
    bool resumes_well;      /* a rival was refused */
};

static const char INITIALIZE[] = "initialize";
static const char INITIALIZED[] = "notifications/initialized";
static const char GET_STREAM[] = "GET";

static const struct call_handlers INITIALIZE_HANDLERS, INITIALIZED_HANDLERS;
static const struct transfer_handlers STREAM_HANDLERS, RIVAL_HANDLERS;

static struct transfer_target target_of(const struct peer *peer)
{
    struct transfer_target target = peer_target(peer);
    target.version = peer->as.session->version;
    target.session_id = peer->as.session->id;
    return target;
}

static void on_heard(void *user)
{
    peer_on_heard(user);
}

static void on_message(void *user, const struct jsonrpc_message *message)
{
    peer_on_message(user, message);
}

/* --- the end of a session --- */

/* The server has forgotten it, so there is nothing to say goodbye to. Runs a handler. */
static void end_lost(struct peer *peer, const char *what, const struct call_reply *reply)
{
    const struct peer_end end = peer_end_from(PEER_SESSION_LOST, what, reply);
    slab_give_text(&slab_held, peer->as.session->id);
    peer->as.session->id = NULL;
    peer_end_as(peer, &end);
}

/* A 400 with one of these codes is about the request, not about the session. */
static bool is_about_request(const struct call_reply *reply)
{
    return reply->code == JSONRPC_INVALID_PARAMS || reply->code == JSONRPC_METHOD_NOT_FOUND;
}

static bool is_lost(const struct peer *peer, const struct call_reply *reply)
{
    return reply->verdict == CALL_REFUSED && peer->as.session->id != NULL &&
           (reply->status == 404 || reply->status == 400) && !is_about_request(reply);
}

static bool check_lost(struct peer *peer, const struct call_reply *reply)
{
    if (peer->is_ended || !is_lost(peer, reply))
        return false;
    end_lost(peer, "session lost", reply);
    return true;
}

/* --- the stream --- */

static int get(struct peer *peer, const char *cursor, const struct transfer_handlers *handlers, struct transfer **out)
{
    const struct transfer_target target = target_of(peer);
    const struct transfer_request request = {
        .http_method = "GET", .last_event_id = cursor, .headers_timeout_ms = peer_attempt_ms(peer)};
    peer_count(peer);
    return transfer_start(&target, &request, handlers, peer, out);
}

static int open_stream(struct peer *peer)
{
    struct peer_session *session = peer->as.session;
    peer_set_step(peer, GET_STREAM);
    session->is_open = false;
    return get(peer, session->cursor, &STREAM_HANDLERS, &session->stream);
}

static void on_delay_over(void *user)
{
    struct peer *peer = user;
    peer->as.session->delay = NULL;
    peer_check(peer, GET_STREAM, open_stream(peer));
}

static void reopen_after(struct peer *peer, uint64_t wait_ms)
{
    peer_check(peer, GET_STREAM, delay_start(peer->env->loop, wait_ms, on_delay_over, peer, &peer->as.session->delay));
}

static void end_stream(struct peer *peer, const struct transfer_end *stream, const struct call_reply *reply)
{
    struct peer_end end = peer_end_from(PEER_STREAM_ENDED, "stream", reply);
    if (stream->retry_ms > 0)
        end.retry_after_ms = stream->retry_ms;
    peer_end_as(peer, &end);
}

/* The server has closed the stream in order, to be asked again. */
static bool is_polled(const struct peer *peer, const struct transfer_end *end)
{
    const struct peer_session *session = peer->as.session;
    return session->is_open && end->http != NULL && end->http->reason == HTTP_DONE && end->retry_ms > 0 &&
           end->last_event_id[0] != '\0' && clock_mono_ms() - session->opened_ms >= POLLED_LIFE_MS;
}

/* The stream was open, or was to be resumed: goes on with it if that is quick. */
static void on_stream_lost(struct peer *peer, const struct transfer_end *end, const struct call_reply *reply)
{
    struct peer_session *session = peer->as.session;
    uint64_t wait = end->retry_ms > 0 ? end->retry_ms : RESUME_DELAY_MS;
    if (wait < RESUME_DELAY_MIN_MS)
        wait = RESUME_DELAY_MIN_MS;
    bool polled = is_polled(peer, end);
    if (polled && wait < POLLED_DELAY_MIN_MS)
        wait = POLLED_DELAY_MIN_MS;
    if (polled || (session->is_open && clock_mono_ms() - session->opened_ms >= STABLE_MS))
        session->resumes = 0;
    if (session->cursor == NULL || end->problem != NULL || wait > RESUME_DELAY_MAX_MS ||
        session->resumes == RESUMES_MAX) {
        end_stream(peer, end, reply);
        return;
    }
    if (!polled)
        session->resumes++;
    reopen_after(peer, wait);
}

static void on_conflict(struct peer *peer, const struct call_reply *reply)
{
    struct peer_session *session = peer->as.session;
    if (session->conflicts < CONFLICTS_MAX) {
        reopen_after(peer, (uint64_t)CONFLICT_DELAY_MS << session->conflicts++);
        return;
    }
    /* The session is said goodbye to, and with it the old stream. */
    const struct peer_end end = peer_end_from(PEER_SESSION_LOST, GET_STREAM, reply);
    peer_end_as(peer, &end);
}

/* A session that has just begun, and a page of "not found": there is no GET at all. One that is lost is told as JSON. */
static bool has_no_stream(const struct peer *peer, const struct transfer_end *end)
{
    return !peer->is_listening && end->status == 404 && !end->is_json;
}

static void on_refused(struct peer *peer, const struct transfer_end *end, const struct call_reply *reply)
{
    struct peer_session *session = peer->as.session;
    if (reply->status == 409) {
        on_conflict(peer, reply);
    } else if (reply->status == 400 && session->cursor != NULL) { /* it may be the cursor that is no good */
        free(session->cursor);
        session->cursor = NULL;
        peer_check(peer, GET_STREAM, open_stream(peer));
    } else if (is_lost(peer, reply) && !has_no_stream(peer, end)) {
        end_lost(peer, GET_STREAM, reply);
    } else if (peer->is_listening) {
        on_stream_lost(peer, end, reply);
    } else if (reply->status == 405 || reply->status == 404 || reply->status == 400 || reply->status == 501) {
        peer_end(peer, PEER_UNSUPPORTED, "%s: HTTP %d: the server offers no stream", GET_STREAM, reply->status);
    } else {
        peer_fail(peer, GET_STREAM, reply);
    }
}

static void on_rival_due(void *user)
{
    struct peer *peer = user;
    struct peer_session *session = peer->as.session;
    session->delay = NULL;
    if (get(peer, NULL, &RIVAL_HANDLERS, &session->rival) != 0)
        session->rival = NULL; /* a test that is left out */
}

/* Runs a handler. */
static void on_reopened(struct peer *peer)
{
    struct peer_session *session = peer->as.session;
    bool is_resumed = session->cursor != NULL;
    if (is_resumed && !session->resumes_well &&
        delay_start(peer->env->loop, RIVAL_DELAY_MS, on_rival_due, peer, &session->delay) != 0)
        session->delay = NULL;
    peer->env->handlers->on_resumed(peer->user);
}

static void on_stream_head(void *user, const struct http_head *head)
{
    struct peer *peer = user;
    struct peer_session *session = peer->as.session;
    if (head->status < 200 || head->status >= 300)
        return; /* its end tells more */
    if (!head->is_event_stream || head->is_garbled) {
        transfer_cancel(&session->stream);
        peer_end(peer, PEER_UNSUPPORTED, "%s: %s", GET_STREAM,
                 head->is_event_stream ? CALL_GARBLED : "the answer is no event stream");
        return;
    }
    session->is_open = true;
    session->opened_ms = clock_mono_ms();
    session->conflicts = 0;
    if (!peer->is_listening)
        peer_listening(peer);
    else
        on_reopened(peer);
}

static void on_stream_end(void *user, const struct transfer_end *end)
{
    struct peer *peer = user;
    struct peer_session *session = peer->as.session;
    session->stream = NULL;
    transfer_cancel(&session->rival);
    delay_cancel(&session->delay);
    if (end->last_event_id[0] != '\0') {
        free(session->cursor);
        session->cursor = strdup(end->last_event_id);
    }
    struct call_reply reply = call_reply_from_end(end);
    if (reply.verdict == CALL_BROKEN && reply.problem == NULL)
        reply.problem = "the server closed it";
    if (session->is_open)
        on_stream_lost(peer, end, &reply);
    else
        on_refused(peer, end, &reply);
}

static const struct transfer_handlers STREAM_HANDLERS = {.target = peer_stream_target,
                                                         .on_head = on_stream_head,
                                                         .on_heard = on_heard,
                                                         .on_message = on_message,
                                                         .on_end = on_stream_end};

/* --- its rival --- */

static void on_rival_head(void *user, const struct http_head *head)
{
    struct peer *peer = user;
    struct peer_session *session = peer->as.session;
    if (head->status < 200 || head->status >= 300)
        return; /* its end is waited for, so that its connection can be used again */
    if (!head->is_event_stream || head->is_garbled) {
        transfer_cancel(&session->rival);
        return;
    }
    transfer_cancel(&session->stream);
    session->stream = session->rival;
    session->rival = NULL;
    free(session->cursor); /* it is of the other stream */
    session->cursor = NULL;
    peer->env->handlers->on_resumed(peer->user);
}

static void on_rival_end(void *user, const struct transfer_end *end)
{
    const struct peer *peer = user;
    struct peer_session *session = peer->as.session;
    if (session->rival == NULL) { /* it has become the stream */
        on_stream_end(user, end);
        return;
    }
    session->rival = NULL;
    session->resumes_well = end->status >= 400 && end->status < 500;
}

static const struct transfer_handlers RIVAL_HANDLERS = {.target = peer_stream_target,
                                                        .on_head = on_rival_head,
                                                        .on_heard = on_heard,
                                                        .on_message = on_message,
                                                        .on_end = on_rival_end};

/* --- the handshake --- */

static int post_step(struct peer *peer, const char *step, uint32_t id, char *body, const struct call_handlers *handlers)
{
    if (body == NULL)
        return -ENOMEM;
    peer_set_step(peer, step);
    const struct call_request request = {
        .rpc_method = step, .id = id, .body = body, .timeout_ms = peer_attempt_ms(peer)};
    int result = peer_call(peer, &request, handlers, peer, &peer->as.session->call);
    free(body);
    return result;
}

static void on_initialized(void *user, const struct call_reply *reply)
{
    struct peer *peer = user;
    peer->as.session->call = NULL;
    if (reply->verdict == CALL_RESULT)
        peer_check(peer, GET_STREAM, open_stream(peer));
    else if (is_lost(peer, reply))
        end_lost(peer, INITIALIZED, reply);
    else
        peer_fail(peer, INITIALIZED, reply);
}

static const struct call_handlers INITIALIZED_HANDLERS = {
    .on_heard = on_heard, .on_message = on_message, .on_reply = on_initialized};

static void on_greeted(struct peer *peer, const struct call_reply *reply)
{
    struct peer_session *session = peer->as.session;
    struct mcp_hello hello;
    if (reply->session_id[0] != '\0' && (session->id = slab_take_text(&slab_held, reply->session_id)) == NULL) {
        peer_check(peer, INITIALIZE, -ENOMEM);
        return;
    }
    switch (mcp_read_initialize(reply->result, &hello)) {
    case MCP_VERSIONS_COMMON:
        session->version = hello.version;
        peer_greet(peer, &hello);
        peer_check(peer, INITIALIZED, post_step(peer, INITIALIZED, 0, mcp_initialized(), &INITIALIZED_HANDLERS));
        break;
    case MCP_VERSIONS_UNTOLD:
        peer_not_this_era(peer, INITIALIZE, reply);
        break;
    case MCP_VERSIONS_LEGACY:
    case MCP_VERSIONS_FOREIGN:
        peer_end(peer, PEER_PROTOCOL, "%s: the server chose a revision that is not known here", INITIALIZE);
        break;
    }
}

static void on_initialize_reply(void *user, const struct call_reply *reply)
{
    struct peer *peer = user;
    peer->as.session->call = NULL;
    if (reply->verdict == CALL_RESULT) {
        on_greeted(peer, reply);
    } else if (peer_is_beside_the_era(reply)) {
        peer_fail(peer, INITIALIZE, reply);
    } else {
        bool is_modern = reply->code == JSONRPC_UNSUPPORTED_VERSION;
        peer_attempt(peer)->may_be_sse = !is_modern && reply->verdict == CALL_REFUSED &&
                                         (reply->status == 400 || reply->status == 404 || reply->status == 405);
        peer_not_this_era(peer, INITIALIZE, reply);
    }
}

static const struct call_handlers INITIALIZE_HANDLERS = {
    .on_heard = on_heard, .on_message = on_message, .on_reply = on_initialize_reply};

/* --- the era --- */

static void leave(struct peer *peer)
{
    struct peer_session *session = peer->as.session;
    call_cancel(&session->call);
    transfer_cancel(&session->stream);
    transfer_cancel(&session->rival);
    delay_cancel(&session->delay);
    if (session->id != NULL) {
        const struct transfer_target target = target_of(peer);
        peer_farewell(&target);
    }
    slab_give_text(&slab_held, session->id);
    free(session->cursor);
    slab_give(&slab_held, session, sizeof(*session));
    peer->as.session = NULL;
}

static int begin(struct peer *peer)
{
    peer->as.session = slab_take(&slab_held, sizeof(*peer->as.session));
    if (peer->as.session == NULL)
        return -ENOMEM;
    uint32_t id = peer_new_id(peer);
    int result = post_step(peer, INITIALIZE, id, mcp_initialize(id, peer->def), &INITIALIZE_HANDLERS);
    if (result != 0)
        leave(peer);
    return result;
}

const struct peer_era PEER_SESSION = {.era = ERA_SESSION,
                                      .answers_requests = true,
                                      .cancels = true,
                                      .resumes = true,
                                      .start = begin,
                                      .target = target_of,
                                      .check_lost = check_lost,
                                      .close = leave};
