/* SPDX-License-Identifier: MIT */
/* An event is one piece of memory with two things of its own: a copy of the map as it came, and the map read, whose texts
 * the public members point at. Any field may be missing or of another type (another machine may have sent it): it then
 * reads as not known. */
#include "broker/client/event.h"

#include "common/event.h"

#include <stdlib.h>
#include <string.h>

struct event_memory {
    struct mcp_broker_event public; /* first: the caller's pointer is this one's */
    json_t *fields;                 /* NULL: none */
    unsigned char data[];
};

enum mcp_broker_kind event_kind(unsigned type)
{
    static const enum mcp_broker_kind kinds[EVENT_TYPES] = {
        [KIND_TOOLS] = MCP_BROKER_TOOLS,
        [KIND_PROMPTS] = MCP_BROKER_PROMPTS,
        [KIND_RESOURCES] = MCP_BROKER_RESOURCES,
        [EVENT_STATUS] = MCP_BROKER_STATUS,
    };
    return kinds[type];
}

static const char *text_of(const json_t *fields, const char *key)
{
    const char *text = json_string_value(json_object_get(fields, key));
    return text != NULL ? text : "";
}

static uint64_t number_of(const json_t *fields, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(fields, key));
    return number > 0 ? (uint64_t)number : 0;
}

/* Takes over `fields`, which may be NULL. */
static struct event_memory *create(enum mcp_broker_kind kind, json_t *fields, const void *data, size_t size)
{
    struct event_memory *event = malloc(sizeof *event + size);

    if (event == NULL) {
        json_decref(fields);
        return NULL;
    }
    const json_t *count = json_object_get(fields, "toolCount");
    event->fields = fields;
    event->public = (struct mcp_broker_event){
        .kind = kind,
        .server_id = text_of(fields, "serverId"),
        .server_name = text_of(fields, "serverName"),
        .workspace_id = text_of(fields, "workspaceId"),
        .timestamp_ms = number_of(fields, "timestamp"),
        .reason = text_of(fields, "reason"),
        .generation = number_of(fields, "generation"),
        .list_hash = text_of(fields, "toolsHash"),
        .list_count = json_is_integer(count) ? json_integer_value(count) : -1,
        .state = text_of(fields, "state"),
        .connected = json_is_true(json_object_get(fields, "connected")),
        .last_error = text_of(fields, "lastError"),
        .data = size > 0 ? event->data : NULL,
        .size = size,
    };
    if (size > 0)
        memcpy(event->data, data, size);
    return event;
}

struct mcp_broker_event *event_of_message(const void *bytes, size_t size)
{
    unsigned type;
    size_t map;
    json_t *fields;

    if (event_split_local(bytes, size, &type, &map) != 0 || event_read_local(bytes, size, &type, &fields) != 0)
        return NULL;
    struct event_memory *event = create(event_kind(type), fields, (const char *)bytes + map, size - map);
    return event != NULL ? &event->public : NULL;
}

struct mcp_broker_event *event_of_news(enum mcp_broker_kind kind, uint64_t missed)
{
    struct event_memory *event = create(kind, NULL, NULL, 0);

    if (event == NULL)
        return NULL;
    event->public.missed = missed;
    return &event->public;
}

void mcp_broker_event_free(struct mcp_broker_event *public)
{
    struct event_memory *event = (struct event_memory *)public;

    if (event == NULL)
        return;
    json_decref(event->fields);
    free(event);
}
