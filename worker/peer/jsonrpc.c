/* SPDX-License-Identifier: MIT */
/* Makes messages of what servers send: bodies of responses and data of events, of any era. Called by `transfer` for
 * each of them, so everything here meets bytes that may be anything.
 *
 * The size has been bounded by who collected the bytes. Depth is counted before parsing, because the parser, and later
 * whoever walks, compares or writes the tree, works recursively; and so are values, because an empty object, two bytes, costs
 * more than 200 in the tree. Two liberties that JSON.parse takes and that real
 * servers make use of are taken here too: NULs in texts, and integers that fit no 64 bits (all numbers of such a
 * document are then floating-point numbers, which is why ids are compared by value). */
#include "worker/peer/jsonrpc.h"

#include <limits.h>
#include <string.h>

/* The end of the text that begins at `i`: its quotation mark, or the last byte. */
static size_t end_of_text(const char *text, size_t size, size_t i)
{
    for (i++; i < size && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i;
}

/* Counts brackets and commas outside texts: a comma is followed by a value, and so is an opening bracket, but for one that is
 * closed at once. 0, JSONRPC_TOO_DEEP or JSONRPC_TOO_MANY_VALUES. */
static int check(const char *text, size_t size, const struct limits_json *limits)
{
    unsigned depth = 0, values = 1;
    char last = 0; /* but for white space */
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        if (c == '"')
            i = end_of_text(text, size, i);
        else if (c == ',')
            values++;
        else if (c == '{' || c == '[')
            values++, depth++;
        else if (c == '}' || c == ']') {
            values -= last == '{' || last == '[';
            depth -= depth > 0;
        }
        if (depth > limits->depth)
            return JSONRPC_TOO_DEEP;
        if (values > limits->values && c != '{' && c != '[') /* or it may be closed at once */
            return JSONRPC_TOO_MANY_VALUES;
        last = c;
    }
    return 0;
}

int jsonrpc_parse(const void *bytes, size_t size, const struct limits_json *limits, json_t **document)
{
    static const char MARK[] = "\xef\xbb\xbf"; /* some servers begin with a byte order mark, which may be passed over */
    if (size >= strlen(MARK) && memcmp(bytes, MARK, strlen(MARK)) == 0) {
        bytes = (const char *)bytes + strlen(MARK);
        size -= strlen(MARK);
    }
    int outcome = check(bytes, size, limits);
    if (outcome != 0)
        return outcome;
    json_error_t error;
    json_t *root = json_loadb(bytes, size, JSON_ALLOW_NUL, &error);
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow)
        root = json_loadb(bytes, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (root == NULL)
        return JSONRPC_MALFORMED;
    if (jsonrpc_count(root) > limits->batch) {
        json_decref(root);
        return JSONRPC_TOO_MANY_MESSAGES;
    }
    *document = root;
    return 0;
}

const char *jsonrpc_problem(int outcome, struct limits *limits)
{
    static const struct {
        enum counter counter;
        const char *text;
    } bounds[] = {
        [JSONRPC_TOO_DEEP] = {COUNTER_LIMIT_DEPTH, "the answer is nested deeper than --max-depth"},
        [JSONRPC_TOO_MANY_VALUES] = {COUNTER_LIMIT_VALUES, "the answer has more values than --max-values"},
        [JSONRPC_TOO_MANY_MESSAGES] = {COUNTER_LIMIT_BATCH, "the answer is a batch of more than --max-batch messages"},
    };
    if (outcome == JSONRPC_MALFORMED)
        return "the answer is no JSON, or is cut off";
    limits_hit(limits, bounds[outcome].counter);
    return bounds[outcome].text;
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
