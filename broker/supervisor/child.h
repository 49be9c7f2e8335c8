/* SPDX-License-Identifier: MIT */
/* One child process in one slot, through all of its lives: started, watched, restarted, stopped. Runs on one libuv
 * loop; process_fsm.h has its states. */
#ifndef BROKER_SUPERVISOR_CHILD_H
#define BROKER_SUPERVISOR_CHILD_H

#include "broker/supervisor/process_fsm.h"
#include "common/compiler.h"

#include <uv.h>

struct child;

struct child_handlers {
    /* There is a new process: send it its `start`. The state is STARTING. */
    void (*on_spawned)(void *user, struct child *child);
    /* The state is another one than before, or a new process took the place of a dead one. May call anything here. */
    void (*on_state)(void *user, struct child *child);
    /* What it said, but for `ready` and `alive`; borrowed for the call. */
    void (*on_message)(void *user, struct child *child, const char *word, const char *argument);
};

/* Borrowed, and all that they point to, until the child is closed. */
struct child_options {
    const char *program; /* path of the executable */
    char **environment;
    const struct child_handlers *handlers;
    void *user;
    int slot;          /* -1: the hub */
    uint64_t stop_ms;  /* how long it may take to leave when asked */
    uint64_t retry_ms; /* how often it is tried again once it is out of service */
};

/* A stopped one. NULL without memory. */
MUST_CHECK struct child *child_open(uv_loop_t *loop, const struct child_options *options);

/* It must be stopped. No handler runs afterwards; the memory goes when the loop has closed its handle. */
void child_close(struct child *child);

/* Starts it, also when it waits to be restarted; nothing when it runs. */
void child_start(struct child *child);

/* Has it leave: asked, then SIGTERM, then SIGKILL. It ends as PROCESS_STOPPED, never within this call when it runs. */
void child_stop(struct child *child);

/* The same with SIGKILL at once. */
void child_kill(struct child *child);

/* Sends a message; lost, with a line in the log, when it does not read; nothing without a process. */
void child_send(struct child *child, const char *word, const char *argument);

enum process_state child_state(const struct child *child);
int child_slot(const struct child *child);
const char *child_name(const struct child *child); /* "hub", "worker-3" */
uint64_t child_start_count(const struct child *child);

#endif
