/* SPDX-License-Identifier: MIT */
/* One Redis connection on a libuv loop. hiredis 0.14 gives a protocol and four hooks for a loop; servers are found, time
 * is kept and what is lost is replaced here.
 *
 *            ┌────────── the master's address ───────────┐
 *            ▼                                           │
 *   DOWN ─▶ RESOLVING ─┬─▶ ASKING (a sentinel) ──────────┘
 *    ▲                 └─▶ GREETING (connect and all that comes first are under way) ── PONG ──▶ READY
 *    └────────────────────────────── any end, with the wait for the next try ────────────────────┘
 *
 * With sentinels each try begins with asking one of them, the next one in the list after each failure. So a failover is
 * followed when the connection to the old master ends, or when that says that it is none any more. Neither happens to a
 * master that only the sentinels have lost; so a connection of its own asks them all the time (on_master): its tries end
 * with the answer, and the next one goes to the next sentinel.
 *
 * Whoever wants a context gone calls redisAsyncFree (which defers itself within a callback of hiredis) and waits for
 * on_gone, the one place where this connection forgets its context and plans what is next. By then all pending callbacks
 * have run with a NULL reply.
 *
 * Time-outs: hiredis has none. A command that is under way for IO_TIMEOUT_MS without any answer coming ends the
 * connection, and a quiet connection is asked for a sign of life: PING (ROLE), or, where a subscription forbids that,
 * SUBSCRIBE again to a channel that it has already, which Redis answers and otherwise ignores.
 */
#include "broker/hub/redis_conn.h"

#include "broker/hub/redis_conn_internal.h"
#include "broker/hub/redis_loop.h"
#include "broker/hub/redis_tls.h"
#include "common/clock.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, SIGN_OF_LIFE_MS = 2000, IO_TIMEOUT_MS = 5000, ASK_TIMEOUT_MS = 2000 };
enum { COMMAND_MAX = 512 * 1024 * 1024 /* more is too long for Redis */, COMMAND_KEPT = 64 * 1024 };
enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000, LOG_INTERVAL_MS = 30000, LOOK_EVERY_MS = 3000 };

static void begin_try(uv_timer_t *timer);

static void let_go(struct redis_conn *conn)
{
    assert(conn->holders > 0);
    if (--conn->holders > 0)
        return;
    redis_tls_destroy(conn->tls);
    free(conn->sign_channel);
    buf_fini(&conn->command);
    free(conn);
}

void redis_conn_note(struct redis_conn *conn, const char *what)
{
    const char *of = conn->to_sentinel ? "sentinel " : "";
    snprintf(conn->error, sizeof(conn->error), "%s (%s%.100s)", what, of, conn->server);
    conn->refused = false;
    uint64_t now = clock_mono_ms();
    if (conn->logged_ms != 0 && now - conn->logged_ms < LOG_INTERVAL_MS)
        return;
    conn->logged_ms = now;
    log_warn("redis.trouble", LOG_TEXT("connection", conn->options.name), LOG_TEXT("error", conn->error));
}

void redis_conn_is_well(struct redis_conn *conn)
{
    conn->tries = 0;
    conn->logged_ms = 0;
    conn->refused = false;
    conn->error[0] = '\0';
}

/* --- the next try --- */

static void set_target(struct redis_conn *conn, const char *host, uint16_t port)
{
    snprintf(conn->host, sizeof(conn->host), "%s", host);
    conn->port = port;
    snprintf(conn->server, sizeof(conn->server), port ? "%s:%u" : "%s", conn->host, (unsigned)port);
}

/* Where a try begins: at a sentinel, or at the server itself. */
static void choose_target(struct redis_conn *conn)
{
    const struct redis_url *url = conn->options.url;
    conn->to_sentinel = url->sentinel_count > 0;
    if (conn->to_sentinel) {
        const struct redis_address *sentinel = &url->sentinels[conn->tries % url->sentinel_count];
        set_target(conn, sentinel->host, sentinel->port);
    } else if (url->path) {
        set_target(conn, url->path, 0);
    } else {
        set_target(conn, url->server.host, url->server.port);
    }
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
    conn->phase = REDIS_DOWN;
    choose_target(conn);
    uv_timer_start(&conn->timer, begin_try, wait, 0);
}

/* A sentinel was heard: the next one is asked after a while. */
static void plan_next_look(struct redis_conn *conn)
{
    conn->tries++;
    conn->error[0] = '\0';
    conn->phase = REDIS_DOWN;
    choose_target(conn);
    uv_timer_start(&conn->timer, begin_try, LOOK_EVERY_MS, 0);
}

void redis_conn_go_to(struct redis_conn *conn, const char *host, uint16_t port)
{
    conn->to_sentinel = false;
    set_target(conn, host, port);
    if (conn->context)
        redisAsyncFree(conn->context);
}

void redis_conn_told(struct redis_conn *conn, const char *host, uint16_t port, uint64_t epoch)
{
    conn->to_sentinel = false;
    if (conn->context)
        redisAsyncFree(conn->context);
    conn->options.handlers.on_master(conn->options.user, host, port, epoch);
}

static void on_gone(void *user, const char *why)
{
    struct redis_conn *conn = user;
    bool has_answered = conn->phase == REDIS_ASKING && !conn->to_sentinel;
    conn->under_way = 0;
    conn->subscriptions = 0;
    conn->half_sent = false;
    conn->refusal[0] = '\0';
    const char *certificate = conn->tls ? redis_tls_error(conn->tls) : "";
    if (!conn->closed && why[0] && !has_answered)
        redis_conn_note(conn, certificate[0] ? certificate : why);
    if (!conn->closed && has_answered && conn->options.handlers.on_master)
        plan_next_look(conn);
    else if (!conn->closed && has_answered)
        uv_timer_start(&conn->timer, begin_try, 0, 0);
    else if (!conn->closed)
        plan_next_try(conn);
    let_go(conn);
}

/* --- commands --- */

void redis_conn_drop(struct redis_conn *conn, const char *why)
{
    redis_conn_note(conn, why);
    if (conn->context)
        redisAsyncFree(conn->context);
}

bool redis_conn_account(struct redis_conn *conn, const redisReply *reply)
{
    assert(conn->under_way > 0);
    conn->under_way--;
    conn->progress_ms = clock_mono_ms();
    return reply && !conn->closed;
}

static int append_length(struct buf *out, const char *type, size_t length)
{
    int outcome = buf_append_text(out, type);
    if (outcome == 0)
        outcome = buf_append_number(out, length);
    return outcome != 0 ? outcome : buf_append_text(out, "\r\n");
}

/* A command as an array of texts (RESP2). hiredis would make each in new memory, which is a sixth of all that the hub does
 * for an event. */
static int write_command(struct buf *out, int argc, const char **argv, const size_t *sizes)
{
    buf_clear(out);
    int outcome = append_length(out, "*", (size_t)argc);
    for (int i = 0; outcome == 0 && i < argc; i++) {
        size_t size = sizes ? sizes[i] : strlen(argv[i]);
        outcome = append_length(out, "$", size);
        if (outcome == 0)
            outcome = buf_append(out, argv[i], size);
        if (outcome == 0)
            outcome = buf_append_text(out, "\r\n");
    }
    return outcome;
}

int redis_conn_command(struct redis_conn *conn, redisCallbackFn *on_answer, void *data, int argc, const char **argv,
                       const size_t *sizes)
{
    if (!conn->context || write_command(&conn->command, argc, argv, sizes) != 0 ||
        redisAsyncFormattedCommand(conn->context, on_answer, data, (const char *)conn->command.bytes,
                                   conn->command.size) != REDIS_OK)
        return 1;
    if (conn->command.capacity > COMMAND_KEPT)
        buf_fini(&conn->command);
    if (conn->under_way++ == 0)
        conn->progress_ms = clock_mono_ms();
    return 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct redis_conn *conn = timer->data;
    uint64_t quiet = clock_mono_ms() - conn->progress_ms;
    uint64_t patience = conn->phase == REDIS_ASKING ? ASK_TIMEOUT_MS : IO_TIMEOUT_MS;
    if (conn->half_sent)
        redis_conn_drop(conn, "no memory");
    else if (conn->under_way > 0 && quiet >= patience)
        redis_conn_drop(conn, conn->phase == REDIS_READY ? "no reply in time" : "no connection in time");
    else if (conn->under_way == 0 && quiet >= SIGN_OF_LIFE_MS)
        redis_conn_greet_again(conn);
}

/* --- connecting --- */

/* `address` is one, or NULL for a unix socket: nothing here asks a name server. */
static void connect_to(struct redis_conn *conn, const char *address)
{
    redisAsyncContext *context = address ? redisAsyncConnect(address, conn->port) : redisAsyncConnectUnix(conn->host);
    if (!context || context->err || redis_loop_attach(conn->timer.loop, context, &conn->context, on_gone, conn) != 0) {
        redis_conn_note(conn, context && context->err ? context->errstr : "no memory");
        if (context)
            redisAsyncFree(context);
        plan_next_try(conn);
        return;
    }
    context->data = conn;
    conn->holders++;
    conn->phase = conn->to_sentinel ? REDIS_ASKING : REDIS_GREETING;
    uv_timer_start(&conn->timer, on_tick, TICK_MS, TICK_MS);
    int failed = conn->tls ? redis_tls_start(conn->tls, context, conn->host) : 0;
    if (failed == 0)
        failed = conn->to_sentinel ? redis_conn_greet_sentinel(conn) : redis_conn_greet_server(conn);
    if (failed != 0)
        redis_conn_drop(conn, context->err ? context->errstr : "no memory");
}

void redis_conn_greeted(struct redis_conn *conn)
{
    conn->phase = REDIS_READY;
    if (!conn->refused)
        conn->error[0] = '\0';
    log_info("redis.up", LOG_TEXT("connection", conn->options.name), LOG_TEXT("server", conn->server));
    conn->options.handlers.on_ready(conn->options.user);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct redis_conn *conn = request->data;
    conn->resolver_busy = false;
    if (!conn->closed && (status != 0 || addresses == NULL)) {
        redis_conn_note(conn, status != 0 ? uv_strerror(status) : "the name has no address");
        plan_next_try(conn);
    } else if (!conn->closed) {
        /* One try after the other takes one address after the other. */
        unsigned count = 0;
        for (struct addrinfo *each = addresses; each; each = each->ai_next)
            count++;
        struct addrinfo *chosen = addresses;
        for (unsigned skip = conn->tries % count; skip > 0; skip--)
            chosen = chosen->ai_next;
        char address[64] = "";
        (void)getnameinfo(chosen->ai_addr, chosen->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST);
        connect_to(conn, address);
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
    int result = uv_getaddrinfo(timer->loop, &conn->resolving, on_resolved, conn->host, NULL, &hints);
    if (result != 0) {
        redis_conn_note(conn, uv_strerror(result));
        plan_next_try(conn);
        return;
    }
    conn->phase = REDIS_RESOLVING;
    conn->resolver_busy = true;
    conn->holders++;
}

int redis_conn_open(uv_loop_t *loop, const struct redis_conn_options *options, struct redis_conn **out)
{
    struct redis_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return -ENOMEM;
    conn->options = *options;
    buf_init(&conn->command, COMMAND_MAX);
    int result = options->url->tls ? redis_tls_create(&conn->tls) : 0;
    if (result != 0) {
        free(conn);
        return result;
    }
    uv_timer_init(loop, &conn->timer);
    conn->timer.data = conn;
    conn->holders = 1;
    choose_target(conn);
    snprintf(conn->error, sizeof(conn->error), "connecting");
    uv_timer_start(&conn->timer, begin_try, 0, 0);
    *out = conn;
    return 0;
}

bool redis_conn_is_ready(const struct redis_conn *conn)
{
    return conn->phase == REDIS_READY;
}

unsigned redis_conn_subscriptions(const struct redis_conn *conn)
{
    return conn->subscriptions;
}

const char *redis_conn_server(const struct redis_conn *conn)
{
    return conn->server;
}

void redis_conn_move(struct redis_conn *conn, const char *host, uint16_t port, const char *why)
{
    if (conn->phase != REDIS_READY)
        return;
    redis_conn_note(conn, why);
    conn->phase = REDIS_ASKING; /* as if a sentinel had just been asked */
    redis_conn_go_to(conn, host, port);
}

void redis_conn_follow(struct redis_conn *conn, const struct redis_conn *other, const char *why)
{
    redis_conn_move(conn, other->host, other->port, why);
}

bool redis_conn_is_at(const struct redis_conn *conn, const char *host, uint16_t port)
{
    return conn->phase == REDIS_READY && conn->port == port && strcmp(conn->host, host) == 0;
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
