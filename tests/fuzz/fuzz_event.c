/* SPDX-License-Identifier: MIT */
/* Fuzz target of the event codec, in three ways: the input as a message of the local socket; as JSON that another machine
 * published, which a subscriber must then read as the same; and as the texts of an event, which must come out as JSON
 * and as a message that can be read. */
#include "common/event.h"

#include "common/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 64, SEQUENCE = 77 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_message(const uint8_t *bytes, size_t size)
{
    unsigned type;
    json_t *fields;
    if (event_read_local(bytes, size, &type, &fields) != 0)
        return;
    if (type >= EVENT_TYPES || !json_is_object(fields))
        abort();
    json_decref(fields);
}

/* The fields of a message that we have written ourselves. */
static json_t *read_ours(const struct buf *message, unsigned type)
{
    unsigned found;
    json_t *fields;
    uint64_t sequence;
    if (event_read_local(message->bytes, message->size, &found, &fields) != 0 || found != type ||
        !event_sequence(message->bytes, message->size, &sequence) || sequence != SEQUENCE)
        abort();
    return fields;
}

static void pass_on(unsigned type, const char *json, size_t size)
{
    struct buf message;
    buf_init(&message, EVENT_BYTES_MAX);
    if (event_json_to_local(&message, type, json, size, SEQUENCE) == 0) {
        json_t *published = json_loadb(json, size, 0, NULL);
        json_t *fields = read_ours(&message, type);
        const json_t *workspace = json_object_get(published, "workspaceId");
        if ((workspace == NULL || json_is_null(workspace)) &&
            json_object_set_new(published, "workspaceId", json_string("")) != 0)
            abort();
        (void)json_object_del(published, "sequence");
        if (!json_equal(published, fields))
            abort();
        json_decref(published);
        json_decref(fields);
    }
    buf_fini(&message);
}

/* Takes the next text from the input: what comes before a NUL. */
static const char *take_text(char text[TEXT_SIZE], const uint8_t **at, size_t *left)
{
    size_t length = strnlen((const char *)*at, *left);
    size_t kept = length < TEXT_SIZE ? length : TEXT_SIZE - 1;
    memcpy(text, *at, kept);
    text[kept] = '\0';
    utf8_mend(text);
    *at += length < *left ? length + 1 : length;
    *left -= length < *left ? length + 1 : length;
    return text;
}

/* What comes here was checked, or read from the table: UTF-8. */
static void write_texts(unsigned type, const uint8_t *at, size_t left)
{
    char id[TEXT_SIZE], name[TEXT_SIZE], workspace[TEXT_SIZE], error[TEXT_SIZE];
    struct event event = {.type = type,
                          .server_id = take_text(id, &at, &left),
                          .server_name = take_text(name, &at, &left),
                          .workspace_id = take_text(workspace, &at, &left),
                          .last_error = take_text(error, &at, &left),
                          .reason = (unsigned)left,
                          .state = (unsigned)left};
    struct buf json, message;

    buf_init(&json, EVENT_BYTES_MAX);
    buf_init(&message, EVENT_BYTES_MAX);
    if (event_write_json(&json, &event, NULL) != 0 || event_write_local(&message, &event, SEQUENCE) != 0)
        abort();
    json_t *published = json_loadb((const char *)json.bytes, json.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *fields = read_ours(&message, type);
    if (published == NULL || !json_equal(published, fields))
        abort();
    json_decref(published);
    json_decref(fields);
    buf_fini(&json);
    buf_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    unsigned type = bytes[0] % EVENT_TYPES;
    read_message(bytes, size);
    pass_on(type, (const char *)bytes + 1, size - 1);
    write_texts(type, bytes + 1, size - 1);
    return 0;
}
