/* SPDX-License-Identifier: MIT */
/* What subscribers get: the event "a list of this server has changed" (or "its state has"), as a value, as the JSON of
 * the Redis channels and as the msgpack map of the local socket. The field names and their order are a contract. A
 * field whose value is not known is left out. Pure.
 *
 * Where writing comes to an enum buf_outcome, the buffer holds a part: throw it away.
 *
 * {"serverId","serverName","workspaceId","timestamp","reason","generation","toolsHash","toolCount","added","removed",
 *  "changed"} for a list;  the first four, then {"state","connected","lastError"} for a state. */
#ifndef COMMON_EVENT_H
#define COMMON_EVENT_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/names.h"
#include "common/table.h"

#include <jansson.h>

/* The channels: one a kind of list, and one for states. */
enum { EVENT_STATUS = KIND_COUNT, EVENT_TYPES };

struct event {
    unsigned type;                                      /* enum kind, or EVENT_STATUS */
    const char *server_id, *server_name, *workspace_id; /* borrowed */
    uint64_t timestamp_ms;
    /* a list */
    unsigned reason;
    uint64_t generation;
    bool list_known; /* fingerprint and count are of the list after the change */
    struct fingerprint fingerprint;
    uint32_t count;
    const json_t *diff; /* {"added":[…],"removed":[…],"changed":[…]}, borrowed, or NULL: not known */
    /* a state */
    unsigned state;
    const char *last_error;
};

enum { EVENT_BYTES_MAX = 1024 * 1024, EVENT_FIELDS_MAX = 64, FINGERPRINT_TEXT_SIZE = 33 };

/* 32 hexadecimal digits. Returns `out`. */
const char *fingerprint_format(struct fingerprint fingerprint, char out[FINGERPRINT_TEXT_SIZE]);

/* "tools_changed", "prompts_changed", "resources_changed", "server_status": the channel behind its prefix. */
const char *event_channel(unsigned type);

/* "tools", "prompts", "resources", "status": what the local topics begin with. */
const char *event_type_name(unsigned type);

/* The part of the JSON that is the same for all events of a server: {"serverId":…,"serverName":…,"workspaceId":… — made
 * once and kept by who sends many. 0 or an enum buf_outcome. */
MUST_CHECK int event_identity(struct buf *out, const char *server_id, const char *server_name,
                              const char *workspace_id);

/* Appends the JSON; `identity` (of event_identity) may be NULL. 0 or an enum buf_outcome. */
MUST_CHECK int event_write_json(struct buf *out, const struct event *event, const struct buf *identity);

/* Appends topic and msgpack map as they go over the local socket: "tools/<workspaceId>/" (kind_name, or "status") and
 * then the map with the JSON's fields, and as the last one `sequence`: the number, from 1, of what has been told on this
 * socket. The map begins behind the first '/' that is followed by 0x80-0x8f or 0xde 0x00. 0 or an enum buf_outcome. */
MUST_CHECK int event_write_local(struct buf *out, const struct event *event, uint64_t sequence);

/* The same from JSON that another machine published: checked to be an object with the four first fields of the right
 * types (workspaceId may be absent or null, and is then ""), passed on with all its fields. 0, 1 when it is no event,
 * or 2 when it is too large. */
MUST_CHECK int event_json_to_local(struct buf *out, unsigned type, const char *json, size_t size, uint64_t sequence);

/* What a subscriber does: splits topic and map. 0 with the type and where the map begins, which is not looked at; or 1
 * when it is no event. */
MUST_CHECK int event_split_local(const void *bytes, size_t size, unsigned *type, size_t *map);

/* The same, with the map's fields as they are on Redis (a new reference). 0, or 1 when it is no event. */
MUST_CHECK int event_read_local(const void *bytes, size_t size, unsigned *type, json_t **fields);

/* What is no event but tells a subscriber that it is heard, and of which event `sequence` is: "beat//" and {"sequence"}. 0 or
 * an enum buf_outcome. */
MUST_CHECK int event_write_beat(struct buf *out, uint64_t sequence);
bool event_is_beat(const void *bytes, size_t size);

/* The number of a message: true and *sequence. */
MUST_CHECK bool event_sequence(const void *bytes, size_t size, uint64_t *sequence);

#endif
