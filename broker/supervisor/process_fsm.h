/* SPDX-License-Identifier: MIT */
/* The life of a child process as a table: state and event in, next state and action out. Pure. */
#ifndef BROKER_SUPERVISOR_PROCESS_FSM_H
#define BROKER_SUPERVISOR_PROCESS_FSM_H

enum process_state {
    PROCESS_STOPPED,     /* no process, and none wanted until it is started */
    PROCESS_STARTING,    /* runs, and has not said that it is ready */
    PROCESS_READY,       /* does its work */
    PROCESS_STUCK,       /* killed for being late or silent; to be replaced when it is reaped */
    PROCESS_DRAINING,    /* asked to leave */
    PROCESS_TERMINATING, /* did not, and got SIGTERM */
    PROCESS_KILLING,     /* did not, and got SIGKILL */
    PROCESS_BACKING_OFF, /* no process; the next one after a wait */
    PROCESS_FAILED,      /* no process; out of service, tried again after a long wait or on demand */
    PROCESS_STATE_COUNT
};

enum process_event {
    PROCESS_ON_START,
    PROCESS_ON_READY,
    PROCESS_ON_TIMEOUT, /* the state's time is up */
    PROCESS_ON_STOP,
    PROCESS_ON_KILL,       /* stop, and at once */
    PROCESS_ON_EXIT_NOW,   /* reaped; the policy says: restart */
    PROCESS_ON_EXIT_LATER, /* … after a delay */
    PROCESS_ON_EXIT_FAIL,  /* … take it out of service */
    PROCESS_EVENT_COUNT
};

enum process_action {
    PROCESS_DO_NOTHING,
    PROCESS_DO_SPAWN,
    PROCESS_DO_ASK, /* send `stop` */
    PROCESS_DO_TERMINATE,
    PROCESS_DO_KILL,
    PROCESS_IMPOSSIBLE, /* a bug of the caller */
};

struct process_step {
    enum process_state next;
    enum process_action action;
};

struct process_step process_step(enum process_state state, enum process_event event);

const char *process_state_name(enum process_state state);
const char *process_event_name(enum process_event event);

#endif
