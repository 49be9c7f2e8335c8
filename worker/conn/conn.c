/* SPDX-License-Identifier: MIT */
/* A connection as the worker sees it: made when a server is assigned, told what is wanted of it, run when a timer of its
 * own is due, ended when the server is not this worker's any more. What any of that means for its state is decided by
 * conn_state.c, which turns events into states; what its server says is conn_peer.c, its lists are conn_list.c, its row
 * is conn_row.c, its lines of the log are conn_log.c.
 *
 * Nothing but the row outlives a connection, so a new worker, which has only the row, goes on where the last one was. */
#include "common/clock.h"
#include "common/duration.h"
#include "common/slab.h"
#include "worker/conn/conn_internal.h"
#include "worker/conn/retry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t conn_random(struct conn_env *env)
{
    /* splitmix64: jitter needs spread, not secrecy */
    uint64_t z = env->random += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return (uint32_t)(z >> 32);
}

void conn_count(const struct conn *conn, enum counter counter)
{
    table_count(conn->env->table, conn->env->slot, counter, 1);
}

struct conn_minute *conn_minute(struct conn *conn)
{
    uint32_t now_s = (uint32_t)(clock_mono_ms() / 1000);
    if (now_s - conn->minute.since_s >= RATE_MS / 1000) {
        conn_log_left_out(conn);
        conn->minute = (struct conn_minute){.since_s = now_s};
    }
    return &conn->minute;
}

static bool take_due(struct conn *conn, enum conn_timer timer, uint64_t now_ms)
{
    if ((conn->armed & 1U << timer) == 0 || moment_ms(conn->due[timer], now_ms) > now_ms)
        return false;
    conn_state_disarm(conn, timer);
    return true;
}

/* Idle is for servers that were added at run time. */
static void arm_idle(struct conn *conn, uint64_t last_activity_ms)
{
    uint64_t timeout_ms = conn->env->config->idle_timeout;
    conn_state_disarm(conn, CONN_TIMER_IDLE);
    if (timeout_ms == 0 || conn->def->source != SOURCE_RUNTIME)
        return;
    uint64_t wall_ms = clock_wall_ms();
    uint64_t quiet_ms = wall_ms > last_activity_ms ? wall_ms - last_activity_ms : 0;
    conn_state_arm(conn, CONN_TIMER_IDLE, quiet_ms < timeout_ms ? timeout_ms - quiet_ms : 0);
}

/* --- what the timers and the limits tell --- */

static void feed_idle(struct conn *conn)
{
    if (conn_fsm_next(conn->state, CONN_EVENT_IDLE).action == CONN_STAY)
        return; /* its error is worth more than that nobody asks */
    char timeout[DURATION_TEXT_SIZE], text[ROW_ERROR_SIZE];
    snprintf(text, sizeof(text), "idle: nobody asked for it in %s; connect again or touch it",
             duration_words(conn->env->config->idle_timeout, timeout));
    conn_state_feed(conn, CONN_EVENT_IDLE, &(struct conn_news){.text = text});
}

static void forgive(struct conn *conn)
{
    if (conn->attempts == 0)
        return;
    struct row row;
    conn->attempts = 0;
    conn_row_load(conn, &row);
    row.attempts = 0;
    conn_row_store(conn, &row);
}

/* Lists that the stream tells about must not differ untold; the others are merely old. */
static void verify(struct conn *conn)
{
    conn_list_fetch(conn, conn->heard, REASON_VERIFY);
    conn_list_fetch(conn, (uint8_t)~conn->heard, REASON_POLL);
    conn_state_arm_verify(conn);
}

/* A server that was heard is there; one that can't be asked is left to --verify. */
static void ping(struct conn *conn)
{
    uint64_t heard_ms = (uint64_t)conn->heard_s * 1000, wall_ms = clock_wall_ms();
    uint64_t quiet_ms = wall_ms > heard_ms ? wall_ms - heard_ms : 0;
    if (quiet_ms < retry_jitter(conn->env->config->ping, 0))
        conn_state_arm_ping(conn, quiet_ms);
    else if (peer_ping(conn->peer))
        conn_state_arm_ping(conn, 0);
}

static void run_due(struct conn *conn, uint64_t now_ms)
{
    if (take_due(conn, CONN_TIMER_IDLE, now_ms))
        feed_idle(conn);
    if (take_due(conn, CONN_TIMER_STABLE, now_ms))
        forgive(conn);
    if (take_due(conn, CONN_TIMER_VERIFY, now_ms))
        verify(conn);
    if (take_due(conn, CONN_TIMER_PING, now_ms))
        ping(conn);
    if (conn_log_due(conn) <= now_ms)
        (void)conn_minute(conn);
    conn_list_expired(conn, now_ms);
    if (take_due(conn, CONN_TIMER_STATE, now_ms))
        conn_state_feed(conn, CONN_EVENT_DUE, NULL);
    conn_state_set_timer(conn);
}

void conn_run_due(struct conn_env *env)
{
    uint64_t now_ms = clock_mono_ms();
    struct timeline_node *node;
    while ((node = timeline_take_due(env->timeline, now_ms)) != NULL) {
        char *at = (char *)node - offsetof(struct conn, timer);
        run_due((struct conn *)(void *)at, now_ms);
    }
}

void conn_run_admitted(struct conn_env *env)
{
    struct admission_node *node;
    while ((node = admission_next(env->admission)) != NULL) {
        char *at = (char *)node - offsetof(struct conn_room, node);
        conn_state_take_room(((struct conn_room *)(void *)at)->conn);
    }
}

void conn_tell_limit(struct conn *conn)
{
    if (!conn_state_is_waiting(conn) || conn->limit_told)
        return;
    conn->limit_told = true;
    conn_state_feed(conn, CONN_EVENT_NO_ROOM, &(struct conn_news){.text = conn->env->full_text});
}

/* --- what the worker asks for --- */

/* What is idle already stays closed. What is still held, though nobody has asked for so long, has its time from now: the
 * broker may have been down, and nobody could ask. */
static void take_over(struct conn *conn, uint64_t last_activity_ms)
{
    arm_idle(conn, last_activity_ms);
    bool overdue = take_due(conn, CONN_TIMER_IDLE, clock_mono_ms());
    if (!conn->def->enabled) {
        conn_state_feed(conn, CONN_EVENT_SWITCHED_OFF, &(struct conn_news){.text = ""});
    } else if (!overdue) {
        conn_state_feed(conn, CONN_EVENT_ASSIGNED, NULL);
    } else if (conn->state != STATE_DISABLED) {
        arm_idle(conn, clock_wall_ms());
        conn_state_feed(conn, CONN_EVENT_ASSIGNED, NULL);
    }
}

int conn_create(struct conn_env *env, uint32_t row_number, uint32_t incarnation, struct server_def *def,
                struct conn **out)
{
    int result = timeline_reserve(env->timeline, env->count + 1);
    if (result)
        return result;
    struct conn *conn = slab_take(&slab_held, sizeof(struct conn));
    if (!conn)
        return -ENOMEM;
    conn->env = env;
    conn->def = def;
    conn->row = row_number;
    conn->incarnation = incarnation;
    env->count++;
    *out = conn;

    struct row row;
    conn_row_load(conn, &row);
    conn_row_identify(conn, &row);
    conn->state = row.state;
    conn->era = row.era;
    conn->attempts = row.attempts;
    conn->heard_s = (uint32_t)(row.last_heard_ms / 1000);
    if (row.last_activity_ms == 0)
        row.last_activity_ms = clock_wall_ms();
    conn_row_store(conn, &row);
    take_over(conn, row.last_activity_ms);
    return 0;
}

void conn_part(struct conn *conn, enum conn_parting parting)
{
    conn_state_feed(conn, parting == CONN_DROPPED ? CONN_EVENT_DROPPED : CONN_EVENT_STOPPED, NULL);
    timeline_clear(conn->env->timeline, &conn->timer);
    timeline_release(conn->env->timeline, --conn->env->count);
    conn_list_free(conn);
    server_def_destroy(conn->def);
    slab_give(&slab_held, conn, sizeof(*conn));
}

uint32_t conn_incarnation(const struct conn *conn)
{
    return conn->incarnation;
}

static void replace_def(struct conn *conn, struct server_def *def)
{
    if (!conn->peer || peer_def(conn->peer) != conn->def)
        server_def_destroy(conn->def);
    conn->def = def;
    struct row row;
    conn_row_load(conn, &row);
    conn_row_identify(conn, &row);
    conn_row_store(conn, &row);
}

void conn_define(struct conn *conn, struct server_def *def, bool wanted)
{
    bool same = server_def_same_connection(conn->def, def);
    if (server_def_equal(conn->def, def))
        server_def_destroy(def);
    else
        replace_def(conn, def);
    if (!same) {
        conn->attempts = 0;
        conn_state_feed(conn, conn->def->enabled ? CONN_EVENT_CHANGED : CONN_EVENT_SWITCHED_OFF,
                        &(struct conn_news){.text = ""});
    }
    if (wanted) {
        conn_touch(conn);
        if (conn->def->enabled)
            conn_state_feed(conn, CONN_EVENT_WANTED, NULL);
    }
}

void conn_touch(struct conn *conn)
{
    struct row row;
    conn_row_load(conn, &row);
    row.last_activity_ms = clock_wall_ms();
    conn_row_store(conn, &row);
    arm_idle(conn, row.last_activity_ms);
    if (conn->state == STATE_DISABLED && conn->def->enabled)
        conn_state_feed(conn, CONN_EVENT_WANTED, &(struct conn_news){.text = ""});
    conn_state_set_timer(conn);
}

void conn_reconnect(struct conn *conn)
{
    conn_touch(conn);
    if (conn->def->enabled)
        conn_state_feed(conn, CONN_EVENT_RECONNECT, NULL);
}

void conn_reconfigured(struct conn *conn)
{
    struct row row;
    conn_row_load(conn, &row);
    if (conn->state != STATE_DISABLED)
        arm_idle(conn, row.last_activity_ms);
    if (conn->state == STATE_LISTENING) {
        conn_state_arm_verify(conn);
        conn_state_arm_ping(conn, 0);
    }
    if (conn->state == STATE_POLLING && !conn_state_poll_interval(conn))
        conn_state_feed(conn, CONN_EVENT_UNSUPPORTED, &(struct conn_news){.text = "polling is off"});
    else if (conn->state == STATE_REFUSED || (conn->state == STATE_UNSUPPORTED && conn_state_poll_interval(conn)))
        conn_state_feed(conn, CONN_EVENT_WANTED, NULL);
    conn_state_set_timer(conn);
}
