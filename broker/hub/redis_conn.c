/* SPDX-License-Identifier: MIT */
/* One Redis connection on a libuv loop. hiredis 0.14 gives a protocol and four hooks for a loop; names are resolved,
 * time is kept and what is lost is replaced here.
 *
 *   DOWN ── timer ──▶ RESOLVING ──▶ GREETING (connect, AUTH, SELECT, PING are all under way) ── PONG ──▶ READY
 *     ▲────────────────────────────── any end, with the wait for the next try ─────────────────────────────┘
 *
 * A hiredis context can end in its own read or write, in a time-out here, or in the middle of its own callback, and it
 * frees itself. It has one hook that runs exactly once however it ends: `cleanup`. So that hook, and nothing else, makes
 * this connection forget its context and plan the next try; whoever wants a context gone calls redisAsyncFree (which
 * defers itself within a callback) and waits for the hook. By then all pending callbacks have run with a NULL reply.
 *
 * Time-outs: hiredis has none. A command that is under way for IO_TIMEOUT_MS without any answer coming ends the
 * connection, and a quiet connection is asked for a sign of life every tick: PING, or, where a subscription forbids that,
 * SUBSCRIBE again to a channel that it has already, which Redis answers and otherwise ignores.
 */
#include "broker/hub/redis_conn.h"

#include "common/clock.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, SIGN_OF_LIFE_MS = 2000, IO_TIMEOUT_MS = 5000, BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000 };
enum { LOG_INTERVAL_MS = 30000 };

enum phase { PHASE_DOWN, PHASE_RESOLVING, PHASE_GREETING, PHASE_READY };

/* The poll handle of one context. It outlives the context until libuv has closed it. */
struct watch {
    uv_poll_t poll;
    struct redis_conn *conn;
    redisAsyncContext *context; /* NULL once the context is gone */
    int events;
};

struct redis_conn {
    struct redis_conn_options options;
    uv_timer_t timer; /* wait for the next try while DOWN, else the tick */
    uv_getaddrinfo_t resolving;
    redisAsyncContext *context;
    enum phase phase;
    bool closed;
    bool resolver_busy;
    unsigned holders; /* loop handles and requests whose callback is still to come; the last one frees */
    unsigned tries;   /* since it was last ready */
    unsigned under_way;
    unsigned subscriptions; /* confirmed */
    uint64_t progress_ms;   /* last answer, or the first command after all were answered */
    uint64_t logged_ms;
    char *sign_channel; /* subscribed: the channel of the sign of life */
    char error[REDIS_CONN_ERROR_SIZE];
};

static void plan_next_try(struct redis_conn *conn);

static void let_go(struct redis_conn *conn)
{
    assert(conn->holders > 0);
    if (--conn->holders > 0)
        return;
    free(conn->sign_channel);
    free(conn);
}

/* Keeps what went wrong for who asks, and logs it now and then: an outage is one line in half a minute. */
static void note_error(struct redis_conn *conn, const char *what)
{
    snprintf(conn->error, sizeof(conn->error), "%s", what);
    uint64_t now = clock_mono_ms();
    if (conn->logged_ms != 0 && now - conn->logged_ms < LOG_INTERVAL_MS)
        return;
    conn->logged_ms = now;
    log_warn("redis.trouble", LOG_TEXT("connection", conn->options.name), LOG_TEXT("error", conn->error));
}

/* --- hiredis on the loop --- */

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    let_go(watch->conn);
    free(watch);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    /* An error (a refused connect is one) is for hiredis to find in the socket: it looks when it reads. */
    if (status != 0 || (events & UV_READABLE))
        redisAsyncHandleRead(watch->context);
    if (watch->context && (events & UV_WRITABLE))
        redisAsyncHandleWrite(watch->context);
}

static void watch_for(struct watch *watch, int events)
{
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
    watch_for(watch, watch->events | UV_WRITABLE);
}

static void hook_del_write(void *data)
{
    struct watch *watch = data;
    watch_for(watch, watch->events & ~UV_WRITABLE);
}

static void hook_cleanup(void *data)
{
    struct watch *watch = data;
    struct redis_conn *conn = watch->conn;
    if (!conn->closed && watch->context->err)
        note_error(conn, watch->context->errstr);
    watch->context = NULL;
    conn->context = NULL;
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
    if (!conn->closed)
        plan_next_try(conn);
}

static int attach(struct redis_conn *conn, redisAsyncContext *context)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    int result = uv_poll_init(conn->timer.loop, &watch->poll, context->c.fd);
    if (result != 0) {
        free(watch);
        return result;
    }
    conn->holders++;
    watch->poll.data = watch;
    watch->conn = conn;
    watch->context = context;
    context->data = conn;
    context->ev.data = watch;
    context->ev.addRead = hook_add_read;
    context->ev.delRead = hook_del_read;
    context->ev.addWrite = hook_add_write;
    context->ev.delWrite = hook_del_write;
    context->ev.cleanup = hook_cleanup;
    return 0;
}

/* --- commands --- */

static void drop_context(struct redis_conn *conn, const char *why)
{
    note_error(conn, why);
    redisAsyncFree(conn->context);
}

/* Accounts for an answer. False when there is none because the connection ended, or nobody wants it any more. */
static bool account(struct redis_conn *conn, const redisReply *reply)
{
    assert(conn->under_way > 0);
    conn->under_way--;
    conn->progress_ms = clock_mono_ms();
    return reply && !conn->closed;
}

static int command(struct redis_conn *conn, redisCallbackFn *on_answer, void *data, int argc, const char **argv,
                   const size_t *sizes)
{
    if (!conn->context || redisAsyncCommandArgv(conn->context, on_answer, data, argc, argv, sizes) != REDIS_OK)
        return 1;
    if (conn->under_way++ == 0)
        conn->progress_ms = clock_mono_ms();
    return 0;
}

static void on_sign_of_life(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (account(conn, reply) && reply->type == REDIS_REPLY_ERROR)
        drop_context(conn, reply->str);
}

static void on_greeting(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (account(conn, reply) && reply->type == REDIS_REPLY_ERROR)
        drop_context(conn, reply->str);
}

static void on_greeted(redisAsyncContext *context, void *answer, void *data)
{
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    bool refused = reply && reply->type == REDIS_REPLY_ERROR;
    on_greeting(context, answer, data);
    if (!reply || refused || conn->closed || conn->phase != PHASE_GREETING || (context->c.flags & REDIS_FREEING))
        return;
    conn->phase = PHASE_READY;
    conn->tries = 0;
    conn->logged_ms = 0;
    conn->error[0] = '\0';
    log_info("redis.up", LOG_TEXT("connection", conn->options.name));
    conn->options.handlers.on_ready(conn->options.user);
}

static int greet(struct redis_conn *conn)
{
    const struct redis_url *url = conn->options.url;
    int failed = 0;
    if (url->password) {
        const char *argv[] = {"AUTH", url->user ? url->user : url->password, url->password};
        failed |= command(conn, on_greeting, NULL, url->user ? 3 : 2, argv, NULL);
    }
    if (url->database) {
        char number[16];
        snprintf(number, sizeof(number), "%u", url->database);
        const char *argv[] = {"SELECT", number};
        failed |= command(conn, on_greeting, NULL, 2, argv, NULL);
    }
    const char *argv[] = {"PING"};
    return failed | command(conn, on_greeted, NULL, 1, argv, NULL);
}

static void give_sign_of_life(struct redis_conn *conn)
{
    const char *ping[] = {"PING"};
    if (!conn->sign_channel)
        (void)!command(conn, on_sign_of_life, NULL, 1, ping, NULL);
    else
        (void)!redis_conn_subscribe(conn, conn->sign_channel);
}

static void on_tick(uv_timer_t *timer)
{
    struct redis_conn *conn = timer->data;
    uint64_t quiet = clock_mono_ms() - conn->progress_ms;
    if (conn->under_way > 0 && quiet >= IO_TIMEOUT_MS)
        drop_context(conn, conn->phase == PHASE_READY ? "no reply in time" : "no connection in time");
    else if (conn->under_way == 0 && quiet >= SIGN_OF_LIFE_MS)
        give_sign_of_life(conn);
}

/* --- connecting --- */

/* `host` is an address, or NULL for the unix socket: nothing here asks a name server. */
static void connect_to(struct redis_conn *conn, const char *host)
{
    const struct redis_url *url = conn->options.url;
    redisAsyncContext *context = host ? redisAsyncConnect(host, url->port) : redisAsyncConnectUnix(url->path);
    if (!context || context->err || attach(conn, context) != 0) {
        note_error(conn, context && context->err ? context->errstr : "no memory");
        if (context)
            redisAsyncFree(context);
        plan_next_try(conn);
        return;
    }
    conn->context = context;
    conn->phase = PHASE_GREETING;
    uv_timer_start(&conn->timer, on_tick, TICK_MS, TICK_MS);
    if (greet(conn) != 0)
        drop_context(conn, "no memory");
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct redis_conn *conn = request->data;
    conn->resolver_busy = false;
    if (!conn->closed && status != 0) {
        note_error(conn, uv_strerror(status));
        plan_next_try(conn);
    } else if (!conn->closed) {
        /* One try after the other takes one address after the other. */
        unsigned count = 0;
        for (struct addrinfo *each = addresses; each; each = each->ai_next)
            count++;
        struct addrinfo *chosen = addresses;
        for (unsigned skip = conn->tries % count; skip > 0; skip--)
            chosen = chosen->ai_next;
        char host[64] = "";
        (void)getnameinfo(chosen->ai_addr, chosen->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
        connect_to(conn, host);
    }
    uv_freeaddrinfo(addresses);
    let_go(conn);
}

static void begin_try(uv_timer_t *timer)
{
    struct redis_conn *conn = timer->data;
    if (conn->options.url->path) {
        connect_to(conn, NULL);
        return;
    }
    assert(!conn->resolver_busy); /* while it is, no try is planned */
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    conn->resolving.data = conn;
    int result = uv_getaddrinfo(timer->loop, &conn->resolving, on_resolved, conn->options.url->host, NULL, &hints);
    if (result != 0) {
        note_error(conn, uv_strerror(result));
        plan_next_try(conn);
        return;
    }
    conn->phase = PHASE_RESOLVING;
    conn->resolver_busy = true;
    conn->holders++;
}

static void plan_next_try(struct redis_conn *conn)
{
    uint64_t wait = BACKOFF_MAX_MS;
    if (conn->tries < 6)
        wait = (uint64_t)BACKOFF_FIRST_MS << conn->tries;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    wait = wait * (80 + uv_hrtime() / 1000 % 41) / 100; /* so that many brokers do not come in step */
    conn->tries++;
    conn->phase = PHASE_DOWN;
    conn->under_way = 0;
    conn->subscriptions = 0;
    uv_timer_start(&conn->timer, begin_try, wait, 0);
}

int redis_conn_open(uv_loop_t *loop, const struct redis_conn_options *options, struct redis_conn **out)
{
    struct redis_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return -ENOMEM;
    conn->options = *options;
    uv_timer_init(loop, &conn->timer);
    conn->timer.data = conn;
    conn->holders = 1;
    snprintf(conn->error, sizeof(conn->error), "connecting");
    uv_timer_start(&conn->timer, begin_try, 0, 0);
    *out = conn;
    return 0;
}

/* --- what callers send --- */

static void on_published(redisAsyncContext *context, void *answer, void *data)
{
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    enum redis_conn_reply result = REDIS_CONN_DONE;
    bool answered = account(conn, reply);
    if (conn->closed)
        return;
    if (!answered) {
        result = REDIS_CONN_LOST;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        result = REDIS_CONN_REFUSED;
        note_error(conn, reply->str);
    } else {
        conn->error[0] = '\0';
    }
    conn->options.handlers.on_reply(conn->options.user, (uint32_t)(uintptr_t)data, result);
}

int redis_conn_publish(struct redis_conn *conn, const char *channel, const void *payload, size_t size, uint32_t ticket)
{
    if (conn->phase != PHASE_READY)
        return 1;
    const char *argv[] = {"PUBLISH", channel, payload};
    const size_t sizes[] = {7, strlen(channel), size};
    return command(conn, on_published, (void *)(uintptr_t)ticket, 3, argv,
                   sizes); /* NOLINT(performance-no-int-to-ptr) */
}

/* Runs for the answer to SUBSCRIBE and for each message: ["subscribe" | "message", channel, count | payload]. */
static void on_subscribed(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (!reply || conn->closed)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        drop_context(conn, reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[0]->type != REDIS_REPLY_STRING)
        return;
    if (strcmp(reply->element[0]->str, "subscribe") == 0) {
        if (conn->under_way > 0)
            conn->under_way--;
        conn->subscriptions = (unsigned)reply->element[2]->integer;
        conn->progress_ms = clock_mono_ms();
    } else if (reply->element[1]->type == REDIS_REPLY_STRING && reply->element[2]->type == REDIS_REPLY_STRING) {
        conn->options.handlers.on_message(conn->options.user, reply->element[1]->str, reply->element[2]->str,
                                          (size_t)reply->element[2]->len);
    }
}

int redis_conn_subscribe(struct redis_conn *conn, const char *channel)
{
    if (conn->phase != PHASE_READY)
        return 1;
    if (!conn->sign_channel && !(conn->sign_channel = strdup(channel)))
        return 1;
    const char *argv[] = {"SUBSCRIBE", channel};
    return command(conn, on_subscribed, NULL, 2, argv, NULL);
}

bool redis_conn_is_ready(const struct redis_conn *conn)
{
    return conn->phase == PHASE_READY;
}

unsigned redis_conn_subscriptions(const struct redis_conn *conn)
{
    return conn->subscriptions;
}

const char *redis_conn_error(const struct redis_conn *conn)
{
    return conn->error;
}

static void on_timer_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void redis_conn_close(struct redis_conn *conn)
{
    if (!conn)
        return;
    assert(!conn->closed);
    conn->closed = true;
    if (conn->resolver_busy)
        (void)uv_cancel((uv_req_t *)&conn->resolving);
    if (conn->context)
        redisAsyncFree(conn->context);
    uv_close((uv_handle_t *)&conn->timer, on_timer_closed);
}
