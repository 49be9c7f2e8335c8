/* SPDX-License-Identifier: MIT */
/* A turn of the loop is what happens between two waits for events: libuv's check handles run right after a wait, its
 * prepare handles right before the next one. The longest time in between is the lag that anybody who waits for the hub
 * may have met; it stands in the hub's slot and begins anew with each beat.
 */
#include "broker/hub/pulse.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { BEAT_MS = 1000, HANDLES = 3 };

struct pulse {
    uv_timer_t timer;
    uv_check_t awake;
    uv_prepare_t asleep;
    unsigned open_handles;
    struct table *table;
    void (*on_second)(void *user);
    void *user;
    uint64_t awake_ns;
    uint64_t longest_ns;
};

static void on_awake(uv_check_t *check)
{
    struct pulse *pulse = check->data;
    pulse->awake_ns = uv_hrtime();
}

static void on_asleep(uv_prepare_t *prepare)
{
    struct pulse *pulse = prepare->data;
    uint64_t turn = uv_hrtime() - pulse->awake_ns;
    if (turn > pulse->longest_ns)
        pulse->longest_ns = turn;
}

static void on_timer(uv_timer_t *timer)
{
    struct pulse *pulse = timer->data;
    table_slot_beat(pulse->table, TABLE_HUB, pulse->longest_ns / 1000, 0);
    pulse->longest_ns = 0;
    pulse->on_second(pulse->user);
}

int pulse_start(uv_loop_t *loop, struct table *table, uint64_t start_count, void (*on_second)(void *user), void *user,
                struct pulse **out)
{
    struct pulse *pulse = calloc(1, sizeof(*pulse));
    if (!pulse)
        return -ENOMEM;
    pulse->table = table;
    pulse->on_second = on_second;
    pulse->user = user;
    pulse->awake_ns = uv_hrtime();
    pulse->open_handles = HANDLES;
    uv_timer_init(loop, &pulse->timer);
    uv_check_init(loop, &pulse->awake);
    uv_prepare_init(loop, &pulse->asleep);
    pulse->timer.data = pulse->awake.data = pulse->asleep.data = pulse;
    table_slot_begin(table, TABLE_HUB, start_count);
    table_slot_beat(table, TABLE_HUB, 0, 0);
    uv_check_start(&pulse->awake, on_awake);
    uv_prepare_start(&pulse->asleep, on_asleep);
    uv_timer_start(&pulse->timer, on_timer, BEAT_MS, BEAT_MS);
    *out = pulse;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct pulse *pulse = handle->data;
    assert(pulse->open_handles > 0);
    if (--pulse->open_handles == 0)
        free(pulse);
}

void pulse_cancel(struct pulse *pulse)
{
    if (!pulse)
        return;
    table_slot_end(pulse->table, TABLE_HUB);
    uv_close((uv_handle_t *)&pulse->timer, on_closed);
    uv_close((uv_handle_t *)&pulse->awake, on_closed);
    uv_close((uv_handle_t *)&pulse->asleep, on_closed);
}
