/* SPDX-License-Identifier: MIT */
/* When a dead child comes back. A worker that crashed after a good while must be back within a second, since its servers
 * are deaf meanwhile. One that can't even start, or crashes over and over, must not: each start of a worker opens
 * connections to other people's servers. So the first kind restarts at once, the second after a growing wait, and one
 * that shows no hope is taken out of service, so that its servers go to other workers instead of waiting for it. A child
 * that calls its configuration wrong is right until that changes: it is not tried again by itself. */
#include "broker/supervisor/restart_policy.h"

#include <string.h>

static void record(struct restart_history *history, uint64_t at_ms)
{
    memmove(&history->deaths_ms[1], &history->deaths_ms[0], (RESTART_MANY_DEATHS - 1) * sizeof(history->deaths_ms[0]));
    history->deaths_ms[0] = at_ms;
    if (history->count < RESTART_MANY_DEATHS)
        history->count++;
}

/* At least `number` deaths in the last `within_ms`. */
static bool died_often(const struct restart_history *history, unsigned number, uint64_t within_ms)
{
    return history->count >= number && history->deaths_ms[0] - history->deaths_ms[number - 1] <= within_ms;
}

static uint64_t delay_after(unsigned in_a_row, uint32_t random)
{
    uint64_t delay_ms = (uint64_t)RESTART_DELAY_MS << (in_a_row - 1);
    return delay_ms * (80 + random % 41) / 100;
}

struct restart_decision restart_decide(struct restart_history *history, const struct death *death, uint64_t retry_ms,
                                       uint32_t random)
{
    record(history, death->at_ms);
    if (death->bad_configuration)
        return (struct restart_decision){.restart = RESTART_FAIL};
    if (death->was_ready && !died_often(history, RESTART_SOON_DEATHS, RESTART_SOON_MS))
        history->in_a_row = 0;
    else
        history->in_a_row++;
    if (history->in_a_row >= RESTART_IN_A_ROW || died_often(history, RESTART_MANY_DEATHS, RESTART_MANY_MS))
        return (struct restart_decision){.restart = RESTART_FAIL, .delay_ms = retry_ms};
    if (history->in_a_row == 0)
        return (struct restart_decision){.restart = RESTART_NOW};
    return (struct restart_decision){.restart = RESTART_LATER, .delay_ms = delay_after(history->in_a_row, random)};
}
