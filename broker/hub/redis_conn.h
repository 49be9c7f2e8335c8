/* SPDX-License-Identifier: MIT */
/* One connection to Redis that is kept up: connects, authenticates, selects the database, and comes back with back-off
 * whenever it is lost. The home of hiredis. Runs on one libuv loop and never blocks it.
 *
 * Handlers run from the loop, never from within redis_conn_command, and never after redis_conn_close. */
#ifndef HUB_REDIS_CONN_H
#define HUB_REDIS_CONN_H

#include "broker/hub/redis_url.h"
#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { REDIS_CONN_ERROR_SIZE = 160 };

/* What became of a command. */
enum redis_conn_reply {
    REDIS_CONN_DONE,    /* Redis did it */
    REDIS_CONN_REFUSED, /* Redis answered with an error: redis_conn_error */
    REDIS_CONN_LOST     /* the connection ended before the answer: it may have been done, or not */
};

/* on_reply may be NULL for who never publishes, on_message for who never subscribes. */
struct redis_conn_handlers {
    /* Commands are taken from now on. */
    void (*on_ready)(void *user);
    /* Once for each command, in their order. */
    void (*on_reply)(void *user, uint32_t ticket, enum redis_conn_reply reply);
    /* A message on a subscribed channel. Borrowed for the call. */
    void (*on_message)(void *user, const char *channel, const void *payload, size_t size);
};

struct redis_conn_options {
    const struct redis_url *url; /* lives longer */
    const char *name;            /* a literal, for the log: "commands" */
    struct redis_conn_handlers handlers;
    void *user;
};

struct redis_conn;

/* Begins to connect. 0 or -ENOMEM. */
MUST_CHECK int redis_conn_open(uv_loop_t *loop, const struct redis_conn_options *options, struct redis_conn **out);

/* Sends PUBLISH. 0: on_reply will run with `ticket`; 1: not ready, or no memory. */
MUST_CHECK int redis_conn_publish(struct redis_conn *conn, const char *channel, const void *payload, size_t size,
                                  uint32_t ticket);

/* Subscribes; for a connection that is ready and sends nothing else. 0 or 1. */
MUST_CHECK int redis_conn_subscribe(struct redis_conn *conn, const char *channel);

bool redis_conn_is_ready(const struct redis_conn *conn);

/* Channels that Redis has confirmed a subscription to. */
unsigned redis_conn_subscriptions(const struct redis_conn *conn);

/* Why it is not ready, or the last error that Redis answered; "" when all is well. Never the password. */
const char *redis_conn_error(const struct redis_conn *conn);

/* Ends it; commands under way are forgotten. NULL does nothing. */
void redis_conn_close(struct redis_conn *conn);

#endif
