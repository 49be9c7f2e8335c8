/* SPDX-License-Identifier: MIT */
/* Changes at a rate. A timer fires often enough that few changes fall together (at a thousand a second each has its
 * own turn), and each turn does what is due by the clock: a late turn catches up, so that the rate holds over time. */
#include "tests/fleet/process_internal.h"

#include "common/clock.h"

#include <sys/timerfd.h>

enum { TICK_MIN_US = 100, TICK_MAX_US = 10000 };

/* A process that cannot keep up does so many in one turn at most, then looks after its sockets. */
enum { TURN_MAX = 1000 };

static void set_timer(struct process *process, uint64_t us)
{
    const struct timespec time = {.tv_nsec = (long)us * 1000};
    const struct itimerspec timer = {.it_interval = time, .it_value = time};
    timerfd_settime(process->timer, 0, &timer, NULL);
}

static void change_all(struct process *process, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last; i++)
        connection_notify(process, &process->servers[i]);
}

void campaign_start(struct process *process, const struct command *command)
{
    uint32_t first = command->first > process->first ? command->first - process->first : 0;
    uint32_t end = command->last < process->first ? 0 : command->last - process->first + 1;
    if (end > process->count)
        end = process->count;
    if (first >= end)
        return;
    if (command->per_second <= 0) {
        change_all(process, first, end - 1);
        return;
    }
    double share = (double)(end - first) / (double)(command->last - command->first + 1);
    uint64_t now_us = clock_mono_us();
    process->campaign = (struct campaign){
        .first = first,
        .last = end - 1,
        .next = first,
        .per_second = command->per_second * share,
        .began_us = now_us,
        .ends_us = command->seconds > 0 ? now_us + (uint64_t)(command->seconds * 1e6) : UINT64_MAX,
    };
    double tick_us = 1e6 / process->campaign.per_second;
    set_timer(process, tick_us < TICK_MIN_US ? TICK_MIN_US : tick_us > TICK_MAX_US ? TICK_MAX_US : (uint64_t)tick_us);
}

void campaign_stop(struct process *process)
{
    process->campaign.per_second = 0;
    set_timer(process, 0);
}

void campaign_go_on(struct process *process)
{
    struct campaign *campaign = &process->campaign;
    if (campaign->per_second <= 0)
        return;
    uint64_t now_us = clock_mono_us();
    bool is_over = now_us >= campaign->ends_us;
    uint64_t until_us = is_over ? campaign->ends_us : now_us;
    uint64_t due = (uint64_t)((double)(until_us - campaign->began_us) * campaign->per_second / 1e6);
    for (unsigned i = 0; i < TURN_MAX && campaign->done < due; i++) {
        connection_notify(process, &process->servers[campaign->next]);
        campaign->next = campaign->next == campaign->last ? campaign->first : campaign->next + 1;
        campaign->done++;
    }
    if (is_over && campaign->done >= due)
        campaign_stop(process);
}
