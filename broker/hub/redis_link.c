/* SPDX-License-Identifier: MIT */
/* Publishing and subscribing need two connections (a subscribed one takes no other command), and the two are one
 * matter: to the same Redis, with the same channels. This file knows the channels' names; redis_conn knows how to keep
 * a connection up; what to publish, and what becomes of an answer, is the relay's.
 *
 * The connections are independent: when only the subscription is lost, events still go out, and what other machines
 * publish meanwhile is lost to local subscribers, as with any Redis subscription.
 *
 * With sentinels there is a third one, which asks them whom they call the master. A failover has an epoch that grows; the
 * highest one heard of is believed, so a sentinel that is not up to date leads nobody astray.
 */
#include "broker/hub/redis_link.h"

#include "common/event.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_link {
    struct redis_url url;
    struct redis_link_handlers handlers;
    void *user;
    struct redis_conn *commands;
    struct redis_conn *events;
    struct redis_conn *sentinels; /* NULL: there are none */
    uint64_t epoch;               /* of the master that `commands` is at */
    bool knows_epoch;
    char *last_server; /* where `commands` was ready last, or NULL */
    char *stream;
    char *channels[EVENT_TYPES];
};

static bool are_together(const struct redis_link *link)
{
    return strcmp(redis_conn_server(link->commands), redis_conn_server(link->events)) == 0;
}

static void on_commands_ready(void *user)
{
    struct redis_link *link = user;
    const char *server = redis_conn_server(link->commands);
    /* After a failover the other one may still be at the old master, which may still live. */
    if (!are_together(link))
        redis_conn_follow(link->events, link->commands, "there is another master");
    bool is_another = !link->last_server || strcmp(server, link->last_server) != 0;
    bool is_first = !link->last_server;
    if (is_another) {
        free(link->last_server);
        link->last_server = strdup(server);
    }
    link->handlers.on_up(link->user, is_another && !is_first);
}

static void on_master(void *user, const char *host, uint16_t port, uint64_t epoch)
{
    struct redis_link *link = user;
    if (redis_conn_is_at(link->commands, host, port)) {
        link->epoch = epoch;
        link->knows_epoch = true;
    } else if (!link->knows_epoch || epoch > link->epoch) {
        redis_conn_move(link->commands, host, port, "the sentinels name another master");
    }
}

static void on_commands_reply(void *user, uint32_t ticket, enum redis_conn_reply reply)
{
    struct redis_link *link = user;
    link->handlers.on_reply(link->user, ticket, reply);
}

static void on_events_ready(void *user)
{
    struct redis_link *link = user;
    if (redis_conn_is_ready(link->commands) && !are_together(link)) {
        redis_conn_follow(link->events, link->commands, "there is another master");
        return;
    }
    for (unsigned type = 0; type < EVENT_TYPES; type++) {
        if (redis_conn_subscribe(link->events, link->channels[type]) != 0)
            log_error("redis.subscribe", LOG_TEXT("channel", link->channels[type]), LOG_TEXT("error", "no memory"));
    }
}

static void on_events_message(void *user, const char *channel, const void *payload, size_t size)
{
    struct redis_link *link = user;
    for (unsigned type = 0; type < EVENT_TYPES; type++) {
        if (strcmp(channel, link->channels[type]) == 0) {
            link->handlers.on_message(link->user, type, payload, size);
            return;
        }
    }
}

static int copy_names(struct redis_link *link, const struct redis_link_options *options)
{
    const char *prefix = options->channel_prefix;
    if (options->stream && !(link->stream = strdup(options->stream)))
        return -ENOMEM;
    for (unsigned type = 0; type < EVENT_TYPES; type++) {
        const char *name = event_channel(type);
        size_t size = strlen(prefix) + strlen(name) + 1;
        link->channels[type] = malloc(size);
        if (!link->channels[type])
            return -ENOMEM;
        snprintf(link->channels[type], size, "%s%s", prefix, name);
    }
    return 0;
}

int redis_link_open(uv_loop_t *loop, struct redis_url *url, const struct redis_link_options *options,
                    struct redis_link **out)
{
    struct redis_link *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    link->handlers = options->handlers;
    link->user = options->user;
    link->url = *url;
    int result = copy_names(link, options);
    if (result != 0)
        goto destroy;
    const struct redis_conn_options commands = {
        .url = &link->url,
        .name = "commands",
        .stream = link->stream,
        .stream_maxlen = options->stream_maxlen,
        .handlers = {.on_ready = on_commands_ready, .on_reply = on_commands_reply},
        .user = link,
    };
    result = redis_conn_open(loop, &commands, &link->commands);
    if (result != 0)
        goto destroy;
    const struct redis_conn_options events = {
        .url = &link->url,
        .name = "events",
        .handlers = {.on_ready = on_events_ready, .on_message = on_events_message},
        .user = link,
    };
    result = redis_conn_open(loop, &events, &link->events);
    if (result != 0)
        goto destroy;
    const struct redis_conn_options sentinels = {
        .url = &link->url,
        .name = "sentinels",
        .handlers = {.on_master = on_master},
        .user = link,
    };
    if (link->url.sentinel_count > 0)
        result = redis_conn_open(loop, &sentinels, &link->sentinels);
    if (result != 0)
        goto destroy;
    *url = (struct redis_url){.database = 0};
    *out = link;
    return 0;

destroy:
    link->url = (struct redis_url){.database = 0}; /* the caller's still */
    redis_link_close(link);
    return result;
}

int redis_link_publish(struct redis_link *link, unsigned type, const void *payload, size_t size, const char *id,
                       uint32_t ticket)
{
    const struct redis_conn_event event = {.channel = link->channels[type], .payload = payload, .size = size, .id = id};
    return redis_conn_publish(link->commands, &event, ticket);
}

bool redis_link_is_up(const struct redis_link *link)
{
    return redis_conn_is_ready(link->commands);
}

bool redis_link_is_subscribed(const struct redis_link *link)
{
    return redis_conn_subscriptions(link->events) == EVENT_TYPES;
}

const char *redis_link_error(const struct redis_link *link)
{
    const char *error = redis_conn_error(link->commands);
    return error[0] ? error : redis_conn_error(link->events);
}

void redis_link_close(struct redis_link *link)
{
    if (!link)
        return;
    redis_conn_close(link->commands);
    redis_conn_close(link->events);
    redis_conn_close(link->sentinels);
    free(link->last_server);
    for (unsigned type = 0; type < EVENT_TYPES; type++)
        free(link->channels[type]);
    free(link->stream);
    redis_url_fini(&link->url);
    free(link);
}
