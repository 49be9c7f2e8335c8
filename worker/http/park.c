/* SPDX-License-Identifier: MIT */
/* Where held streams wait once libcurl has done its part. One epoll set of our own holds all their sockets, and the loop
 * watches that set: a watch of the loop for each socket would be larger than all else that a stream needs.
 *
 * A handler may leave any place, and its user may free it at once. So what epoll has told and is not handled yet is
 * searched for a place that leaves: no event can name one that is gone. That happens rarely, and the list is short.
 *
 * Each readable socket is read once a turn, as much as the buffer takes; epoll is asked to tell again of what is left, after
 * the others have had their turn. It is not to look by itself whether something is left (edges, not levels), for that
 * costs as much as reading, and nothing is: an event is smaller than the buffer. Nothing is ever written.
 *
 * Over TLS a turn is a record, for which the buffer has room; that there are more, epoll looks by itself. But what OpenSSL has
 * read of one before it came here, no socket tells. So the first turn comes unasked: a socket can be written. Some time
 * after a turn park_tls.c wants to be called, which a timer does until there is nothing to do for it. */
#include "worker/http/park.h"

#include "worker/http/park_tls.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, BUFFER_SIZE = 64 * 1024, TIDY_EVERY_MS = 25 };

/* What is watched for where no TLS is. */
static const uint32_t PLAIN = EPOLLIN | EPOLLRDHUP | EPOLLET;

struct park {
    uv_poll_t poll;  /* of the set; active while a place is taken */
    uv_timer_t tidy; /* active while there may be something to do for it */
    const struct park_handlers *handlers;
    int epoll;
    size_t taken;
    struct epoll_event events[EVENTS_MAX]; /* of this turn; a NULL place has left */
    int next, count;                       /* those that are to be handled yet */
    uint8_t buffer[BUFFER_SIZE];
};

/* `operation` EPOLL_CTL_MOD has epoll tell anew what is there. 0 or a negative errno. */
static MUST_CHECK int watch(struct park *park, int operation, int fd, uint32_t events, struct park_place *place)
{
    struct epoll_event event = {.events = events, .data.ptr = place};
    return epoll_ctl(park->epoll, operation, fd, &event) == 0 ? 0 : -errno;
}

static MUST_CHECK int settle(struct park *park, struct park_place *place)
{
    int result = watch(park, EPOLL_CTL_MOD, place->fd, EPOLLIN, place);
    if (result != 0)
        return result;
    place->settled = true;
    return park_tls_settle(place->tls);
}

static void on_tidy(uv_timer_t *timer)
{
    if (!park_tls_tidy())
        uv_timer_stop(timer);
}

static ssize_t receive_tls(struct park *park, struct park_place *place)
{
    if (!uv_is_active((uv_handle_t *)&park->tidy))
        uv_timer_start(&park->tidy, on_tidy, TIDY_EVERY_MS, TIDY_EVERY_MS);
    int result = place->settled ? 0 : settle(park, place);
    return result < 0 ? result : park_tls_read(place->tls, place->fd, park->buffer, BUFFER_SIZE);
}

/* Bytes, 0 at the end, or a negative errno. `events` is what epoll told. */
static ssize_t receive(struct park *park, struct park_place *place, uint32_t events)
{
    if (place->tls)
        return receive_tls(park, place);
    ssize_t got = recv(place->fd, park->buffer, BUFFER_SIZE, MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    bool is_more = got == BUFFER_SIZE || (got > 0 && events != EPOLLIN); /* bytes, or the end is there already */
    int result = is_more ? watch(park, EPOLL_CTL_MOD, place->fd, PLAIN, place) : 0;
    return result < 0 ? result : got;
}

static void read_place(struct park *park, struct park_place *place, uint32_t events)
{
    ssize_t got = receive(park, place, events);
    if (got > 0)
        park->handlers->on_bytes(place, park->buffer, (size_t)got);
    else if (got == 0)
        park->handlers->on_end(place, 0);
    else if (got != -EAGAIN && got != -EINTR)
        park->handlers->on_end(place, (int)-got);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct park *park = poll->data;
    (void)status;
    (void)events;
    park->count = epoll_wait(park->epoll, park->events, EVENTS_MAX, 0);
    for (park->next = 0; park->next < park->count;) {
        const struct epoll_event *event = &park->events[park->next++];
        if (event->data.ptr)
            read_place(park, event->data.ptr, event->events);
    }
}

int park_create(uv_loop_t *loop, const struct park_handlers *handlers, struct park **out)
{
    struct park *park = calloc(1, sizeof *park);
    if (!park)
        return -ENOMEM;
    int result = -ENOMEM;
    park->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (park->epoll < 0) {
        result = -errno;
        goto free_park;
    }
    result = uv_poll_init(loop, &park->poll, park->epoll);
    if (result != 0)
        goto close_epoll;
    uv_timer_init(loop, &park->tidy);
    park->poll.data = park->tidy.data = park;
    park->handlers = handlers;
    *out = park;
    return 0;
close_epoll:
    close(park->epoll);
free_park:
    free(park);
    return result;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct park *park = handle->data;
    close(park->epoll);
    uv_close((uv_handle_t *)&park->tidy, on_closed);
}

void park_destroy(struct park *park)
{
    if (!park)
        return;
    assert(park->taken == 0);
    uv_close((uv_handle_t *)&park->poll, on_poll_closed);
}

int park_enter(struct park *park, struct park_place *place, int fd, struct ssl_st *tls)
{
    int result = watch(park, EPOLL_CTL_ADD, fd, tls ? EPOLLIN | EPOLLOUT : PLAIN, place);
    if (result != 0)
        return result;
    result = tls ? park_tls_take(tls) : 0;
    if (result != 0) {
        epoll_ctl(park->epoll, EPOLL_CTL_DEL, fd, NULL);
        return result;
    }
    *place = (struct park_place){.fd = fd, .tls = tls};
    if (park->taken++ == 0)
        uv_poll_start(&park->poll, UV_READABLE, on_readable);
    return 0;
}

void park_leave(struct park *park, struct park_place *place)
{
    if (place->fd < 0)
        return;
    for (int i = park->next; i < park->count; i++)
        if (park->events[i].data.ptr == place)
            park->events[i].data.ptr = NULL;
    epoll_ctl(park->epoll, EPOLL_CTL_DEL, place->fd, NULL);
    park_tls_close(place->tls, place->fd);
    close(place->fd);
    place->fd = -1;
    if (--park->taken == 0)
        uv_poll_stop(&park->poll);
}
