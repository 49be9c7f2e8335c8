/* SPDX-License-Identifier: MIT */
/* What the files of a connection share, and nobody else includes:
 *
 *   conn.c        what the worker asks for, and the timers
 *   conn_peer.c   what the peer tells
 *   conn_state.c  events to states
 *   conn_list.c   its lists
 *   conn_log.c    its lines of the log
 *   conn_row.c    its row */
#ifndef WORKER_CONN_INTERNAL_H
#define WORKER_CONN_INTERNAL_H

#include "common/rate.h"
#include "worker/conn/burst.h"
#include "worker/conn/conn.h"
#include "worker/conn/conn_fsm.h"
#include "worker/conn/moment.h"

#include <assert.h>

enum conn_timer {
    CONN_TIMER_STATE,  /* what the state waits for: the next attempt or poll */
    CONN_TIMER_STABLE, /* listening: failures are forgiven */
    CONN_TIMER_VERIFY, /* listening: fetch and compare */
    CONN_TIMER_PING,   /* listening: ask whether the server is there */
    CONN_TIMER_IDLE,
    CONN_TIMERS
};

/* One list that is watched, while there is something to remember of it. */
struct conn_list {
    struct burst burst;
    struct catalog_digest *digest; /* of the row's fingerprint; --enrich only, else NULL */
    uint32_t notifications;        /* not yet added to the row */
    uint8_t kind;
    uint8_t reason;   /* enum reason: of an event, should a fetched list differ */
    uint8_t failures; /* fetches in a row */
};

/* Its place in the queue for an attempt, and during it. */
struct conn_room {
    struct admission_node node;
    struct conn *conn;
};

/* What is counted in the minute that began with the first of it; all zero: nothing is. */
struct conn_minute {
    uint32_t since_s;
    uint32_t requests; /* of both sides */
    uint32_t notifications;
    uint32_t lines; /* of changes of state in the log, those left out as well */
};

/* Kept small: there may be a hundred thousand. */
struct conn {
    struct conn_env *env;
    struct server_def *def;
    struct peer *peer;       /* its definition is owned here, too, when it is not `def` any more */
    struct conn_list *lists; /* as many as `def` watches; NULL: all are at rest */
    struct conn_room *room;  /* NULL: it neither waits nor connects */
    struct timeline_node timer;
    uint32_t due[CONN_TIMERS]; /* moments; of those that are `armed` */
    struct conn_minute minute;
    uint32_t session_lost_s; /* when a lost session was last replaced at once; 0: never */
    uint32_t row, incarnation;
    uint32_t attempts;  /* failed in a row */
    uint32_t heard_s;   /* last_heard_ms of the row, in seconds */
    uint8_t state;      /* enum state */
    uint8_t era;        /* enum era: the last one that was right */
    uint8_t has, heard; /* of peer_facts; while there is a peer */
    uint8_t list_count;
    uint8_t armed; /* bit an enum conn_timer */
    bool is_held;  /* under the limits */
    bool limit_told;
};
static_assert(sizeof(struct conn) <= 112, "a connection is small");
static_assert(CONN_TIMERS <= 8, "they are bits of a byte");

uint32_t conn_random(struct conn_env *env);
void conn_count(const struct conn *conn, enum counter counter);

/* What is counted in this minute, which begins now if the last one is over. */
struct conn_minute *conn_minute(struct conn *conn);

/* --- conn_state.c --- */

/* What is known beside the event. */
struct conn_news {
    const char *text; /* the row's new error; "" clears it, NULL keeps it */
    const struct peer_facts *facts;
    uint64_t asked_ms; /* wait that the server asks for */
};

/* Something happened: the next state, and all that goes with it. `news` may be NULL. */
void conn_state_feed(struct conn *conn, enum conn_event event, const struct conn_news *news);

/* A poll is through: nothing is held until the next one. */
void conn_state_end_poll(struct conn *conn);

/* It waits because of a limit. */
bool conn_state_is_waiting(const struct conn *conn);

/* The limits let an attempt begin. */
void conn_state_take_room(struct conn *conn);

void conn_state_arm(struct conn *conn, enum conn_timer timer, uint64_t wait_ms);
void conn_state_disarm(struct conn *conn, enum conn_timer timer);
void conn_state_arm_verify(struct conn *conn);
/* `quiet_ms`: for so long nothing has been heard. */
void conn_state_arm_ping(struct conn *conn, uint64_t quiet_ms);

/* After any change of timers: puts the earliest into the timeline. */
void conn_state_set_timer(struct conn *conn);

/* 0: not to be polled. */
uint64_t conn_state_poll_interval(const struct conn *conn);

/* --- conn_log.c: its lines of the log --- */

/* The state has changed; `error` NULL or "": without one, `wait_ms` 0: no next attempt is planned. */
void conn_log_change(struct conn *conn, enum state from, enum conn_event event, const char *error, uint64_t wait_ms);

/* When to call conn_minute because lines were left out, or TIMELINE_NEVER. */
uint64_t conn_log_due(const struct conn *conn);

/* The minute is over: tells how many lines were left out in it, if any. */
void conn_log_left_out(const struct conn *conn);

/* --- conn_row.c: the row, of which nothing is kept in memory --- */

/* Reads it; repairs it first when a writer died in it or it holds no such server, history then being unknown. */
void conn_row_load(const struct conn *conn, struct row *row);

/* Writes it, with what was counted since. */
void conn_row_store(struct conn *conn, struct row *row);

/* The same, and begins a new generation of a list with it, at once. */
void conn_row_change(struct conn *conn, struct row *row, enum kind kind);

/* Copies in what the definition says. */
void conn_row_identify(const struct conn *conn, struct row *row);

/* A new line of its history. */
void conn_row_note(struct row *row, uint8_t from, uint8_t to, uint8_t event);

/* --- conn_list.c: the lists --- */

enum conn_list_outcome {
    CONN_LIST_DONE,
    CONN_LIST_FAILED, /* not fetched */
    CONN_LIST_DEAF,   /* it differs, and the stream did not tell */
};

void conn_list_free(struct conn *conn);

/* How many notifications were heard that are not in the row yet; they are now. */
uint32_t conn_list_take_notifications(struct conn *conn);

/* Nothing of the lists needs remembering: no change, no fetch, no failure, no digest. */
bool conn_list_is_at_rest(const struct conn *conn);

/* Fetches those of `kinds` (bits) that the server has, to compare them for `reason`. */
void conn_list_fetch(struct conn *conn, uint8_t kinds, enum reason reason);
bool conn_list_is_fetching(const struct conn *conn);

/* A change was heard. The notifications of this minute have been counted. */
void conn_list_changed(struct conn *conn, enum kind kind);
void conn_list_resumed(struct conn *conn);
enum conn_list_outcome conn_list_fetched(struct conn *conn, enum kind kind, const struct peer_fetched *fetched);

/* When to call conn_list_expired, or TIMELINE_NEVER. */
uint64_t conn_list_due(const struct conn *conn);
void conn_list_expired(struct conn *conn, uint64_t now_ms);

/* The connection ends: publishes the events owed, or forgets them. */
void conn_list_stop(struct conn *conn, bool publish);

#endif
