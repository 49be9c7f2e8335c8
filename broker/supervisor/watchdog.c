/* SPDX-License-Identifier: MIT */
/* The last resort, when nobody is left here to notice: a supervisor that hangs, or one whose hub does not come back,
 * tells the service manager nothing, and is restarted by it. What well means is the owner's to say.
 *
 * The variables are systemd's: $WATCHDOG_USEC is the time without a word after which it acts, $WATCHDOG_PID the process
 * it means, which is not us when a wrapper was started and handed its environment down. */
#include "broker/supervisor/watchdog.h"

#include "broker/supervisor/notify.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

struct watchdog {
    uv_timer_t timer;
    bool (*is_well)(void *user);
    void *user;
};

/* The variable as a number above 0; 0 when it is none. */
static uint64_t number_in(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? number : 0;
}

static void on_timer(uv_timer_t *timer)
{
    const struct watchdog *watchdog = timer->data;
    if (watchdog->is_well(watchdog->user))
        notify_alive();
}

struct watchdog *watchdog_open(uv_loop_t *loop, bool (*is_well)(void *user), void *user)
{
    uint64_t half_ms = number_in("WATCHDOG_USEC") / 2000;
    bool is_meant = getenv("WATCHDOG_PID") == NULL || number_in("WATCHDOG_PID") == (uint64_t)getpid();
    struct watchdog *watchdog = malloc(sizeof(*watchdog));
    if (watchdog == NULL)
        return NULL;
    *watchdog = (struct watchdog){.is_well = is_well, .user = user};
    uv_timer_init(loop, &watchdog->timer);
    watchdog->timer.data = watchdog;
    if (half_ms > 0 && is_meant)
        uv_timer_start(&watchdog->timer, on_timer, half_ms, half_ms);
    return watchdog;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watchdog_close(struct watchdog *watchdog)
{
    if (watchdog != NULL)
        uv_close((uv_handle_t *)&watchdog->timer, on_closed);
}
