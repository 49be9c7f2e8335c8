/* SPDX-License-Identifier: MIT */
/* One connection to Redis that is kept up: finds the server (by its name, or by asking sentinels), connects,
 * authenticates, selects the database, and comes back with back-off whenever it is lost. With redis_loop the home of
 * hiredis. Runs on one libuv loop and never blocks it.
 *
 * With on_master it is none to a server: it asks the sentinels, one after the other, for ever, which master they name.
 *
 * Handlers run from the loop, never from within redis_conn_publish, and never after redis_conn_close. */
#ifndef HUB_REDIS_CONN_H
#define HUB_REDIS_CONN_H

#include "common/compiler.h"
#include "common/redis_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { REDIS_CONN_ERROR_SIZE = 256 };

/* What became of an event. */
enum redis_conn_reply {
    REDIS_CONN_DONE,    /* Redis took it */
    REDIS_CONN_REFUSED, /* Redis answered with an error: redis_conn_error */
    REDIS_CONN_LOST     /* the connection ended before the answer: it may have been done, or not */
};

/* on_reply may be NULL for who never publishes, on_message for who never subscribes; on_ready, too, with on_master. */
struct redis_conn_handlers {
    /* Commands are taken from now on. */
    void (*on_ready)(void *user);
    /* Once for each event, in their order. */
    void (*on_reply)(void *user, uint32_t ticket, enum redis_conn_reply reply);
    /* A message on a subscribed channel. Borrowed for the call. */
    void (*on_message)(void *user, const char *channel, const void *payload, size_t size);
    /* What a sentinel says. `epoch` grows with each failover: who names a lower one is not up to date. */
    void (*on_master)(void *user, const char *host, uint16_t port, uint64_t epoch);
};

/* What it points to lives longer. */
struct redis_conn_options {
    const struct redis_url *url;
    const char *name;   /* for the log: "commands" */
    const char *stream; /* where events are kept besides; NULL: nowhere */
    uint64_t stream_maxlen;
    struct redis_conn_handlers handlers;
    void *user;
};

/* Borrowed for a call. */
struct redis_conn_event {
    const char *channel;
    const void *payload;
    size_t size;
    const char *id; /* in the stream: what a reader tells doubles by */
};

struct redis_conn;

/* Begins to connect. 0, -ENOMEM, or -ENOTSUP (TLS is not built in). */
MUST_CHECK int redis_conn_open(uv_loop_t *loop, const struct redis_conn_options *options, struct redis_conn **out);

/* Sends PUBLISH, with a stream one transaction of PUBLISH and XADD. 0: on_reply will run with `ticket`; 1: not ready, or
 * no memory. */
MUST_CHECK int redis_conn_publish(struct redis_conn *conn, const struct redis_conn_event *event, uint32_t ticket);

/* Subscribes; for a connection that is ready and sends nothing else. 0 or 1. */
MUST_CHECK int redis_conn_subscribe(struct redis_conn *conn, const char *channel);

bool redis_conn_is_ready(const struct redis_conn *conn);

/* Channels that Redis has confirmed a subscription to. */
unsigned redis_conn_subscriptions(const struct redis_conn *conn);

/* The server that it is at, or tries to be at: "host:port" or a path. */
const char *redis_conn_server(const struct redis_conn *conn);

/* Goes to another server, or to where `other` is, unless it is not ready: then it is looking for one anyway. */
void redis_conn_move(struct redis_conn *conn, const char *host, uint16_t port, const char *why);
void redis_conn_follow(struct redis_conn *conn, const struct redis_conn *other, const char *why);

/* Whether it is ready, at that server. */
bool redis_conn_is_at(const struct redis_conn *conn, const char *host, uint16_t port);

/* Why it is not ready, or the last error that Redis answered; "" when all is well. Never the password. */
const char *redis_conn_error(const struct redis_conn *conn);

/* Ends it; events under way are forgotten. NULL does nothing. */
void redis_conn_close(struct redis_conn *conn);

#endif
