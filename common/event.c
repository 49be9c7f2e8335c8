/* SPDX-License-Identifier: MIT */
/* Events as JSON for Redis and as topic and msgpack map for the local socket. The hub makes one of each for every
 * change, at up to 100,000 a second, so nothing is allocated for an event without a diff: what is the same for all
 * events of a server is made once (event_identity), and what is appended to it, numbers and our own words, needs no
 * escaping.
 *
 * What other machines published is somebody else's text until event_json_to_local has looked at it. It goes on with all
 * its fields, known here or not, so that machines of different versions can share a Redis.
 *
 * A map has at most EVENT_FIELDS_MAX fields, and so starts with 0x80-0x8f or with 0xde 0x00. Neither can follow a '/'
 * in UTF-8 text, which is how a reader finds the end of the topic, whatever a workspaceId contains. */
#include "common/event.h"

#include "common/pack.h"
#include "common/pack_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCE "sequence"
#define BEAT     "beat//"

enum { TEXT_BYTES_MAX = 512 }; /* of an id or name in an event of another machine */

static const char *const channels[EVENT_TYPES] = {
    [KIND_TOOLS] = "tools_changed",
    [KIND_PROMPTS] = "prompts_changed",
    [KIND_RESOURCES] = "resources_changed",
    [EVENT_STATUS] = "server_status",
};

static const char *const diff_lists[] = {"added", "removed", "changed"};

const char *fingerprint_format(struct fingerprint fingerprint, char out[FINGERPRINT_TEXT_SIZE])
{
    snprintf(out, FINGERPRINT_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, fingerprint.high, fingerprint.low);
    return out;
}

const char *event_channel(unsigned type)
{
    assert(type < EVENT_TYPES);
    return channels[type];
}

const char *event_type_name(unsigned type)
{
    return type == EVENT_STATUS ? "status" : kind_name(type);
}

static bool has_error(const struct event *event)
{
    return event->last_error && event->last_error[0] != '\0';
}

/* --- JSON --- */

/* Appends the text of `value` without its last `cut` bytes. */
static int append_json(struct buf *out, const json_t *value, size_t cut)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return BUF_NO_MEMORY;
    int outcome = buf_append(out, text, strlen(text) - cut);
    free(text);
    return outcome;
}

int event_identity(struct buf *out, const char *server_id, const char *server_name, const char *workspace_id)
{
    json_t *identity =
        json_pack("{s:s, s:s, s:s}", "serverId", server_id, "serverName", server_name, "workspaceId", workspace_id);
    if (!identity)
        return BUF_NO_MEMORY;
    int outcome = append_json(out, identity, 1);
    json_decref(identity);
    return outcome;
}

/* Appends a text of ours and a number; with printf that is nearly all the time of making an event. */
static int append_number(struct buf *out, const char *before, uint64_t number)
{
    int outcome = buf_append_text(out, before);
    return outcome != 0 ? outcome : buf_append_number(out, number);
}

static int append_list(struct buf *out, const struct event *event)
{
    int outcome = buf_append_text(out, ",\"reason\":\"");
    if (outcome == 0)
        outcome = buf_append_text(out, reason_name(event->reason));
    if (outcome == 0)
        outcome = append_number(out, "\",\"generation\":", event->generation);
    if (outcome == 0 && event->list_known) {
        char hash[FINGERPRINT_TEXT_SIZE];
        outcome = buf_printf(out, ",\"toolsHash\":\"%s\",\"toolCount\":%" PRIu32,
                             fingerprint_format(event->fingerprint, hash), event->count);
    }
    for (size_t i = 0; outcome == 0 && i < ARRAY_LENGTH(diff_lists); i++) {
        const json_t *list = json_object_get(event->diff, diff_lists[i]);
        if (!list)
            continue;
        outcome = buf_printf(out, ",\"%s\":", diff_lists[i]);
        if (outcome == 0)
            outcome = append_json(out, list, 0);
    }
    return outcome;
}

static int append_state(struct buf *out, const struct event *event)
{
    int outcome = buf_printf(out, ",\"state\":\"%s\",\"connected\":%s", state_name(event->state),
                             state_is_connected(event->state) ? "true" : "false");
    if (outcome != 0 || !has_error(event))
        return outcome;
    json_t *error = json_string(event->last_error);
    if (!error)
        return BUF_NO_MEMORY;
    outcome = buf_append_text(out, ",\"lastError\":");
    if (outcome == 0)
        outcome = append_json(out, error, 0);
    json_decref(error);
    return outcome;
}

int event_write_json(struct buf *out, const struct event *event, const struct buf *identity)
{
    int outcome = identity ? buf_append(out, identity->bytes, identity->size)
                           : event_identity(out, event->server_id, event->server_name, event->workspace_id);
    if (outcome == 0)
        outcome = append_number(out, ",\"timestamp\":", event->timestamp_ms);
    if (outcome == 0)
        outcome = event->type == EVENT_STATUS ? append_state(out, event) : append_list(out, event);
    if (outcome == 0)
        outcome = buf_append(out, "}", 1);
    return outcome;
}

/* --- msgpack --- */

static int pack_text_field(msgpack_packer *packer, const char *key, const char *value)
{
    int outcome = pack_text(packer, key);
    return outcome != 0 ? outcome : pack_text(packer, value);
}

static int pack_number_field(msgpack_packer *packer, const char *key, uint64_t value)
{
    int outcome = pack_text(packer, key);
    return outcome != 0 ? outcome : msgpack_pack_uint64(packer, value);
}

static int pack_list(msgpack_packer *packer, const struct event *event)
{
    int outcome = pack_text_field(packer, "reason", reason_name(event->reason));
    if (outcome == 0)
        outcome = pack_number_field(packer, "generation", event->generation);
    if (outcome == 0 && event->list_known) {
        char hash[FINGERPRINT_TEXT_SIZE];
        outcome = pack_text_field(packer, "toolsHash", fingerprint_format(event->fingerprint, hash));
        if (outcome == 0)
            outcome = pack_number_field(packer, "toolCount", event->count);
    }
    for (size_t i = 0; outcome == 0 && i < ARRAY_LENGTH(diff_lists); i++) {
        const json_t *list = json_object_get(event->diff, diff_lists[i]);
        if (!list)
            continue;
        outcome = pack_text(packer, diff_lists[i]);
        if (outcome == 0)
            outcome = pack_value(packer, list);
    }
    return outcome;
}

static int pack_state(msgpack_packer *packer, const struct event *event)
{
    int outcome = pack_text_field(packer, "state", state_name(event->state));
    if (outcome == 0)
        outcome = pack_text(packer, "connected");
    if (outcome == 0)
        outcome = state_is_connected(event->state) ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    if (outcome == 0 && has_error(event))
        outcome = pack_text_field(packer, "lastError", event->last_error);
    return outcome;
}

static size_t field_count(const struct event *event)
{
    if (event->type == EVENT_STATUS)
        return has_error(event) ? 7 : 6;
    size_t count = event->list_known ? 8 : 6;
    for (size_t i = 0; i < ARRAY_LENGTH(diff_lists); i++)
        count += json_object_get(event->diff, diff_lists[i]) ? 1 : 0;
    return count;
}

/* Always last and of the same length, so that event_sequence needs to read nothing else. */
static int pack_sequence(msgpack_packer *packer, uint64_t sequence)
{
    int outcome = pack_text(packer, SEQUENCE);
    return outcome != 0 ? outcome : msgpack_pack_fix_uint64(packer, sequence);
}

int event_write_local(struct buf *out, const struct event *event, uint64_t sequence)
{
    msgpack_packer packer;
    pack_packer_init(&packer, out);
    int outcome = buf_printf(out, "%s/%s/", event_type_name(event->type), event->workspace_id);
    if (outcome == 0)
        outcome = msgpack_pack_map(&packer, field_count(event) + 1);
    if (outcome == 0)
        outcome = pack_text_field(&packer, "serverId", event->server_id);
    if (outcome == 0)
        outcome = pack_text_field(&packer, "serverName", event->server_name);
    if (outcome == 0)
        outcome = pack_text_field(&packer, "workspaceId", event->workspace_id);
    if (outcome == 0)
        outcome = pack_number_field(&packer, "timestamp", event->timestamp_ms);
    if (outcome == 0)
        outcome = event->type == EVENT_STATUS ? pack_state(&packer, event) : pack_list(&packer, event);
    return outcome != 0 ? outcome : pack_sequence(&packer, sequence);
}

/* --- what others published --- */

static bool is_short_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) <= TEXT_BYTES_MAX;
}

/* Checks the four first fields. A publisher without workspaces leaves theirs out or null; here it is "". */
static bool check_foreign(json_t *fields)
{
    const json_t *workspace = json_object_get(fields, "workspaceId");
    if ((!workspace || json_is_null(workspace)) && json_object_set_new(fields, "workspaceId", json_string("")) < 0)
        return false;
    const json_t *id = json_object_get(fields, "serverId");
    return is_short_text(id) && json_string_length(id) > 0 && is_short_text(json_object_get(fields, "serverName")) &&
           is_short_text(json_object_get(fields, "workspaceId")) &&
           json_is_integer(json_object_get(fields, "timestamp"));
}

/* A publisher's own `sequence` counts something else. */
static int pack_foreign(struct buf *out, json_t *fields, uint64_t sequence)
{
    msgpack_packer packer;
    const char *key;
    json_t *value;
    pack_packer_init(&packer, out);
    (void)json_object_del(fields, SEQUENCE);
    int outcome = msgpack_pack_map(&packer, json_object_size(fields) + 1);
    json_object_foreach (fields, key, value) {
        if (outcome == 0)
            outcome = pack_text(&packer, key);
        if (outcome == 0)
            outcome = pack_value(&packer, value);
    }
    return outcome != 0 ? outcome : pack_sequence(&packer, sequence);
}

int event_json_to_local(struct buf *out, unsigned type, const char *json, size_t size, uint64_t sequence)
{
    assert(type < EVENT_TYPES);
    if (size > EVENT_BYTES_MAX)
        return 2;
    json_t *fields = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    int result = 1;
    if (!json_is_object(fields) || !check_foreign(fields))
        goto out;
    result = 2;
    if (json_object_size(fields) > EVENT_FIELDS_MAX)
        goto out;
    const char *workspace_id = json_string_value(json_object_get(fields, "workspaceId"));
    if (buf_printf(out, "%s/%s/", event_type_name(type), workspace_id) != 0 || pack_foreign(out, fields, sequence) != 0)
        goto out;
    result = 0;
out:
    json_decref(fields);
    return result;
}

/* --- reading --- */

/* The type whose topics begin so, or EVENT_TYPES; `length` is then that of the name. */
static unsigned topic_type(const char *bytes, size_t size, size_t *length)
{
    unsigned type = 0;
    for (; type < EVENT_TYPES; type++) {
        const char *name = event_type_name(type);
        *length = strlen(name);
        if (size > *length && bytes[*length] == '/' && memcmp(bytes, name, *length) == 0)
            break;
    }
    return type;
}

int event_split_local(const void *bytes, size_t size, unsigned *type, size_t *map)
{
    const uint8_t *at = bytes;
    size_t start;
    unsigned found = topic_type(bytes, size, &start);
    if (found == EVENT_TYPES)
        return 1;
    for (start++; start < size; start++) {
        bool is_map = (at[start] & 0xf0) == 0x80 || (at[start] == 0xde && start + 1 < size && at[start + 1] == 0);
        if (at[start - 1] != '/' || !is_map)
            continue;
        *type = found;
        *map = start;
        return 0;
    }
    return 1;
}

int event_read_local(const void *bytes, size_t size, unsigned *type, json_t **fields)
{
    unsigned found;
    size_t start;
    if (event_split_local(bytes, size, &found, &start) != 0)
        return 1;
    json_t *map = pack_read((const uint8_t *)bytes + start, size - start);
    if (!json_is_object(map)) {
        json_decref(map);
        return 1;
    }
    (void)json_object_del(map, SEQUENCE);
    *type = found;
    *fields = map;
    return 0;
}

int event_write_beat(struct buf *out, uint64_t sequence)
{
    msgpack_packer packer;
    pack_packer_init(&packer, out);
    int outcome = buf_append_text(out, BEAT);
    if (outcome == 0)
        outcome = msgpack_pack_map(&packer, 1);
    return outcome != 0 ? outcome : pack_sequence(&packer, sequence);
}

bool event_is_beat(const void *bytes, size_t size)
{
    return size > strlen(BEAT) && memcmp(bytes, BEAT, strlen(BEAT)) == 0;
}

bool event_sequence(const void *bytes, size_t size, uint64_t *sequence)
{
    static const char tail[] = "\xa8" SEQUENCE "\xcf"; /* a text of eight bytes; a number of eight bytes */
    enum { TAIL = sizeof tail - 1, NUMBER = 8 };
    const uint8_t *end = (const uint8_t *)bytes + size;
    if (size < TAIL + NUMBER || memcmp(end - NUMBER - TAIL, tail, TAIL) != 0)
        return false;
    *sequence = 0;
    for (const uint8_t *at = end - NUMBER; at < end; at++)
        *sequence = *sequence << 8 | *at;
    return true;
}
