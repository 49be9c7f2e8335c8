/* SPDX-License-Identifier: MIT */
/* Events, out and in. With a stream an event is a transaction, MULTI, PUBLISH, XADD, EXEC, so that no reader of the one
 * misses what a reader of the other got. Redis answers each of the four, and the answer to EXEC decides: an error before
 * it (a full memory, a replica, a user without the right) has made Redis throw the transaction away, but only that error
 * says why, so the first one is kept until then.
 *
 * When the connection ends before the answer nobody knows whether it was done; it is then done again by who asked for it,
 * and its id in the stream is the same.
 */
#include "broker/hub/redis_conn_internal.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- out --- */

static void tell(struct redis_conn *conn, void *ticket, enum redis_conn_reply reply)
{
    conn->options.handlers.on_reply(conn->options.user, (uint32_t)(uintptr_t)ticket, reply);
}

/* A server that may not be written to is the wrong one: its name, or the sentinels, may lead to another by now. */
static void refuse(struct redis_conn *conn, void *ticket, const char *why)
{
    char text[REDIS_CONN_ERROR_SIZE];
    snprintf(text, sizeof(text), "%s", why);
    redis_conn_note(conn, text);
    conn->refused = true;
    tell(conn, ticket, REDIS_CONN_REFUSED);
    if (strncmp(text, "READONLY", 8) == 0)
        redis_conn_drop(conn, text);
}

/* The error within an answer, or NULL. */
static const char *error_in(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    if (reply->type == REDIS_REPLY_NIL)
        return "the transaction was not done";
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            return reply->element[i]->str;
    }
    return NULL;
}

/* Of PUBLISH alone, or of EXEC. */
static void on_published(redisAsyncContext *context, void *answer, void *ticket)
{
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    bool answered = redis_conn_account(conn, reply);
    if (conn->closed)
        return;
    const char *error = answered ? error_in(reply) : NULL;
    if (!answered) {
        tell(conn, ticket, REDIS_CONN_LOST);
    } else if (error) {
        refuse(conn, ticket, conn->refusal[0] ? conn->refusal : error);
    } else {
        redis_conn_is_well(conn);
        tell(conn, ticket, REDIS_CONN_DONE);
    }
    conn->refusal[0] = '\0';
}

static void on_step(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (redis_conn_account(conn, reply) && reply->type == REDIS_REPLY_ERROR && !conn->refusal[0])
        snprintf(conn->refusal, sizeof(conn->refusal), "%s", reply->str);
}

static int send_publish(struct redis_conn *conn, const struct redis_conn_event *event, redisCallbackFn *on_answer,
                        void *data)
{
    const char *argv[] = {"PUBLISH", event->channel, event->payload};
    const size_t sizes[] = {7, strlen(event->channel), event->size};
    return redis_conn_command(conn, on_answer, data, ARRAY_LENGTH(argv), argv, sizes);
}

static int send_add(struct redis_conn *conn, const struct redis_conn_event *event)
{
    const char *stream = conn->options.stream;
    char most[24];
    int digits = snprintf(most, sizeof(most), "%" PRIu64, conn->options.stream_maxlen);
    const char *argv[] = {"XADD",         stream,  "MAXLEN",       "~",  most,     "*", "channel",
                          event->channel, "event", event->payload, "id", event->id};
    const size_t sizes[] = {4, strlen(stream),   6, 1, (size_t)digits, 1, 7, strlen(event->channel), 5, event->size,
                            2, strlen(event->id)};
    return redis_conn_command(conn, on_step, NULL, ARRAY_LENGTH(argv), argv, sizes);
}

int redis_conn_publish(struct redis_conn *conn, const struct redis_conn_event *event, uint32_t ticket)
{
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    void *data = (void *)(uintptr_t)ticket; /* NOLINT(performance-no-int-to-ptr) */
    if (conn->phase != REDIS_READY || !conn->context || conn->half_sent)
        return 1;
    if (!conn->options.stream)
        return send_publish(conn, event, on_published, data);
    if (redis_conn_command(conn, on_step, NULL, 1, multi, NULL) == 0 && send_publish(conn, event, on_step, NULL) == 0 &&
        send_add(conn, event) == 0 && redis_conn_command(conn, on_published, data, 1, exec, NULL) == 0)
        return 0;
    conn->half_sent = true;
    return 1;
}

/* --- in --- */

/* Runs for the answer to SUBSCRIBE and for each message: ["subscribe" | "message", channel, count | payload]. */
static void on_subscribed(redisAsyncContext *context, void *answer, void *data)
{
    (void)data;
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    if (!reply || conn->closed)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_conn_drop(conn, reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[0]->type != REDIS_REPLY_STRING)
        return;
    if (strcmp(reply->element[0]->str, "subscribe") == 0) {
        if (conn->under_way > 0)
            conn->under_way--;
        conn->subscriptions = (unsigned)reply->element[2]->integer;
        conn->progress_ms = clock_mono_ms();
        redis_conn_is_well(conn);
    } else if (reply->element[1]->type == REDIS_REPLY_STRING && reply->element[2]->type == REDIS_REPLY_STRING) {
        conn->options.handlers.on_message(conn->options.user, reply->element[1]->str, reply->element[2]->str,
                                          (size_t)reply->element[2]->len);
    }
}

int redis_conn_subscribe(struct redis_conn *conn, const char *channel)
{
    if (conn->phase != REDIS_READY)
        return 1;
    if (!conn->sign_channel && !(conn->sign_channel = strdup(channel)))
        return 1;
    const char *argv[] = {"SUBSCRIBE", channel};
    return redis_conn_command(conn, on_subscribed, NULL, 2, argv, NULL);
}
