/* SPDX-License-Identifier: MIT */
/* The life of a connection as a table: a state (common/states.def) and an event (common/conn_events.def) give the next state
 * and what to do on the way. Every pair is decided. Pure. */
#ifndef WORKER_CONN_FSM_H
#define WORKER_CONN_FSM_H

#include "common/names.h"

enum conn_action {
    CONN_UNDECIDED, /* stands in no cell */
    CONN_NEVER,     /* the pair can't be: logged, and nothing else */
    CONN_STAY,      /* nothing to do */
    /* These let go of what is held (stream, place under the limits, timers) first. */
    CONN_ASK,    /* for room under the limits: ROOM, NO_ROOM or NO_RESOURCES is next */
    CONN_SPREAD, /* ask a little later, each connection at another time */
    CONN_WAIT,   /* arm the wait that belongs to the next state; DUE is next */
    CONN_RESUME, /* arm what is left of the wait that the row tells */
    CONN_REST,   /* nothing, until somebody changes something */
    CONN_LEAVE,  /* and free it */
    /* These keep it. */
    CONN_START, /* begin an attempt */
    CONN_HOLD,  /* the stream is open: fetch the lists once, then listen */
    CONN_POLL,  /* fetch the lists that nothing tells about */
};

struct conn_step {
    enum state next;
    enum conn_action action;
};

/* `state` below STATE_COUNT. */
struct conn_step conn_fsm_next(enum state state, enum conn_event event);

#endif
