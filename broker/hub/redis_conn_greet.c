/* SPDX-License-Identifier: MIT */
/* What is said before any event: to a sentinel, where the master is; to a server, who we are and which database; and the
 * questions whose answers tell whether it is the right one. All of a greeting is sent at once, and PING comes last: its
 * answer means that all before it is well, since any error ends the connection.
 *
 * A server that sentinels named must call itself a master: a failover may be under way. It is asked again while it is
 * quiet, for one that was made a replica may well go on to answer. A stream's name may belong to a value of another type;
 * that is found here, because within a transaction it would show only after the PUBLISH was done.
 */
#include "broker/hub/redis_conn_internal.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

/* Any answer will do, but no error. */
static void on_done(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (redis_conn_account(conn, reply) && is_error(reply))
        redis_conn_drop(conn, reply->str);
}

static int say(struct redis_conn *conn, redisCallbackFn *on_answer, int argc, const char **argv)
{
    return redis_conn_command(conn, on_answer, NULL, argc, argv, NULL);
}

static int authenticate(struct redis_conn *conn)
{
    const struct redis_url *url = conn->options.url;
    const char *argv[] = {"AUTH", url->user ? url->user : url->password, url->password};
    return say(conn, on_done, url->user ? 3 : 2, argv);
}

/* --- a sentinel --- */

static bool read_port(const char *text, uint16_t *out)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    *out = (uint16_t)port;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && port > 0 && port <= UINT16_MAX;
}

/* What every answer of a sentinel begins with. False: there is no more to read in it. */
static bool has_answered(redisAsyncContext *context, const redisReply *reply)
{
    struct redis_conn *conn = context->data;
    if (!redis_conn_account(conn, reply) || (context->c.flags & REDIS_FREEING))
        return false;
    if (!is_error(reply))
        return true;
    conn->sentinels_want_auth |= strncmp(reply->str, "NOAUTH", 6) == 0;
    redis_conn_drop(conn, reply->str);
    return false;
}

static void on_master(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    uint16_t port;
    if (!has_answered(context, reply))
        return;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !is_text(reply->element[0]) ||
        !is_text(reply->element[1]) || strlen(reply->element[0]->str) >= REDIS_HOST_SIZE ||
        !read_port(reply->element[1]->str, &port)) {
        redis_conn_drop(conn, "the sentinel knows no master of that name");
    } else {
        redis_conn_go_to(conn, reply->element[0]->str, port);
    }
}

/* The value of a field of an answer that is names and values; "" when it has none. */
static const char *field_of(const redisReply *reply, const char *name)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        const redisReply *key = reply->element[i], *value = reply->element[i + 1];
        if (is_text(key) && is_text(value) && strcmp(key->str, name) == 0)
            return value->str;
    }
    return "";
}

static void on_looked(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    uint16_t port;
    if (!has_answered(context, reply))
        return;
    const char *host = field_of(reply, "ip"), *epoch = field_of(reply, "config-epoch");
    if (!host[0] || strlen(host) >= REDIS_HOST_SIZE || !read_port(field_of(reply, "port"), &port))
        redis_conn_drop(conn, "the sentinel does not describe the master");
    else
        redis_conn_told(conn, host, port, strtoull(epoch, NULL, 10));
}

int redis_conn_greet_sentinel(struct redis_conn *conn)
{
    const char *look[] = {"SENTINEL", "MASTER", conn->options.url->master};
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", conn->options.url->master};
    int failed = conn->sentinels_want_auth && conn->options.url->password ? authenticate(conn) : 0;
    return failed | (conn->options.handlers.on_master ? say(conn, on_looked, 3, look) : say(conn, on_master, 3, argv));
}

/* --- a server --- */

static void on_role(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (!redis_conn_account(conn, reply))
        return;
    if (is_error(reply))
        redis_conn_drop(conn, reply->str);
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || !is_text(reply->element[0]) ||
             strcmp(reply->element[0]->str, "master") != 0)
        redis_conn_drop(conn, "it is a replica: a failover is under way, or the sentinels are not up to date");
    else if (conn->phase == REDIS_READY)
        redis_conn_is_well(conn);
}

/* Only a wrong type counts: a user who may XADD need not be allowed to look. */
static void on_length(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    char why[REDIS_CONN_ERROR_SIZE];
    if (!redis_conn_account(conn, reply) || !is_error(reply) || strncmp(reply->str, "WRONGTYPE", 9) != 0)
        return;
    snprintf(why, sizeof(why), "WRONGTYPE the key \"%.80s\" (--stream) holds something that is no stream",
             conn->options.stream);
    redis_conn_drop(conn, why);
}

static void on_greeted(redisAsyncContext *context, void *answer, void *data)
{
    struct redis_conn *conn = context->data;
    on_done(context, answer, data);
    if (answer && !conn->closed && conn->phase == REDIS_GREETING && !(context->c.flags & REDIS_FREEING))
        redis_conn_greeted(conn);
}

static int ask_role(struct redis_conn *conn)
{
    const char *argv[] = {"ROLE"};
    return say(conn, on_role, 1, argv);
}

int redis_conn_greet_server(struct redis_conn *conn)
{
    const struct redis_url *url = conn->options.url;
    char number[16];
    snprintf(number, sizeof(number), "%u", url->database);
    const char *select[] = {"SELECT", number}, *length[] = {"XLEN", conn->options.stream}, *ping[] = {"PING"};
    int failed = url->password ? authenticate(conn) : 0;
    if (url->sentinel_count > 0)
        failed |= ask_role(conn);
    if (url->database)
        failed |= say(conn, on_done, 2, select);
    if (conn->options.stream)
        failed |= say(conn, on_length, 2, length);
    return failed | say(conn, on_greeted, 1, ping);
}

static void on_sign_of_life(redisAsyncContext *context, void *answer, void *data)
{
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    on_done(context, answer, data);
    if (reply && !is_error(reply) && !conn->closed)
        redis_conn_is_well(conn);
}

void redis_conn_greet_again(struct redis_conn *conn)
{
    const char *ping[] = {"PING"};
    if (conn->sign_channel)
        (void)!redis_conn_subscribe(conn, conn->sign_channel);
    else if (conn->options.url->sentinel_count > 0)
        (void)!ask_role(conn);
    else
        (void)!say(conn, on_sign_of_life, 1, ping);
}
