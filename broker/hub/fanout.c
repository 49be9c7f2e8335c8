/* SPDX-License-Identifier: MIT */
/* The local end of the relay. Subscribers of this machine read events.sock whoever they are, as long as the file's
 * group lets them: nothing that goes out here is secret. A subscriber has a queue of its own in nng; what it does not
 * take in time is dropped for it alone.
 *
 * It sees that by the events' numbers; and by the beat, which repeats the last number every second and when a subscriber
 * comes, it sees it also when nothing follows. The first beat tells it that it is heard from there on: that its end of the
 * connection is open does not say that ours is.
 */
#include "broker/hub/fanout.h"

#include "common/bus.h"
#include "common/event.h"
#include "common/log.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { MODE = 0660, BEAT_MAX = 64 };

struct fanout {
    uv_async_t arrivals;
    struct bus_pub *pub;
    uint64_t sequence; /* of the last event */
    uint64_t dropped;
};

static void send_bytes(struct fanout *fanout, const void *bytes, size_t size)
{
    int result = bus_pub_send(fanout->pub, bytes, size);
    if (result != 0)
        log_warn("fanout.send", LOG_TEXT("error", strerror(-result)));
}

void fanout_tick(struct fanout *fanout)
{
    struct buf beat;
    buf_init(&beat, BEAT_MAX);
    if (event_write_beat(&beat, fanout->sequence) == 0)
        send_bytes(fanout, beat.bytes, beat.size);
    buf_fini(&beat);
    fanout->dropped = bus_pub_dropped(fanout->pub);
}

static void on_arrival(uv_async_t *arrivals)
{
    struct fanout *fanout = arrivals->data;
    if (fanout->pub)
        fanout_tick(fanout);
}

int fanout_open(uv_loop_t *loop, const struct config *config, struct fanout **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct fanout *fanout = calloc(1, sizeof(*fanout));
    int result = fanout ? uv_async_init(loop, &fanout->arrivals, on_arrival) : -ENOMEM;
    if (result != 0) {
        free(fanout);
        goto out;
    }
    fanout->arrivals.data = fanout;
    result = paths_join(path, sizeof(path), config->run_dir, PATHS_EVENTS);
    if (result == 0)
        result = bus_pub_open(&(struct bus_pub_options){.path = path,
                                                        .end = BUS_LISTEN,
                                                        .mode = MODE,
                                                        .queue = (int)config->subscriber_queue,
                                                        .pipes_max = (int)config->max_clients,
                                                        .arrivals = &fanout->arrivals},
                              &fanout->pub);
    if (result == 0)
        *out = fanout;
    else
        fanout_close(fanout);
out:
    if (result != 0)
        log_error("fanout.open", LOG_TEXT("socket", PATHS_EVENTS), LOG_TEXT("error", strerror(-result)));
    return result;
}

bool fanout_is_heard(const struct fanout *fanout)
{
    return bus_pub_is_heard(fanout->pub);
}

void fanout_send(struct fanout *fanout, uint64_t sequence, const void *bytes, size_t size)
{
    fanout->sequence = sequence;
    if (bytes)
        send_bytes(fanout, bytes, size);
}

uint64_t fanout_sequence(const struct fanout *fanout)
{
    return fanout->sequence;
}

uint64_t fanout_refused(const struct fanout *fanout)
{
    return bus_pub_refused(fanout->pub);
}

uint64_t fanout_dropped(const struct fanout *fanout)
{
    return fanout->dropped;
}

static void on_closed(uv_handle_t *arrivals)
{
    free(arrivals->data);
}

void fanout_close(struct fanout *fanout)
{
    if (!fanout)
        return;
    bus_pub_close(fanout->pub);
    fanout->pub = NULL;
    uv_close((uv_handle_t *)&fanout->arrivals, on_closed);
}
