/* SPDX-License-Identifier: MIT */
/* pub and sub. A pub has no state of its own: nng copies a message to a bounded queue for each subscriber and drops the
 * oldest where that is full; how often, `bus_drops` finds out.
 *
 * A sub receives in nng's threads, which re-arm at once (that is ten times as fast as polling nng from the loop), and
 * is heard on the loop: messages collect in `filling` under the lock, and a wake-up takes all of them by exchanging it
 * with the empty `draining`. The loop is woken only for the first one. So a burst costs one wake-up and two short locks,
 * and a loop that is busy finds at most `queue` messages waiting; what comes on top is dropped and counted.
 *
 * Closing: once nng_aio_stop has returned no thread of nng's can touch the struct any more, and what is left to wait
 * for is libuv's close callback. */
#include "common/bus.h"

#include "common/bus_drops.h"
#include "common/bus_internal.h"

#include <assert.h>
#include <errno.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdlib.h>
#include <string.h>

/* --- pub --- */

/* glibc keeps no pieces larger than 1032 bytes for the thread that has freed them, where no trim gets at them. After a wave those
 * of nng's threads would lie scattered over the heap of the thread that sends. */
enum { UNCACHED = 1088 };

struct bus_pub {
    struct bus_socket socket;
    struct bus_drops drops;
    size_t room; /* of each message, at least */
};

static int queue_length(size_t queue)
{
    return queue < 1 ? 1 : queue > BUS_QUEUE_MAX ? BUS_QUEUE_MAX : (int)queue;
}

/* In nng's thread. */
static void on_subscriber(nng_pipe pipe, nng_pipe_ev event, void *arrivals)
{
    (void)pipe, (void)event;
    uv_async_send(arrivals);
}

int bus_pub_open(const struct bus_pub_options *options, struct bus_pub **out)
{
    struct bus_pub *pub = calloc(1, sizeof(*pub));
    if (!pub)
        return -ENOMEM;
    pub->socket.pipes_max = options->pipes_max;
    pub->room = options->is_uncached ? UNCACHED : 0;
    /* A subscriber sends nothing, so the smallest bound there is will do. */
    int result = bus_socket_open(&pub->socket, nng_pub0_open, 1);
    if (result < 0)
        goto free_pub;
    int queue = queue_length(options->queue > 0 ? (size_t)options->queue : 1);
    pub->drops.queue = (uint64_t)queue;
    result = bus_error(nng_socket_set_int(pub->socket.nng, NNG_OPT_SENDBUF, queue));
    if (result == 0 && options->arrivals)
        result = bus_error(nng_pipe_notify(pub->socket.nng, NNG_PIPE_EV_ADD_POST, on_subscriber, options->arrivals));
    if (result < 0)
        goto close_socket;
    result = bus_socket_start(&pub->socket, options->path, options->end, options->mode);
    if (result < 0)
        goto close_socket;
    *out = pub;
    return 0;
close_socket:
    bus_socket_close(&pub->socket);
free_pub:
    free(pub);
    return result;
}

bool bus_pub_is_heard(const struct bus_pub *pub)
{
    return atomic_load(&pub->socket.pipes) > 0;
}

int bus_pub_send(struct bus_pub *pub, const void *bytes, size_t size)
{
    if (!bus_pub_is_heard(pub))
        return 0; /* nng would take it, and drop it */
    nng_msg *message = bus_message(bytes, size, pub->room);
    if (!message)
        return -ENOMEM;
    int result = nng_sendmsg(pub->socket.nng, message, NNG_FLAG_NONBLOCK);
    if (result != 0)
        nng_msg_free(message);
    else
        bus_drops_sent(&pub->drops, pub->socket.nng);
    return bus_error(result);
}

uint64_t bus_pub_dropped(struct bus_pub *pub)
{
    if (atomic_load(&pub->socket.pipes) > 0)
        bus_drops_look(&pub->drops, pub->socket.nng);
    return pub->drops.dropped;
}

uint64_t bus_pub_refused(const struct bus_pub *pub)
{
    return atomic_load(&pub->socket.refused);
}

void bus_pub_close(struct bus_pub *pub)
{
    if (!pub)
        return;
    bus_socket_close(&pub->socket);
    bus_drops_fini(&pub->drops);
    free(pub);
}

/* --- sub --- */

struct bus_sub {
    uv_async_t wakeup;
    struct bus_socket socket;
    nng_aio *aio;
    uv_mutex_t lock; /* of filling and filled, which nng's threads share with the loop's */
    nng_msg **filling;
    size_t filled;
    nng_msg **draining; /* the loop's alone */
    size_t queue;
    atomic_uint_fast64_t dropped;
    bool closed;
    bool present; /* as told last */
    void (*on_presence)(void *user, bool present);
    void (*on_message)(void *user, const void *bytes, size_t size);
    void *user;
};

/* Takes over the message. In nng's thread. */
static void keep(struct bus_sub *sub, nng_msg *message)
{
    uv_mutex_lock(&sub->lock);
    size_t before = sub->filled;
    if (before < sub->queue) {
        sub->filling[sub->filled++] = message;
        message = NULL;
    }
    uv_mutex_unlock(&sub->lock);
    if (message) {
        nng_msg_free(message);
        atomic_fetch_add_explicit(&sub->dropped, 1, memory_order_relaxed);
    } else if (before == 0) {
        uv_async_send(&sub->wakeup);
    }
}

/* In nng's thread. Without a time limit, receiving fails only because the socket is being closed. */
static void on_received(void *arg)
{
    struct bus_sub *sub = arg;
    if (nng_aio_result(sub->aio) != 0)
        return;
    nng_msg *message = nng_aio_get_msg(sub->aio);
    nng_aio_set_msg(sub->aio, NULL);
    keep(sub, message);
    nng_recv_aio(sub->socket.nng, sub->aio);
}

static void tell_presence(struct bus_sub *sub)
{
    bool present = atomic_load(&sub->socket.pipes) > 0;
    if (sub->closed || present == sub->present)
        return;
    sub->present = present;
    if (sub->on_presence)
        sub->on_presence(sub->user, present);
}

static void on_sub_wakeup(uv_async_t *handle)
{
    struct bus_sub *sub = handle->data;
    tell_presence(sub);
    uv_mutex_lock(&sub->lock);
    nng_msg **messages = sub->filling;
    size_t count = sub->filled;
    sub->filling = sub->draining;
    sub->filled = 0;
    uv_mutex_unlock(&sub->lock);
    sub->draining = messages;
    for (size_t i = 0; i < count; i++) {
        if (!sub->closed) /* on_message may close */
            sub->on_message(sub->user, nng_msg_body(messages[i]), nng_msg_len(messages[i]));
        nng_msg_free(messages[i]);
    }
}

static void on_sub_closed(uv_handle_t *handle)
{
    struct bus_sub *sub = handle->data;
    uv_mutex_destroy(&sub->lock);
    free(sub->filling);
    free(sub->draining);
    free(sub);
}

/* What can fail and bus_sub_close can undo. */
static int sub_start(struct bus_sub *sub, const struct bus_sub_options *options)
{
    sub->filling = calloc(sub->queue, sizeof(*sub->filling));
    sub->draining = calloc(sub->queue, sizeof(*sub->draining));
    if (!sub->filling || !sub->draining || nng_aio_alloc(&sub->aio, on_received, sub) != 0)
        return -ENOMEM;
    nng_aio_set_timeout(sub->aio, NNG_DURATION_INFINITE);
    int result = bus_socket_open(&sub->socket, nng_sub0_open, options->max);
    if (result < 0)
        return result;
    result = nng_socket_set_int(sub->socket.nng, NNG_OPT_RECVBUF, queue_length(options->queue));
    if (result == 0)
        result = nng_socket_set(sub->socket.nng, NNG_OPT_SUB_SUBSCRIBE, options->topic, strlen(options->topic));
    if (result != 0)
        return bus_error(result);
    result = bus_socket_start(&sub->socket, options->path, options->end, options->mode);
    if (result == 0)
        nng_recv_aio(sub->socket.nng, sub->aio);
    return result;
}

int bus_sub_open(uv_loop_t *loop, const struct bus_sub_options *options,
                 void (*on_message)(void *user, const void *bytes, size_t size), void *user, struct bus_sub **out)
{
    assert(options->queue > 0 && options->max > 0);
    struct bus_sub *sub = calloc(1, sizeof(*sub));
    if (!sub)
        return -ENOMEM;
    sub->queue = options->queue;
    sub->on_message = on_message;
    sub->on_presence = options->on_presence;
    sub->socket.on_pipe = bus_wake;
    sub->socket.user = &sub->wakeup;
    sub->user = user;
    sub->wakeup.data = sub;
    int result = uv_mutex_init(&sub->lock);
    if (result < 0)
        goto free_sub;
    result = uv_async_init(loop, &sub->wakeup, on_sub_wakeup);
    if (result < 0)
        goto destroy_lock;
    result = sub_start(sub, options);
    if (result < 0) {
        bus_sub_close(sub);
        return result;
    }
    *out = sub;
    return 0;
destroy_lock:
    uv_mutex_destroy(&sub->lock);
free_sub:
    free(sub);
    return result;
}

uint64_t bus_sub_dropped(const struct bus_sub *sub)
{
    return atomic_load_explicit(&sub->dropped, memory_order_relaxed);
}

void bus_sub_close(struct bus_sub *sub)
{
    if (!sub)
        return;
    assert(!sub->closed);
    sub->closed = true;
    nng_aio_stop(sub->aio);
    nng_aio_free(sub->aio);
    bus_socket_close(&sub->socket);
    for (size_t i = 0; i < sub->filled; i++)
        nng_msg_free(sub->filling[i]);
    sub->filled = 0;
    uv_close((uv_handle_t *)&sub->wakeup, on_sub_closed);
}
