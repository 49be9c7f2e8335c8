/* SPDX-License-Identifier: MIT */
/* The longest turn of the loop is the lag that anybody who waits for the hub may have met; it stands in the hub's slot and
 * begins anew with each beat.
 */
#include "broker/hub/pulse.h"

#include "common/turn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { BEAT_MS = 1000, HANDLES = 2 };

struct pulse {
    uv_timer_t timer;
    uv_prepare_t asleep;
    unsigned open_handles;
    struct table *table;
    void (*on_second)(void *user);
    void *user;
    struct turn turn;
};

static void on_asleep(uv_prepare_t *prepare)
{
    struct pulse *pulse = prepare->data;
    turn_end(&pulse->turn, prepare->loop);
}

static void on_timer(uv_timer_t *timer)
{
    struct pulse *pulse = timer->data;
    table_slot_beat(pulse->table, TABLE_HUB, turn_take_longest_us(&pulse->turn), 0);
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
    turn_init(&pulse->turn, loop);
    pulse->open_handles = HANDLES;
    uv_timer_init(loop, &pulse->timer);
    uv_prepare_init(loop, &pulse->asleep);
    pulse->timer.data = pulse->asleep.data = pulse;
    table_slot_begin(table, TABLE_HUB, start_count);
    table_slot_beat(table, TABLE_HUB, 0, 0);
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
    uv_close((uv_handle_t *)&pulse->asleep, on_closed);
}
