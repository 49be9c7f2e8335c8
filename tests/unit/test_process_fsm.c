/* SPDX-License-Identifier: MIT */
/* The child's state machine, cell by cell: the table here is written out anew, one line a state, in the order of
 * enum process_event: start, ready, timeout, stop, kill, exit now, exit later, exit fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/supervisor/process_fsm.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* "state/action", "state" alone for no action, "-" for what can't happen. */
static const char *const expected[PROCESS_STATE_COUNT][PROCESS_EVENT_COUNT] = {
    [PROCESS_STOPPED] = {"starting/spawn", "-", "-", "stopped", "stopped", "-", "-", "-"},
    [PROCESS_STARTING] = {"starting", "ready", "stuck/kill", "draining/ask", "killing/kill", "starting/spawn",
                          "backing_off", "failed"},
    [PROCESS_READY] = {"ready", "ready", "stuck/kill", "draining/ask", "killing/kill", "starting/spawn", "backing_off",
                       "failed"},
    [PROCESS_STUCK] = {"stuck", "stuck", "stuck/kill", "killing", "killing", "starting/spawn", "backing_off", "failed"},
    [PROCESS_DRAINING] = {"draining", "draining", "terminating/terminate", "draining", "killing/kill", "stopped",
                          "stopped", "stopped"},
    [PROCESS_TERMINATING] = {"terminating", "terminating", "killing/kill", "terminating", "killing/kill", "stopped",
                             "stopped", "stopped"},
    [PROCESS_KILLING] = {"killing", "killing", "killing/kill", "killing", "killing", "stopped", "stopped", "stopped"},
    [PROCESS_BACKING_OFF] = {"starting/spawn", "-", "starting/spawn", "stopped", "stopped", "-", "-", "-"},
    [PROCESS_FAILED] = {"starting/spawn", "-", "starting/spawn", "stopped", "stopped", "-", "-", "-"},
};

static const char *const action_names[] = {
    [PROCESS_DO_NOTHING] = "",   [PROCESS_DO_SPAWN] = "/spawn",
    [PROCESS_DO_ASK] = "/ask",   [PROCESS_DO_TERMINATE] = "/terminate",
    [PROCESS_DO_KILL] = "/kill",
};

static void test_every_cell(void **test_state)
{
    (void)test_state;
    for (unsigned state = 0; state < PROCESS_STATE_COUNT; state++) {
        for (unsigned event = 0; event < PROCESS_EVENT_COUNT; event++) {
            struct process_step step = process_step((enum process_state)state, (enum process_event)event);
            char text[64] = "-";
            if (step.action != PROCESS_IMPOSSIBLE)
                snprintf(text, sizeof(text), "%s%s", process_state_name(step.next), action_names[step.action]);
            if (strcmp(text, expected[state][event]) != 0)
                fail_msg("%s on %s: %s, not %s", process_state_name((enum process_state)state),
                         process_event_name((enum process_event)event), text, expected[state][event]);
        }
    }
}

/* Whatever happens to a running child, telling it to stop and waiting long enough ends it. */
static void test_stopping_always_ends(void **test_state)
{
    (void)test_state;
    for (unsigned from = 0; from < PROCESS_STATE_COUNT; from++) {
        enum process_state state = process_step((enum process_state)from, PROCESS_ON_STOP).next;
        bool killed = state == PROCESS_KILLING || state == PROCESS_STOPPED;
        for (unsigned i = 0; i < 2 && !killed; i++) {
            struct process_step step = process_step(state, PROCESS_ON_TIMEOUT);
            killed = step.action == PROCESS_DO_KILL;
            state = step.next;
        }
        assert_true(killed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_stopping_always_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
