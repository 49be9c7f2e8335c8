/* SPDX-License-Identifier: MIT */
/* A subscription. nng's threads hear the events, leave out what nobody chose, and put the rest into a ring; the caller
 * takes them out of it whenever it likes. What is shared stands under one lock, and the descriptor (an eventfd) is readable
 * exactly while there is something to tell.
 *
 * The broker numbers its events, so a number that is skipped was lost, wherever that happened: in the broker's queue for
 * us, in nng's, or in our ring. Numbers begin anew with each contact, and a contact counts from the first message heard in
 * it (the broker's beat, if nothing else). One that is lost and found again is told in any case, since nobody knows what
 * was told in between.
 *
 * nng 1.5.2's dialler gives up without a word when the broker dies between accepting and greeting. The broker's own
 * processes wrap sendmsg() against that (common/bus.c), which a library must not do to its user; so a dialler that has
 * brought nothing between two ticks is replaced. */
#include "broker/client/event.h"
#include "common/bus_internal.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/paths.h"

#include <errno.h>
#include <nng/protocol/pubsub0/sub.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    KINDS_LISTS = MCP_BROKER_TOOLS | MCP_BROKER_PROMPTS | MCP_BROKER_RESOURCES,
    KINDS_ALL = KINDS_LISTS | MCP_BROKER_STATUS,
    QUEUE_DEFAULT = 10000,
    TICK_MS = 1000,
};

struct mcp_broker_subscription {
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    unsigned kinds;
    char *workspace; /* as it stands in a topic, "/<workspace>/"; NULL: all */
    struct bus_socket socket;
    nng_aio *receive, *tick;
    nng_dialer dialer; /* of the tick's thread, once it runs */
    bool was_away;     /* likewise: at the last tick */
    int descriptor;
    pthread_mutex_t lock; /* of all below */
    bool signalled;       /* the descriptor is readable */
    unsigned pipes;
    uint64_t contacts, contacts_told;
    bool online_told;
    bool heard;        /* anything in this contact, so that `sequence` is known */
    uint64_t sequence; /* of the last event */
    uint64_t missed;   /* not told yet */
    size_t first, count, queue;
    nng_msg **ring;
};

/* --- in nng's threads --- */

/* Makes the descriptor readable. Under the lock. */
static void signal_news(struct mcp_broker_subscription *subscription)
{
    if (!subscription->signalled && eventfd_write(subscription->descriptor, 1) == 0)
        subscription->signalled = true;
}

static bool is_chosen(const struct mcp_broker_subscription *subscription, const void *bytes, size_t size)
{
    const char *workspace = subscription->workspace;
    unsigned type;
    size_t map;

    if (event_split_local(bytes, size, &type, &map) != 0 || !(subscription->kinds & event_kind(type)))
        return false;
    if (workspace == NULL)
        return true;
    size_t before = strlen(event_type_name(type));
    return map - before == strlen(workspace) && memcmp((const char *)bytes + before, workspace, map - before) == 0;
}

/* Under the lock. */
static void hear(struct mcp_broker_subscription *subscription, const void *bytes, size_t size)
{
    uint64_t sequence = 0, expected = subscription->sequence + (event_is_beat(bytes, size) ? 0 : 1);

    if (event_sequence(bytes, size, &sequence) && subscription->heard && sequence > expected)
        subscription->missed += sequence - expected;
    if (!subscription->heard || subscription->missed > 0)
        signal_news(subscription);
    subscription->heard = true;
    subscription->sequence = sequence;
}

/* Takes over the message. */
static void keep(struct mcp_broker_subscription *subscription, nng_msg *message)
{
    const void *bytes = nng_msg_body(message);
    size_t size = nng_msg_len(message);
    bool chosen = is_chosen(subscription, bytes, size);

    pthread_mutex_lock(&subscription->lock);
    hear(subscription, bytes, size);
    if (chosen && subscription->count < subscription->queue) {
        subscription->ring[(subscription->first + subscription->count++) % subscription->queue] = message;
        message = NULL;
    } else if (chosen) {
        subscription->missed++;
    }
    if (chosen)
        signal_news(subscription);
    pthread_mutex_unlock(&subscription->lock);
    if (message != NULL)
        nng_msg_free(message);
}

/* Without a time limit, receiving fails only because the socket is being closed. */
static void on_received(void *arg)
{
    struct mcp_broker_subscription *subscription = arg;

    if (nng_aio_result(subscription->receive) != 0)
        return;
    nng_msg *message = nng_aio_get_msg(subscription->receive);
    nng_aio_set_msg(subscription->receive, NULL);
    keep(subscription, message);
    nng_recv_aio(subscription->socket.nng, subscription->receive);
}

static void on_pipe(void *user, bool added)
{
    struct mcp_broker_subscription *subscription = user;

    pthread_mutex_lock(&subscription->lock);
    if (added) {
        subscription->pipes++;
        subscription->contacts++;
        subscription->heard = false;
    } else {
        subscription->pipes--;
        signal_news(subscription);
    }
    pthread_mutex_unlock(&subscription->lock);
}

static void on_tick(void *arg)
{
    struct mcp_broker_subscription *subscription = arg;

    if (nng_aio_result(subscription->tick) != 0)
        return;
    pthread_mutex_lock(&subscription->lock);
    bool away = subscription->pipes == 0;
    pthread_mutex_unlock(&subscription->lock);
    if (away && subscription->was_away) {
        nng_dialer_close(subscription->dialer);
        /* Without memory there is none until the next tick. */
        if (bus_socket_dial(&subscription->socket, subscription->path, &subscription->dialer) != 0)
            subscription->dialer = (nng_dialer)NNG_DIALER_INITIALIZER;
        away = false;
    }
    subscription->was_away = away;
    nng_sleep_aio(TICK_MS, subscription->tick);
}

/* --- subscribing --- */

static int choose(struct mcp_broker_subscription *subscription, const struct mcp_broker_filter *filter)
{
    unsigned kinds = filter != NULL && filter->kinds != 0 ? filter->kinds : KINDS_LISTS;

    if (kinds & ~(unsigned)KINDS_ALL)
        return -EINVAL;
    subscription->kinds = kinds;
    subscription->queue = filter != NULL && filter->queue > 0 ? filter->queue : QUEUE_DEFAULT;
    subscription->ring = calloc(subscription->queue, sizeof *subscription->ring);
    if (subscription->ring == NULL)
        return -ENOMEM;
    if (filter == NULL || filter->workspace == NULL)
        return 0;
    size_t size = strlen(filter->workspace) + sizeof "//";
    subscription->workspace = malloc(size);
    if (subscription->workspace == NULL)
        return -ENOMEM;
    snprintf(subscription->workspace, size, "/%s/", filter->workspace);
    return 0;
}

static int start(struct mcp_broker_subscription *subscription)
{
    if (nng_aio_alloc(&subscription->receive, on_received, subscription) != 0 ||
        nng_aio_alloc(&subscription->tick, on_tick, subscription) != 0)
        return -ENOMEM;
    nng_aio_set_timeout(subscription->receive, NNG_DURATION_INFINITE);
    subscription->socket.on_pipe = on_pipe;
    subscription->socket.user = subscription;
    int result = bus_socket_open(&subscription->socket, nng_sub0_open, EVENT_BYTES_MAX);
    if (result != 0)
        return result;
    result = nng_socket_set_int(subscription->socket.nng, NNG_OPT_RECVBUF, BUS_QUEUE_MAX);
    if (result == 0)
        result = nng_socket_set(subscription->socket.nng, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    if (result != 0)
        return bus_error(result);
    result = bus_socket_dial(&subscription->socket, subscription->path, &subscription->dialer);
    if (result != 0)
        return result;
    nng_recv_aio(subscription->socket.nng, subscription->receive);
    nng_sleep_aio(TICK_MS, subscription->tick);
    return 0;
}

int mcp_broker_subscribe(const char *run_dir, const struct mcp_broker_filter *filter,
                         struct mcp_broker_subscription **out)
{
    struct mcp_broker_subscription *subscription = calloc(1, sizeof *subscription);

    if (subscription == NULL)
        return -ENOMEM;
    pthread_mutex_init(&subscription->lock, NULL);
    subscription->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = subscription->descriptor < 0 ? -errno : 0;
    if (result == 0)
        result = paths_join(subscription->path, sizeof subscription->path, run_dir, PATHS_EVENTS);
    if (result == 0)
        result = choose(subscription, filter);
    if (result == 0)
        result = start(subscription);
    if (result != 0) {
        mcp_broker_unsubscribe(subscription);
        return result;
    }
    *out = subscription;
    return 0;
}

int mcp_broker_descriptor(const struct mcp_broker_subscription *subscription)
{
    return subscription->descriptor;
}

void mcp_broker_unsubscribe(struct mcp_broker_subscription *subscription)
{
    if (subscription == NULL)
        return;
    nng_aio_stop(subscription->tick);
    nng_aio_stop(subscription->receive);
    nng_aio_free(subscription->tick);
    nng_aio_free(subscription->receive);
    bus_socket_close(&subscription->socket);
    for (size_t i = 0; i < subscription->count; i++)
        nng_msg_free(subscription->ring[(subscription->first + i) % subscription->queue]);
    if (subscription->descriptor >= 0)
        close(subscription->descriptor);
    pthread_mutex_destroy(&subscription->lock);
    free(subscription->ring);
    free(subscription->workspace);
    free(subscription);
}

/* --- receiving --- */

/* What is to be told next, under the lock. */
struct news {
    enum mcp_broker_kind kind; /* 0: nothing, or what `message` is */
    uint64_t missed;
    nng_msg *message;
};

static struct news take_news(struct mcp_broker_subscription *subscription)
{
    struct news news = {0};
    bool online = subscription->pipes > 0 && subscription->heard;

    if (online ? subscription->contacts_told != subscription->contacts : subscription->online_told) {
        news.kind = online ? MCP_BROKER_ONLINE : MCP_BROKER_OFFLINE;
        subscription->contacts_told = subscription->contacts;
        subscription->online_told = online;
    } else if (subscription->missed > 0) {
        news = (struct news){.kind = MCP_BROKER_MISSED, .missed = subscription->missed};
        subscription->missed = 0;
    } else if (subscription->count > 0) {
        news.message = subscription->ring[subscription->first];
        subscription->first = (subscription->first + 1) % subscription->queue;
        subscription->count--;
    } else if (subscription->signalled) {
        eventfd_t value;
        (void)eventfd_read(subscription->descriptor, &value);
        subscription->signalled = false;
    }
    return news;
}

/* 0 with an event, MCP_BROKER_NOTHING, or -ENOMEM. What can't be read counts as missed. */
static int take(struct mcp_broker_subscription *subscription, struct mcp_broker_event **event)
{
    struct mcp_broker_event *found = NULL;
    struct news news;

    do {
        pthread_mutex_lock(&subscription->lock);
        news = take_news(subscription);
        pthread_mutex_unlock(&subscription->lock);
        if (news.message == NULL) {
            found = news.kind != 0 ? event_of_news(news.kind, news.missed) : NULL;
            break;
        }
        found = event_of_message(nng_msg_body(news.message), nng_msg_len(news.message));
        nng_msg_free(news.message);
        pthread_mutex_lock(&subscription->lock);
        subscription->missed += found == NULL;
        pthread_mutex_unlock(&subscription->lock);
    } while (found == NULL);
    if (found == NULL)
        return news.kind != 0 ? -ENOMEM : MCP_BROKER_NOTHING;
    *event = found;
    return 0;
}

int mcp_broker_receive(struct mcp_broker_subscription *subscription, int timeout_ms, struct mcp_broker_event **event)
{
    struct pollfd descriptor = {.fd = subscription->descriptor, .events = POLLIN};
    uint64_t deadline_ms = clock_mono_ms() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);

    for (;;) {
        int result = take(subscription, event);
        uint64_t now_ms = clock_mono_ms();
        if (result != MCP_BROKER_NOTHING || (timeout_ms >= 0 && now_ms >= deadline_ms))
            return result;
        if (poll(&descriptor, 1, timeout_ms < 0 ? -1 : (int)(deadline_ms - now_ms)) < 0)
            return -errno;
    }
}
