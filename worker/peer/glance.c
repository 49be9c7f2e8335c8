/* SPDX-License-Identifier: MIT */
/* To say that a list changed, servers send some 80 to 250 bytes, again and again. A tree of them costs more than all else that
 * a worker does for the event, and tells two things: which list, and whose subscription. The acknowledgement of a
 * subscription, which thousands send when a worker begins, tells one more: what is honoured. `transfer` and `peer_stdio`
 * therefore look here first, and parse what is not understood here.
 *
 * So this reader need not know all of JSON; but whatever it takes, the parser takes too, and with the same meaning (the fuzz
 * target of jsonrpc compares them). It gives up at all that would need care: an escape or a byte that is not ASCII in a
 * text, an exponent, an array, a member given twice that matters, deep nesting, an id. The size of an event is bounded
 * by who collected it, and the recursion by DEPTH_MAX. */
#include "worker/peer/glance.h"

#include "worker/peer/mcp.h"

#include <string.h>

enum { DEPTH_MAX = 4, NUMBER_MAX = 18 };

/* Members that may be there once; FILTER and what follows it are the kinds' of what is honoured. */
enum { VERSION = 1, METHOD = 2, PARAMS = 4, META = 8, SUBSCRIPTION = 16, NOTIFICATIONS = 32, FILTER = 64 };

struct reader {
    const char *at, *end;
    unsigned depth;
    unsigned seen;
    struct jsonrpc_message *message;
};

struct word {
    const char *text;
    size_t size;
};

static bool is(struct word word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.text, text, word.size) == 0;
}

static bool is_digit(const struct reader *reader)
{
    return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* The next character that is no white space; NUL at the end. */
static char peek(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char c)
{
    bool is_next = peek(reader) == c && reader->at < reader->end;
    reader->at += is_next;
    return is_next;
}

static bool first(struct reader *reader, unsigned member)
{
    bool is_first = (reader->seen & member) == 0;
    reader->seen |= member;
    return is_first;
}

/* A text without escapes, all printable ASCII. */
static bool read_text(struct reader *reader, struct word *text)
{
    if (!take(reader, '"'))
        return false;
    const char *at = reader->at;
    while (at < reader->end && *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\')
        at++;
    *text = (struct word){.text = reader->at, .size = (size_t)(at - reader->at)};
    reader->at = at;
    return at < reader->end && *reader->at++ == '"';
}

/* What follows a number or a name that begins like a known one is no comma and no bracket, and fails there. */
static bool read_digits(struct reader *reader, uint64_t *value)
{
    const char *from = reader->at;
    for (*value = 0; is_digit(reader) && reader->at - from < NUMBER_MAX; reader->at++)
        *value = *value * 10 + (uint64_t)(*reader->at - '0');
    return reader->at > from && (*from != '0' || reader->at == from + 1);
}

static bool pass_number(struct reader *reader)
{
    uint64_t value;
    (void)take(reader, '-');
    if (!read_digits(reader, &value))
        return false;
    if (reader->at == reader->end || *reader->at != '.')
        return true;
    const char *from = ++reader->at;
    while (is_digit(reader) && reader->at - from < NUMBER_MAX)
        reader->at++;
    return reader->at > from;
}

static bool pass_name(struct reader *reader, const char *name)
{
    size_t size = strlen(name);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, name, size) != 0)
        return false;
    reader->at += size;
    return true;
}

/* `on_member` reads the value. */
static bool read_object(struct reader *reader, bool (*on_member)(struct reader *reader, struct word name))
{
    struct word name;
    if (reader->depth == DEPTH_MAX || !take(reader, '{'))
        return false;
    reader->depth++;
    if (peek(reader) != '}') {
        do {
            if (!read_text(reader, &name) || !take(reader, ':') || !on_member(reader, name))
                return false;
        } while (take(reader, ','));
    }
    reader->depth--;
    return take(reader, '}');
}

static bool pass_member(struct reader *reader, struct word name);

static bool pass_value(struct reader *reader)
{
    struct word text;
    switch (peek(reader)) {
    case '"':
        return read_text(reader, &text);
    case '{':
        return read_object(reader, pass_member);
    case 't':
        return pass_name(reader, "true");
    case 'f':
        return pass_name(reader, "false");
    case 'n':
        return pass_name(reader, "null");
    default:
        return pass_number(reader);
    }
}

static bool pass_member(struct reader *reader, struct word name)
{
    (void)name;
    return pass_value(reader);
}

static bool read_subscription(struct reader *reader)
{
    uint64_t value;
    (void)peek(reader);
    if (!read_digits(reader, &value) || value > UINT32_MAX)
        return false;
    reader->message->subscription = (uint32_t)value;
    return true;
}

static bool on_meta_member(struct reader *reader, struct word name)
{
    if (is(name, MCP_META_SUBSCRIPTION))
        return first(reader, SUBSCRIPTION) && read_subscription(reader);
    return pass_value(reader);
}

static bool on_filter_member(struct reader *reader, struct word name)
{
    bool is_true = peek(reader) == 't';
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (!is(name, mcp_filter_key((enum kind)kind)))
            continue;
        if (!first(reader, (unsigned)FILTER << kind))
            return false;
        reader->message->honoured |= (uint8_t)((unsigned)is_true << kind);
    }
    return pass_value(reader);
}

static bool on_param(struct reader *reader, struct word name)
{
    if (is(name, "_meta"))
        return first(reader, META) && read_object(reader, on_meta_member);
    if (is(name, "notifications"))
        return first(reader, NOTIFICATIONS) && read_object(reader, on_filter_member);
    return pass_value(reader);
}

static bool read_method(struct reader *reader)
{
    struct word method;
    if (!read_text(reader, &method))
        return false;
    if (is(method, MCP_ACKNOWLEDGED))
        reader->message->method = MCP_ACKNOWLEDGED;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        if (is(method, mcp_changed_method((enum kind)kind)))
            reader->message->method = mcp_changed_method((enum kind)kind);
    return reader->message->method != NULL;
}

static bool read_version(struct reader *reader)
{
    struct word version;
    return read_text(reader, &version) && is(version, "2.0");
}

static bool on_message_member(struct reader *reader, struct word name)
{
    if (is(name, "jsonrpc"))
        return first(reader, VERSION) && read_version(reader);
    if (is(name, "method"))
        return first(reader, METHOD) && read_method(reader);
    if (is(name, "params"))
        return first(reader, PARAMS) && read_object(reader, on_param);
    return !is(name, "id") && pass_value(reader);
}

bool glance(const char *text, size_t size, const struct limits_json *limits, struct jsonrpc_message *message)
{
    struct reader reader = {.at = text, .end = text + size, .message = message};
    if (limits->depth < DEPTH_MAX || limits->values < size) /* then they are for the parser to count */
        return false;
    *message = (struct jsonrpc_message){.type = JSONRPC_NOTIFICATION};
    return read_object(&reader, on_message_member) && peek(&reader) == '\0' && reader.at == reader.end &&
           (reader.seen & (VERSION | METHOD)) == (VERSION | METHOD);
}
