/* SPDX-License-Identifier: MIT */
/* The hub's way to Redis: one connection that publishes, one that is subscribed to the channels of all events.
 * Handlers run from the loop, and never after redis_link_close. */
#ifndef HUB_REDIS_LINK_H
#define HUB_REDIS_LINK_H

#include "broker/hub/redis_conn.h"
#include "common/compiler.h"
#include "common/redis_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct redis_link_handlers {
    /* Publishing works (again). `elsewhere`: at another server than the last time, which may not know what that one took. */
    void (*on_up)(void *user, bool elsewhere);
    /* Once for each redis_link_publish that returned 0. */
    void (*on_reply)(void *user, uint32_t ticket, enum redis_conn_reply reply);
    /* A message on the channel of `type` (enum kind or EVENT_STATUS), one's own as well. */
    void (*on_message)(void *user, unsigned type, const void *payload, size_t size);
};

/* Texts are copied. */
struct redis_link_options {
    const char *channel_prefix;
    const char *stream; /* that keeps the events, too; NULL: none */
    uint64_t stream_maxlen;
    struct redis_link_handlers handlers;
    void *user;
};

struct redis_link;

/* Connects and stays connected. Takes over `url`'s texts when it returns 0; else a negative errno. */
MUST_CHECK int redis_link_open(uv_loop_t *loop, struct redis_url *url, const struct redis_link_options *options,
                               struct redis_link **out);

/* An event on the channel of `type`; `id` tells doubles in the stream. 0, or 1: not up, try again after on_up. */
MUST_CHECK int redis_link_publish(struct redis_link *link, unsigned type, const void *payload, size_t size,
                                  const char *id, uint32_t ticket);

bool redis_link_is_up(const struct redis_link *link);

/* Redis has confirmed that the events of other machines come here. */
bool redis_link_is_subscribed(const struct redis_link *link);

/* The last trouble of the connections, "" when there is none. */
const char *redis_link_error(const struct redis_link *link);

void redis_link_close(struct redis_link *link);

#endif
