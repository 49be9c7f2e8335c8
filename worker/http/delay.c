/* SPDX-License-Identifier: MIT */
/* libuv timers with an owner's manners: a callback gets its user data and nothing else, and neither a delay that is
 * over nor one that was cancelled leaves anything for its owner to free. The handle's memory lives until libuv has
 * closed it. */
#include "worker/http/delay.h"

#include <errno.h>
#include <stdlib.h>

struct delay {
    uv_timer_t timer; /* first: a pointer to it is one to the delay */
    void (*on_due)(void *user);
    void *user;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_timer(uv_timer_t *timer)
{
    struct delay *delay = (struct delay *)timer;
    uv_close((uv_handle_t *)timer, on_closed);
    delay->on_due(delay->user);
}

int delay_start(uv_loop_t *loop, uint64_t ms, void (*on_due)(void *user), void *user, struct delay **out)
{
    struct delay *delay = malloc(sizeof(*delay));
    if (delay == NULL)
        return -ENOMEM;
    *delay = (struct delay){.on_due = on_due, .user = user};
    int result = uv_timer_init(loop, &delay->timer);
    if (result != 0) {
        free(delay);
        return result;
    }
    result = uv_timer_start(&delay->timer, on_timer, ms, 0);
    if (result != 0) {
        uv_close((uv_handle_t *)&delay->timer, on_closed);
        return result;
    }
    *out = delay;
    return 0;
}

void delay_cancel(struct delay **delay)
{
    if (*delay == NULL)
        return;
    uv_close((uv_handle_t *)&(*delay)->timer, on_closed);
    *delay = NULL;
}
