/* SPDX-License-Identifier: MIT */
/* What the peer tells, as events. What an end means by itself is verdict.c's; what it means to this connection is decided
 * here: attempts are used up or not, polling is wanted or not, a lost session may be replaced at once or not. Everything
 * else is conn_state.c's. */
#include "common/clock.h"
#include "worker/conn/conn_internal.h"
#include "worker/conn/retry.h"
#include "worker/conn/verdict.h"

#include <stdio.h>

enum { NOISE_FACTOR = 10 };

static void on_listening(void *user, const struct peer_facts *facts)
{
    conn_state_feed(user, CONN_EVENT_LISTENING, &(struct conn_news){.text = "", .facts = facts});
}

static void on_resumed(void *user)
{
    struct conn *conn = user;
    if (conn->state == STATE_LISTENING)
        conn_list_resumed(conn);
    conn_state_set_timer(conn);
}

/* One more failure: an attempt, a poll or an open stream. */
static void failed(struct conn *conn, enum conn_event event, const struct conn_news *news)
{
    if (conn->attempts < UINT32_MAX)
        conn->attempts++;
    bool exhausted = retry_exhausted(conn->attempts, conn->env->config->max_attempts);
    conn_state_feed(conn, exhausted ? CONN_EVENT_EXHAUSTED : event, news);
}

/* Counts it. False: there are so many that the server is to be set aside. */
static bool is_bearable(struct conn *conn)
{
    uint64_t most = conn->env->config->max_notifications;
    uint32_t count = ++conn_minute(conn)->notifications;
    if (count > most)
        conn_count(conn, COUNTER_LIMIT_NOTIFICATIONS);
    return count <= most * NOISE_FACTOR;
}

/* The change that was heard last is told all the same. */
static void set_aside(struct conn *conn)
{
    char text[ROW_ERROR_SIZE];
    snprintf(text, sizeof(text), "more than %llu notifications in a minute (%d times --max-notifications)",
             (unsigned long long)conn->env->config->max_notifications * NOISE_FACTOR, NOISE_FACTOR);
    conn_count(conn, COUNTER_LIMIT_ASIDE);
    conn_count(conn, COUNTER_STREAM_ENDS);
    failed(conn, CONN_EVENT_STREAM_ENDED, &(struct conn_news){.text = text, .asked_ms = RATE_MS});
}

/* Before the stream is open nothing needs telling: the lists are fetched and compared once it is. */
static void on_changed(void *user, enum kind kind)
{
    struct conn *conn = user;
    if (conn->state == STATE_LISTENING) {
        bool is_loud = !is_bearable(conn);
        conn_list_changed(conn, kind);
        if (is_loud)
            set_aside(conn);
    }
    conn_state_set_timer(conn);
}

static uint32_t on_request(void *user)
{
    return ++conn_minute(user)->requests;
}

static void on_heard(void *user)
{
    struct conn *conn = user;
    uint32_t now_s = (uint32_t)(clock_wall_ms() / 1000);
    if (now_s == conn->heard_s)
        return;
    conn->heard_s = now_s;
    struct row row;
    conn_row_load(conn, &row);
    conn_row_store(conn, &row);
}

/* True, once in a while: a lost session is replaced at once. */
static bool may_replace_session(struct conn *conn)
{
    uint64_t now_ms = clock_mono_ms();
    if (conn->state != STATE_LISTENING ||
        !retry_session_at_once((uint64_t)conn->session_lost_s * 1000, now_ms, conn->env->config->stable_after))
        return false;
    conn->session_lost_s = (uint32_t)(now_ms / 1000);
    return true;
}

static void on_list(void *user, enum kind kind, const struct peer_fetched *fetched)
{
    struct conn *conn = user;
    enum conn_list_outcome outcome = conn_list_fetched(conn, kind, fetched);
    if (conn->state == STATE_POLLING && outcome == CONN_LIST_FAILED)
        failed(conn, CONN_EVENT_ATTEMPT_FAILED, &(struct conn_news){.text = fetched->error});
    else if (conn->state == STATE_POLLING && !conn_list_is_fetching(conn))
        conn_state_end_poll(conn);
    else if (outcome == CONN_LIST_DEAF)
        conn_state_feed(conn, CONN_EVENT_DEAF, &(struct conn_news){.text = "the stream did not tell of a change"});
    conn_state_set_timer(conn);
}

static void count_end(const struct conn *conn, enum peer_end_reason reason)
{
    if (conn->state == STATE_LISTENING)
        conn_count(conn, COUNTER_STREAM_ENDS);
    else if (reason != PEER_UNSUPPORTED)
        conn_count(conn, COUNTER_CONNECT_FAILURES);
    if (reason == PEER_PROTOCOL)
        conn_count(conn, COUNTER_PROTOCOL_ERRORS);
}

static void on_end(void *user, const struct peer_end *end, const struct peer_facts *facts)
{
    struct conn *conn = user;
    struct conn_news news = {.text = end->text, .facts = facts, .asked_ms = end->retry_after_ms};
    count_end(conn, end->reason);
    enum conn_event event = verdict_of_end(conn->state, end->reason, conn_state_poll_interval(conn) > 0);
    if (end->reason == PEER_SESSION_LOST && may_replace_session(conn))
        event = CONN_EVENT_SESSION_LOST;
    if (event == CONN_EVENT_POLLABLE)
        news.text = "";
    if (event == CONN_EVENT_UNSUPPORTED)
        conn->attempts = 0;
    if (event == CONN_EVENT_STREAM_ENDED || event == CONN_EVENT_ATTEMPT_FAILED)
        failed(conn, event, &news);
    else
        conn_state_feed(conn, event, &news);
}

const struct peer_handlers conn_peer_handlers = {
    .on_listening = on_listening,
    .on_resumed = on_resumed,
    .on_changed = on_changed,
    .on_heard = on_heard,
    .on_request = on_request,
    .on_list = on_list,
    .on_end = on_end,
};
