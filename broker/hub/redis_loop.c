/* SPDX-License-Identifier: MIT */
/* The four hooks that hiredis 0.14 has for a loop, and libuv's poll handle.
 *
 * A context can end in its own read or write, by redisAsyncFree, or in the middle of its own callback, and it frees
 * itself. It has one hook that runs exactly once however it ends: `cleanup`; but whether that is before or after the
 * pending commands have got their NULL replies is not the same in all versions. So the hook only makes everybody forget
 * the context, and that it is gone is said when libuv has closed the handles, in a later turn of the loop.
 *
 * What the commands of a turn have left to be written is written at the turn's end, all at once. hiredis would rather
 * hear first that the socket is writable, which it nearly always is: that takes two changes of epoll and one more turn
 * for each batch of events. So the loop is asked only while the socket is connecting, or full.
 */
#include "broker/hub/redis_loop.h"

#include "common/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { HANDLES = 2 };

struct watch {
    uv_poll_t poll;
    uv_prepare_t turn_end;
    unsigned open_handles;
    redisAsyncContext **place; /* of the context; NULL in it once that is gone */
    int events;
    bool has_output; /* to be written when the turn ends */
    bool is_writing; /* hiredis is, and asks for more only where the socket is full */
    char why[sizeof(((redisAsyncContext *)NULL)->c.errstr)];
    void (*on_gone)(void *user, const char *why);
    void *user;
};

static void on_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    if (--watch->open_handles > 0)
        return;
    watch->on_gone(watch->user, watch->why);
    free(watch);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    /* An error (a refused connect is one) is for hiredis to find in the socket: it looks when it reads. */
    if (status != 0 || (events & UV_READABLE))
        redisAsyncHandleRead(*watch->place);
    if (!uv_is_closing((uv_handle_t *)poll) && (events & UV_WRITABLE))
        redisAsyncHandleWrite(*watch->place);
}

/* hiredis asks again with each command; libuv would take the descriptor out of epoll and put it back each time. */
static void watch_for(struct watch *watch, int events)
{
    if (events == watch->events)
        return;
    watch->events = events;
    int result = events ? uv_poll_start(&watch->poll, events, on_poll) : uv_poll_stop(&watch->poll);
    if (result != 0)
        log_error("redis.poll", LOG_TEXT("error", uv_strerror(result)));
}

static void hook_add_read(void *data)
{
    struct watch *watch = data;
    watch_for(watch, watch->events | UV_READABLE);
}

static void hook_del_read(void *data)
{
    struct watch *watch = data;
    watch_for(watch, watch->events & ~UV_READABLE);
}

static void hook_add_write(void *data)
{
    struct watch *watch = data;
    if (((*watch->place)->c.flags & REDIS_CONNECTED) && !watch->is_writing)
        watch->has_output = true;
    else
        watch_for(watch, watch->events | UV_WRITABLE);
}

static void hook_del_write(void *data)
{
    struct watch *watch = data;
    watch_for(watch, watch->events & ~UV_WRITABLE);
}

static void on_turn_end(uv_prepare_t *prepare)
{
    struct watch *watch = prepare->data;
    if (!watch->has_output || (watch->events & UV_WRITABLE))
        return;
    watch->has_output = false;
    watch->is_writing = true;
    redisAsyncHandleWrite(*watch->place);
    watch->is_writing = false;
}

static void hook_cleanup(void *data)
{
    struct watch *watch = data;
    const redisAsyncContext *context = *watch->place;
    snprintf(watch->why, sizeof(watch->why), "%s", context->err ? context->errstr : "");
    *watch->place = NULL;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
    uv_close((uv_handle_t *)&watch->turn_end, on_closed);
}

int redis_loop_attach(uv_loop_t *loop, redisAsyncContext *context, redisAsyncContext **place,
                      void (*on_gone)(void *user, const char *why), void *user)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    int result = uv_poll_init(loop, &watch->poll, context->c.fd);
    if (result != 0) {
        free(watch);
        return result;
    }
    (void)uv_prepare_init(loop, &watch->turn_end);
    (void)uv_prepare_start(&watch->turn_end, on_turn_end);
    watch->open_handles = HANDLES;
    watch->poll.data = watch->turn_end.data = watch;
    watch->place = place;
    watch->on_gone = on_gone;
    watch->user = user;
    context->ev.data = watch;
    context->ev.addRead = hook_add_read;
    context->ev.delRead = hook_del_read;
    context->ev.addWrite = hook_add_write;
    context->ev.delWrite = hook_del_write;
    context->ev.cleanup = hook_cleanup;
    *place = context;
    return 0;
}
