/* SPDX-License-Identifier: MIT */
/* libuv runs what sockets have brought within its waiting, before any check handle, so a turn is not what lies between a
 * check and a prepare handle: it is what has passed from one prepare to the next, less the time waited for events. */
#include "common/turn.h"

void turn_init(struct turn *turn, uv_loop_t *loop)
{
    *turn = (struct turn){0};
    (void)uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
}

void turn_end(struct turn *turn, uv_loop_t *loop)
{
    uint64_t now_ns = uv_hrtime();
    uint64_t idle_ns = uv_metrics_idle_time(loop);
    uint64_t passed_ns = now_ns - turn->ended_ns;
    uint64_t waited_ns = idle_ns - turn->idle_ns;
    if (turn->ended_ns != 0 && passed_ns > waited_ns && passed_ns - waited_ns > turn->longest_ns)
        turn->longest_ns = passed_ns - waited_ns;
    turn->ended_ns = now_ns;
    turn->idle_ns = idle_ns;
}

uint64_t turn_take_longest_us(struct turn *turn)
{
    uint64_t longest_us = turn->longest_ns / 1000;
    turn->longest_ns = 0;
    return longest_us;
}
