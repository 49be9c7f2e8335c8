/* SPDX-License-Identifier: MIT */
/* What can happen to a child process, all of it: the supervisor's only state machine. child.c feeds it events and
 * carries out its actions; nothing else decides. Whether a child is wanted is not part of it: one that was stopped stays
 * STOPPED until somebody starts it, which for a child that is replaced is at once.
 *
 *                    ┌─────────── exit: now ──────────┐
 *     STOPPED ─▶ STARTING ─▶ READY ── late, silent ─▶ STUCK      exit: later ─▶ BACKING_OFF ─▶ STARTING
 *        ▲           └── stop ──┴──▶ DRAINING                    exit: fail ──▶ FAILED ──────▶ STARTING
 *        └── exit ── KILLING ◀─ TERMINATING ◀─┘
 *
 * A child that was asked to leave and dies on the way is stopped, however it died. Messages that cross an order on the
 * link (a `ready` behind a `stop`) do nothing. */
#include "broker/supervisor/process_fsm.h"

#include <assert.h>

/* clang-format off */
#define STEP(state, action) {PROCESS_##state, PROCESS_DO_##action}
#define GO(state)           {PROCESS_##state, PROCESS_DO_NOTHING}
#define NEVER               {PROCESS_STOPPED, PROCESS_IMPOSSIBLE}

static const struct process_step steps[PROCESS_STATE_COUNT][PROCESS_EVENT_COUNT] = {
    [PROCESS_STOPPED] = {
        [PROCESS_ON_START] = STEP(STARTING, SPAWN),           [PROCESS_ON_READY] = NEVER,
        [PROCESS_ON_TIMEOUT] = NEVER,                         [PROCESS_ON_STOP] = GO(STOPPED),
        [PROCESS_ON_KILL] = GO(STOPPED),                      [PROCESS_ON_EXIT_NOW] = NEVER,
        [PROCESS_ON_EXIT_LATER] = NEVER,                      [PROCESS_ON_EXIT_FAIL] = NEVER,
    },
    [PROCESS_STARTING] = {
        [PROCESS_ON_START] = GO(STARTING),                    [PROCESS_ON_READY] = GO(READY),
        [PROCESS_ON_TIMEOUT] = STEP(STUCK, KILL),             [PROCESS_ON_STOP] = STEP(DRAINING, ASK),
        [PROCESS_ON_KILL] = STEP(KILLING, KILL),              [PROCESS_ON_EXIT_NOW] = STEP(STARTING, SPAWN),
        [PROCESS_ON_EXIT_LATER] = GO(BACKING_OFF),            [PROCESS_ON_EXIT_FAIL] = GO(FAILED),
    },
    [PROCESS_READY] = {
        [PROCESS_ON_START] = GO(READY),                       [PROCESS_ON_READY] = GO(READY),
        [PROCESS_ON_TIMEOUT] = STEP(STUCK, KILL),             [PROCESS_ON_STOP] = STEP(DRAINING, ASK),
        [PROCESS_ON_KILL] = STEP(KILLING, KILL),              [PROCESS_ON_EXIT_NOW] = STEP(STARTING, SPAWN),
        [PROCESS_ON_EXIT_LATER] = GO(BACKING_OFF),            [PROCESS_ON_EXIT_FAIL] = GO(FAILED),
    },
    [PROCESS_STUCK] = {
        [PROCESS_ON_START] = GO(STUCK),                       [PROCESS_ON_READY] = GO(STUCK),
        [PROCESS_ON_TIMEOUT] = STEP(STUCK, KILL),             [PROCESS_ON_STOP] = GO(KILLING),
        [PROCESS_ON_KILL] = GO(KILLING),                      [PROCESS_ON_EXIT_NOW] = STEP(STARTING, SPAWN),
        [PROCESS_ON_EXIT_LATER] = GO(BACKING_OFF),            [PROCESS_ON_EXIT_FAIL] = GO(FAILED),
    },
    [PROCESS_DRAINING] = {
        [PROCESS_ON_START] = GO(DRAINING),                    [PROCESS_ON_READY] = GO(DRAINING),
        [PROCESS_ON_TIMEOUT] = STEP(TERMINATING, TERMINATE),  [PROCESS_ON_STOP] = GO(DRAINING),
        [PROCESS_ON_KILL] = STEP(KILLING, KILL),              [PROCESS_ON_EXIT_NOW] = GO(STOPPED),
        [PROCESS_ON_EXIT_LATER] = GO(STOPPED),                [PROCESS_ON_EXIT_FAIL] = GO(STOPPED),
    },
    [PROCESS_TERMINATING] = {
        [PROCESS_ON_START] = GO(TERMINATING),                 [PROCESS_ON_READY] = GO(TERMINATING),
        [PROCESS_ON_TIMEOUT] = STEP(KILLING, KILL),           [PROCESS_ON_STOP] = GO(TERMINATING),
        [PROCESS_ON_KILL] = STEP(KILLING, KILL),              [PROCESS_ON_EXIT_NOW] = GO(STOPPED),
        [PROCESS_ON_EXIT_LATER] = GO(STOPPED),                [PROCESS_ON_EXIT_FAIL] = GO(STOPPED),
    },
    [PROCESS_KILLING] = {
        [PROCESS_ON_START] = GO(KILLING),                     [PROCESS_ON_READY] = GO(KILLING),
        [PROCESS_ON_TIMEOUT] = STEP(KILLING, KILL),           [PROCESS_ON_STOP] = GO(KILLING),
        [PROCESS_ON_KILL] = GO(KILLING),                      [PROCESS_ON_EXIT_NOW] = GO(STOPPED),
        [PROCESS_ON_EXIT_LATER] = GO(STOPPED),                [PROCESS_ON_EXIT_FAIL] = GO(STOPPED),
    },
    [PROCESS_BACKING_OFF] = {
        [PROCESS_ON_START] = STEP(STARTING, SPAWN),           [PROCESS_ON_READY] = NEVER,
        [PROCESS_ON_TIMEOUT] = STEP(STARTING, SPAWN),         [PROCESS_ON_STOP] = GO(STOPPED),
        [PROCESS_ON_KILL] = GO(STOPPED),                      [PROCESS_ON_EXIT_NOW] = NEVER,
        [PROCESS_ON_EXIT_LATER] = NEVER,                      [PROCESS_ON_EXIT_FAIL] = NEVER,
    },
    [PROCESS_FAILED] = {
        [PROCESS_ON_START] = STEP(STARTING, SPAWN),           [PROCESS_ON_READY] = NEVER,
        [PROCESS_ON_TIMEOUT] = STEP(STARTING, SPAWN),         [PROCESS_ON_STOP] = GO(STOPPED),
        [PROCESS_ON_KILL] = GO(STOPPED),                      [PROCESS_ON_EXIT_NOW] = NEVER,
        [PROCESS_ON_EXIT_LATER] = NEVER,                      [PROCESS_ON_EXIT_FAIL] = NEVER,
    },
};
/* clang-format on */

struct process_step process_step(enum process_state state, enum process_event event)
{
    assert(state < PROCESS_STATE_COUNT && event < PROCESS_EVENT_COUNT);
    return steps[state][event];
}

const char *process_state_name(enum process_state state)
{
    static const char *const names[PROCESS_STATE_COUNT] = {
        [PROCESS_STOPPED] = "stopped", [PROCESS_STARTING] = "starting",       [PROCESS_READY] = "ready",
        [PROCESS_STUCK] = "stuck",     [PROCESS_DRAINING] = "draining",       [PROCESS_TERMINATING] = "terminating",
        [PROCESS_KILLING] = "killing", [PROCESS_BACKING_OFF] = "backing_off", [PROCESS_FAILED] = "failed",
    };
    assert(state < PROCESS_STATE_COUNT);
    return names[state];
}

const char *process_event_name(enum process_event event)
{
    static const char *const names[PROCESS_EVENT_COUNT] = {
        [PROCESS_ON_START] = "start",
        [PROCESS_ON_READY] = "ready",
        [PROCESS_ON_TIMEOUT] = "timeout",
        [PROCESS_ON_STOP] = "stop",
        [PROCESS_ON_KILL] = "kill",
        [PROCESS_ON_EXIT_NOW] = "exit_now",
        [PROCESS_ON_EXIT_LATER] = "exit_later",
        [PROCESS_ON_EXIT_FAIL] = "exit_fail",
    };
    assert(event < PROCESS_EVENT_COUNT);
    return names[event];
}
