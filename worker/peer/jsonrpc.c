/* SPDX-License-Identifier: MIT */
/* Makes messages of what servers send: bodies of responses and data of events, of any era. Called by `transfer` for
 * each of them, so everything here meets bytes that may be anything.
 *
 * The size has been bounded by who collected the bytes. Depth is counted before parsing, because the parser, and later
 * whoever walks, compares or writes the tree, works recursively. Two liberties that JSON.parse takes and that real
 * servers make use of are taken here too: NULs in texts, and integers that fit no 64 bits (all numbers of such a
 * document are then floating-point numbers, which is why ids are compared by value). */
#include "worker/peer/jsonrpc.h"

#include <limits.h>
#include <string.h>

/* Counts brackets outside texts. */
static bool is_too_deep(const char *text, size_t size, unsigned depth_max)
{
    unsigned depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_text = false;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

int jsonrpc_parse(const void *bytes, size_t size, unsigned depth_max, json_t **document)
{
    static const char MARK[] = "\xef\xbb\xbf"; /* some servers begin with a byte order mark, which may be passed over */
    if (size >= strlen(MARK) && memcmp(bytes, MARK, strlen(MARK)) == 0) {
        bytes = (const char *)bytes + strlen(MARK);
        size -= strlen(MARK);
    }
    if (is_too_deep(bytes, size, depth_max))
        return JSONRPC_TOO_DEEP;
    json_error_t error;
    json_t *root = json_loadb(bytes, size, JSON_ALLOW_NUL, &error);
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow)
        root = json_loadb(bytes, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (root == NULL)
        return JSONRPC_MALFORMED;
    if (jsonrpc_count(root) > JSONRPC_BATCH_MAX) {
        json_decref(root);
        return JSONRPC_TOO_MANY;
    }
    *document = root;
    return 0;
}

size_t jsonrpc_count(const json_t *document)
{
    return json_is_array(document) ? json_array_size(document) : 1;
}

static bool is_id(const json_t *id)
{
    return json_is_string(id) || json_is_number(id);
}

static struct jsonrpc_message read_call(const json_t *object, const json_t *method, const json_t *id)
{
    struct jsonrpc_message message = {.type = JSONRPC_NOTIFICATION, .method = json_string_value(method)};
    if (strlen(message.method) != json_string_length(method)) /* a NUL would make it another method's name */
        return (struct jsonrpc_message){.type = JSONRPC_INVALID};
    const json_t *params = json_object_get(object, "params");
    if (json_is_object(params) || json_is_array(params))
        message.params = params;
    if (id == NULL)
        return message;
    if (!is_id(id))
        return (struct jsonrpc_message){.type = JSONRPC_INVALID};
    message.type = JSONRPC_REQUEST;
    message.id = id;
    return message;
}

static struct jsonrpc_message read_error(const json_t *error, const json_t *id)
{
    struct jsonrpc_message message = {.type = JSONRPC_ERROR, .id = is_id(id) ? id : NULL};
    const json_t *code = json_object_get(error, "code");
    double value = json_number_value(code);
    if (value >= INT_MIN && value <= INT_MAX)
        message.code = (int)value;
    message.data = json_object_get(error, "data");
    return message;
}

struct jsonrpc_message jsonrpc_get(const json_t *document, size_t index)
{
    const json_t *object = json_is_array(document) ? json_array_get(document, index) : document;
    const char *version = json_string_value(json_object_get(object, "jsonrpc"));
    if (version == NULL || strcmp(version, "2.0") != 0)
        return (struct jsonrpc_message){.type = JSONRPC_INVALID};
    const json_t *id = json_object_get(object, "id");
    const json_t *method = json_object_get(object, "method");
    if (json_is_string(method))
        return read_call(object, method, id);
    const json_t *error = json_object_get(object, "error");
    if (json_is_object(error))
        return read_error(error, id);
    json_t *result = json_object_get(object, "result");
    if (result != NULL && is_id(id))
        return (struct jsonrpc_message){.type = JSONRPC_RESULT, .id = id, .result = result};
    return (struct jsonrpc_message){.type = JSONRPC_INVALID};
}

bool jsonrpc_is_id(uint32_t sent, const json_t *received)
{
    double value = json_number_value(received); /* some servers turn numbers into reals */
    return sent != 0 && json_is_number(received) && !(value < sent) && !(value > sent);
}
