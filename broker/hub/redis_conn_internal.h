/* SPDX-License-Identifier: MIT */
/* What the files of redis_conn share; for no other. */
#ifndef HUB_REDIS_CONN_INTERNAL_H
#define HUB_REDIS_CONN_INTERNAL_H

#include "broker/hub/redis_conn.h"
#include "common/buf.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

enum { REDIS_HOST_SIZE = 256 };

enum redis_phase {
    REDIS_DOWN,      /* waits for the next try */
    REDIS_RESOLVING, /* a name */
    REDIS_ASKING,    /* a sentinel for the master's address */
    REDIS_GREETING,  /* the server: all that comes before it is ready is under way */
    REDIS_READY
};

struct redis_tls;

struct redis_conn {
    struct redis_conn_options options;
    struct redis_tls *tls; /* NULL: plain */
    uv_timer_t timer;      /* wait for the next try while DOWN, else the tick */
    uv_getaddrinfo_t resolving;
    redisAsyncContext *context;
    struct buf command; /* the one that is being made */
    enum redis_phase phase;
    bool closed;
    bool resolver_busy;
    unsigned holders; /* handles and requests whose callback is still to come; the last one frees */
    /* where this try goes to */
    bool to_sentinel;
    char host[REDIS_HOST_SIZE]; /* or the path of a socket */
    uint16_t port;
    char server[REDIS_HOST_SIZE + 8]; /* the same as text */
    bool sentinels_want_auth;
    unsigned tries; /* since a server was last well */
    bool half_sent; /* no memory in the middle of a transaction: the next tick ends the connection */
    unsigned under_way;
    unsigned subscriptions; /* confirmed */
    uint64_t progress_ms;   /* last answer, or the first command after all were answered */
    uint64_t logged_ms;
    char *sign_channel; /* subscribed: the channel of the sign of life */
    char error[REDIS_CONN_ERROR_SIZE];
    bool refused;                        /* `error` is an answer to an event: being connected does not mend it */
    char refusal[REDIS_CONN_ERROR_SIZE]; /* first error within the transaction that is being answered */
};

/* Keeps what went wrong for who asks, and logs it now and then: an outage is one line in half a minute. */
void redis_conn_note(struct redis_conn *conn, const char *what);

/* Notes `why` and ends the context; the next try follows. */
void redis_conn_drop(struct redis_conn *conn, const char *why);

/* Something that was asked for has been done: trouble is over. */
void redis_conn_is_well(struct redis_conn *conn);

/* Sends a command. 0, or 1 without a connection or memory. Each answer must be accounted for. */
MUST_CHECK int redis_conn_command(struct redis_conn *conn, redisCallbackFn *on_answer, void *data, int argc,
                                  const char **argv, const size_t *sizes);

/* Accounts for an answer. False when there is none because the connection ended, or nobody wants it any more. */
bool redis_conn_account(struct redis_conn *conn, const redisReply *reply);

/* The master's address is known: goes there next. */
void redis_conn_go_to(struct redis_conn *conn, const char *host, uint16_t port);

/* The same for who only asks: it is told, and the next sentinel is asked after a while. */
void redis_conn_told(struct redis_conn *conn, const char *host, uint16_t port, uint64_t epoch);

/* The greeting is over: ready. */
void redis_conn_greeted(struct redis_conn *conn);

/* redis_conn_greet.c: what is said first, to a sentinel and to a server, and said again to a quiet server. 0 or 1. */
MUST_CHECK int redis_conn_greet_sentinel(struct redis_conn *conn);
MUST_CHECK int redis_conn_greet_server(struct redis_conn *conn);
void redis_conn_greet_again(struct redis_conn *conn);

#endif
