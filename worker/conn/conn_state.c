/* SPDX-License-Identifier: MIT */
/* The one place where an event changes a connection. Whatever happens (a peer's callback, a timer, the limits, the hub)
 * is given to conn_state_feed as an event; it looks up the step, lets go of what the next state does not hold, sets the
 * state and does what the action says.
 *
 * Invariants: there is a peer only in CONNECTING and LISTENING, and in POLLING while a poll is under way; with a peer
 * there is a place under the limits, so everything held is counted. Letting go of both, and of the timers that belong to
 * them, is one function, so nothing of a former attempt can come back: peer_close ends all callbacks. */
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/slab.h"
#include "worker/conn/conn_internal.h"
#include "worker/conn/retry.h"
#include "worker/conn/verdict.h"

#include <assert.h>

enum { ORIGIN_SIZE = 512, FRESH_PROBE_EVERY = 16 };

uint64_t conn_state_poll_interval(const struct conn *conn)
{
    return conn->def->poll_ms ? conn->def->poll_ms : conn->env->config->poll;
}

static uint64_t jitter(const struct conn *conn, uint64_t interval_ms)
{
    return retry_jitter(interval_ms, conn_random(conn->env));
}

void conn_state_arm(struct conn *conn, enum conn_timer timer, uint64_t wait_ms)
{
    conn->due[timer] = moment_of(clock_mono_ms() + wait_ms);
    conn->armed |= (uint8_t)(1U << timer);
}

void conn_state_disarm(struct conn *conn, enum conn_timer timer)
{
    conn->armed &= (uint8_t) ~(1U << timer);
}

void conn_state_set_timer(struct conn *conn)
{
    uint64_t due_ms = conn_list_due(conn), log_due_ms = conn_log_due(conn), now_ms = clock_mono_ms();
    if (log_due_ms < due_ms)
        due_ms = log_due_ms;
    for (size_t i = 0; i < CONN_TIMERS; i++) {
        uint64_t one_ms = conn->armed & 1U << i ? moment_ms(conn->due[i], now_ms) : TIMELINE_NEVER;
        if (one_ms < due_ms)
            due_ms = one_ms;
    }
    timeline_set(conn->env->timeline, &conn->timer, now_ms, due_ms);
    if (conn->lists && conn_list_is_at_rest(conn))
        conn_list_free(conn);
}

/* --- the one way to change a state --- */

static bool lets_go(enum conn_action action)
{
    return action >= CONN_ASK && action <= CONN_LEAVE;
}

/* Nothing of the connection goes on by itself: lists, and the timers of all states. */
static void stop_lists(struct conn *conn, bool publish)
{
    conn_list_stop(conn, publish);
    conn_state_disarm(conn, CONN_TIMER_STATE);
    conn_state_disarm(conn, CONN_TIMER_STABLE);
    conn_state_disarm(conn, CONN_TIMER_VERIFY);
    conn_state_disarm(conn, CONN_TIMER_PING);
}

static void give_room_back(struct conn *conn)
{
    if (conn->room)
        admission_release(conn->env->admission, &conn->room->node);
    slab_give(&slab_held, conn->room, sizeof(*conn->room));
    conn->room = NULL;
    if (conn->is_held)
        admission_let_go(conn->env->admission);
    conn->is_held = false;
}

static void let_go(struct conn *conn, bool publish)
{
    struct server_def *started_with = conn->peer ? peer_def(conn->peer) : conn->def;
    stop_lists(conn, publish);
    peer_close(conn->peer);
    conn->peer = NULL;
    if (started_with != conn->def)
        server_def_destroy(started_with);
    give_room_back(conn);
    conn->has = conn->heard = 0;
}

static uint64_t wait_of_state(const struct conn *conn, enum state state, uint64_t asked_ms)
{
    const struct config *config = conn->env->config;
    uint32_t random = conn_random(conn->env);
    if (state == STATE_BACKOFF)
        return retry_backoff(config->backoff_base, config->backoff_max, conn->attempts, asked_ms, random);
    if (state == STATE_FAILED)
        return retry_backoff(config->retry_failed, config->retry_failed, 1, asked_ms, random);
    if (state == STATE_UNSUPPORTED)
        return retry_jitter(config->retry_failed * RETRY_UNSUPPORTED_FACTOR, random);
    return retry_jitter(RETRY_RESOURCES_MS, random);
}

/* What is left of a wait that a former worker began; not longer than it can have been, whatever the row says. */
static uint64_t rest_of_wait(const struct conn *conn, const struct row *row)
{
    uint64_t wall_ms = clock_wall_ms();
    if (row->next_attempt_ms <= wall_ms)
        return retry_spread(conn->env->count, conn_random(conn->env));
    const struct config *config = conn->env->config;
    uint64_t longest_ms = conn->state == STATE_POLLING ? conn_state_poll_interval(conn) * 2 : config->retry_failed * 5;
    uint64_t rest_ms = row->next_attempt_ms - wall_ms;
    return rest_ms < longest_ms ? rest_ms : longest_ms;
}

static void write_facts(struct conn *conn, struct row *row, const struct peer_facts *facts)
{
    if (facts->era == ERA_UNKNOWN || !facts->protocol_version)
        return; /* it ended before the handshake was through: what was known before still is */
    conn->era = row->era = (uint8_t)facts->era;
    table_text(row->protocol_version, sizeof(row->protocol_version), facts->protocol_version);
    if (facts->server_info)
        table_text(row->server_info, sizeof(row->server_info), facts->server_info);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        row->lists[kind].advertised = facts->advertised >> kind & 1U;
}

/* The row's new error. In QUEUED only a limit is one: what made it wait is what keeps it from going on. */
static const char *error_of(enum state state, enum conn_event event, const struct conn_news *news)
{
    bool limit = event == CONN_EVENT_NO_ROOM || event == CONN_EVENT_NO_RESOURCES;
    return state == STATE_QUEUED && !limit ? "" : news->text;
}

/* Why streams end, and how many are opened again. Events that close none have counter 0, which counts something else. */
static void count_change(const struct conn *conn, enum state from, enum conn_event event, uint64_t connects)
{
    static const enum counter closed[CONN_EVENT_COUNT] = {
        [CONN_EVENT_ASSIGNED] = COUNTER_CLOSED_STOPPED,
        [CONN_EVENT_CHANGED] = COUNTER_CLOSED_CHANGED,
        [CONN_EVENT_SWITCHED_OFF] = COUNTER_CLOSED_SWITCHED_OFF,
        [CONN_EVENT_DROPPED] = COUNTER_CLOSED_DROPPED,
        [CONN_EVENT_STOPPED] = COUNTER_CLOSED_STOPPED,
        [CONN_EVENT_RECONNECT] = COUNTER_CLOSED_RECONNECT,
        [CONN_EVENT_IDLE] = COUNTER_CLOSED_IDLE,
        [CONN_EVENT_NO_RESOURCES] = COUNTER_CLOSED_STREAM_ENDED,
        [CONN_EVENT_UNSUPPORTED] = COUNTER_CLOSED_REFUSED,
        [CONN_EVENT_POLLABLE] = COUNTER_CLOSED_REFUSED,
        [CONN_EVENT_UNAUTHORIZED] = COUNTER_CLOSED_REFUSED,
        [CONN_EVENT_REFUSED] = COUNTER_CLOSED_REFUSED,
        [CONN_EVENT_STREAM_ENDED] = COUNTER_CLOSED_STREAM_ENDED,
        [CONN_EVENT_EXHAUSTED] = COUNTER_CLOSED_STREAM_ENDED,
        [CONN_EVENT_SESSION_LOST] = COUNTER_CLOSED_SESSION_LOST,
        [CONN_EVENT_DEAF] = COUNTER_CLOSED_DEAF,
    };
    static_assert(COUNTER_CONNECTS == 0, "0 is no counter of closed streams");
    if (state_is_connected(from) && closed[event] != 0)
        conn_count(conn, closed[event]);
    if (state_is_connected(conn->state) && connects > 0)
        conn_count(conn, COUNTER_REOPENED);
}

/* `wait_ms` 0: no next attempt is planned. */
static void conn_set_state(struct conn *conn, enum state state, enum conn_event event, const struct conn_news *news,
                           uint64_t wait_ms)
{
    enum state from = conn->state;
    struct row row;
    conn_row_load(conn, &row);
    conn->state = (uint8_t)state;
    row.attempts = conn->attempts;
    row.next_attempt_ms = wait_ms ? clock_wall_ms() + wait_ms : 0;
    const char *error = error_of(state, event, news);
    if (error)
        table_text(row.last_error, sizeof(row.last_error), error);
    if (news->facts)
        write_facts(conn, &row, news->facts);
    if (state != from) {
        uint64_t wall_ms = clock_wall_ms();
        conn_row_note(&row, (uint8_t)from, (uint8_t)state, (uint8_t)event);
        row.state = (uint8_t)state;
        row.state_since_ms = wall_ms;
        row.connected_since_ms = state_is_connected(state) ? wall_ms : 0;
        count_change(conn, from, event, row.connects);
        row.connects += state_is_connected(state) ? 1 : 0;
    }
    conn_row_store(conn, &row);
    if (state == from)
        return;
    conn_log_change(conn, from, event, news->text, wait_ms);
    if (event != CONN_EVENT_DROPPED)
        publish_note(conn->env->publish, conn->row, conn->incarnation, EVENT_STATUS, NULL);
}

/* --- what the actions do --- */

bool conn_state_is_waiting(const struct conn *conn)
{
    return conn->room && conn->room->node.phase == ADMISSION_WAITING;
}

void conn_state_take_room(struct conn *conn)
{
    bool told = conn->limit_told;
    conn->limit_told = false;
    conn_state_feed(conn, CONN_EVENT_ROOM, &(struct conn_news){.text = told ? "" : NULL});
}

/* 0, an outcome of admission_ask, or -ENOMEM. */
static int queue_for_room(struct conn *conn)
{
    char origin[ORIGIN_SIZE];
    server_def_origin(conn->def, origin, sizeof(origin));
    conn->room = slab_take(&slab_held, sizeof(*conn->room));
    if (!conn->room)
        return -ENOMEM;
    conn->room->conn = conn;
    int result = admission_ask(conn->env->admission, &conn->room->node, origin);
    if (result < 0)
        give_room_back(conn);
    return result;
}

static void ask_for_room(struct conn *conn)
{
    int result = queue_for_room(conn);
    if (result == 0) {
        conn_state_take_room(conn);
    } else if (result < 0) {
        conn_state_feed(conn, CONN_EVENT_NO_RESOURCES, &(struct conn_news){.text = "the worker is out of memory"});
    } else {
        conn->limit_told = result == ADMISSION_FULL;
        conn_state_feed(conn, CONN_EVENT_NO_ROOM,
                        &(struct conn_news){.text = conn->limit_told ? conn->env->full_text : ""});
    }
}

/* The era that was right the last time, as long as it leads somewhere; a probe now and then finds a server that has
 * learnt a newer one. */
static enum era hint_of(const struct conn *conn)
{
    struct row row;
    conn_row_load(conn, &row);
    bool probe = conn->attempts > 1 || row.connects % FRESH_PROBE_EVERY == FRESH_PROBE_EVERY - 1;
    return probe ? ERA_UNKNOWN : (enum era)conn->era;
}

static void start_attempt(struct conn *conn)
{
    conn_count(conn, COUNTER_CONNECTS);
    int result = peer_start(conn->env->peers, conn->def, hint_of(conn), conn, &conn->peer);
    if (result == 0)
        return;
    conn_count(conn, COUNTER_CONNECT_FAILURES);
    const char *text;
    enum conn_event event = verdict_of_start(result, &text);
    conn_state_feed(conn, event, &(struct conn_news){.text = text});
}

/* A poll that is through: nothing is held until the next one. */
void conn_state_end_poll(struct conn *conn)
{
    let_go(conn, true);
    uint64_t wait_ms = jitter(conn, conn_state_poll_interval(conn));
    conn_state_arm(conn, CONN_TIMER_STATE, wait_ms);
    conn->attempts = 0;
    conn_set_state(conn, STATE_POLLING, CONN_EVENT_POLLABLE, &(struct conn_news){0}, wait_ms);
}

/* In POLLING all lists; beside a stream those that it does not tell about. */
static void poll_lists(struct conn *conn)
{
    if (conn->state == STATE_POLLING) {
        stop_lists(conn, true); /* of a stream that turned out to offer nothing */
        conn_list_fetch(conn, UINT8_MAX, REASON_POLL);
        if (!conn_list_is_fetching(conn))
            conn_state_end_poll(conn);
    } else if (conn_state_poll_interval(conn)) {
        conn_list_fetch(conn, (uint8_t)~conn->heard, REASON_POLL);
        conn_state_arm(conn, CONN_TIMER_STATE, jitter(conn, conn_state_poll_interval(conn)));
    }
}

void conn_state_arm_verify(struct conn *conn)
{
    conn_state_disarm(conn, CONN_TIMER_VERIFY);
    if (conn->env->config->verify)
        conn_state_arm(conn, CONN_TIMER_VERIFY, jitter(conn, conn->env->config->verify));
}

void conn_state_arm_ping(struct conn *conn, uint64_t quiet_ms)
{
    conn_state_disarm(conn, CONN_TIMER_PING);
    if (conn->env->config->ping == 0)
        return;
    uint64_t wait_ms = jitter(conn, conn->env->config->ping);
    conn_state_arm(conn, CONN_TIMER_PING, quiet_ms < wait_ms ? wait_ms - quiet_ms : 0);
}

static void hold(struct conn *conn)
{
    conn_count(conn, COUNTER_LISTENS);
    admission_hold(conn->env->admission, &conn->room->node);
    conn->is_held = true;
    slab_give(&slab_held, conn->room, sizeof(*conn->room));
    conn->room = NULL;
    conn_state_arm(conn, CONN_TIMER_STABLE, conn->env->config->stable_after);
    conn_state_arm_verify(conn);
    conn_state_arm_ping(conn, 0);
    if ((conn->def->events & conn->has & ~conn->heard) && conn_state_poll_interval(conn))
        conn_state_arm(conn, CONN_TIMER_STATE, jitter(conn, conn_state_poll_interval(conn)));
    conn_list_fetch(conn, UINT8_MAX, REASON_RECONNECT);
}

static void act(struct conn *conn, enum conn_action action)
{
    switch (action) {
    case CONN_ASK:
        ask_for_room(conn);
        break;
    case CONN_START:
        start_attempt(conn);
        break;
    case CONN_HOLD:
        hold(conn);
        break;
    case CONN_POLL:
        poll_lists(conn);
        break;
    case CONN_UNDECIDED:
    case CONN_NEVER:
    case CONN_STAY:
    case CONN_SPREAD:
    case CONN_WAIT:
    case CONN_RESUME:
    case CONN_REST:
    case CONN_LEAVE:
        break; /* done by letting go and arming */
    }
}

/* The wait that the action begins, armed; 0 when it begins none. */
static uint64_t begin_wait(struct conn *conn, const struct conn_step *step, uint64_t asked_ms)
{
    uint64_t wait_ms = 0;
    if (step->action == CONN_SPREAD) {
        wait_ms = retry_spread(conn->env->count, conn_random(conn->env));
    } else if (step->action == CONN_WAIT) {
        wait_ms = wait_of_state(conn, step->next, asked_ms);
    } else if (step->action == CONN_RESUME) {
        struct row row;
        conn_row_load(conn, &row);
        wait_ms = rest_of_wait(conn, &row);
    } else {
        return 0;
    }
    conn_state_arm(conn, CONN_TIMER_STATE, wait_ms);
    return wait_ms;
}

void conn_state_feed(struct conn *conn, enum conn_event event, const struct conn_news *news)
{
    static const struct conn_news none;
    struct conn_step step = conn_fsm_next(conn->state, event);
    news = news ? news : &none;
    if (step.action == CONN_NEVER) {
        log_error("conn.impossible", LOG_TEXT("server", conn->def->id), LOG_TEXT("state", state_name(conn->state)),
                  LOG_TEXT("event", conn_event_name(event)));
        return;
    }
    if (news->facts) {
        conn->has = news->facts->has;
        conn->heard = news->facts->heard;
    }
    if (lets_go(step.action))
        let_go(conn, event != CONN_EVENT_DROPPED);
    uint64_t wait_ms = begin_wait(conn, &step, news->asked_ms);
    if (step.next != conn->state || news->text || wait_ms)
        conn_set_state(conn, step.next, event, news, wait_ms);
    act(conn, step.action);
    conn_state_set_timer(conn);
}
