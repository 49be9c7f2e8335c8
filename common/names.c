/* SPDX-License-Identifier: MIT */
/* The spellings of every enumeration that leaves a process: in the table it is a byte, on a wire or in a log it is one of
 * these words. Each list stands once, here or in its .def file, so that logs, JSON, metrics and documentation agree.
 *
 * A value to be named may come from the shared table or from another process, and so may be any number: naming is total
 * and never asserts. A name to be looked up comes from users: no match is an answer, not a fault. */
#include "common/names.h"

#include "common/compiler.h"

#include <stddef.h>
#include <string.h>

static const char unknown[] = "unknown";

static const char *const kind_names[KIND_COUNT] = {
    [KIND_TOOLS] = "tools",
    [KIND_PROMPTS] = "prompts",
    [KIND_RESOURCES] = "resources",
};

static const char *const state_names[STATE_COUNT] = {
#define STATE(symbol, name, connected, meaning) [STATE_##symbol] = name,
#include "common/states.def"
};

static const bool state_connected[STATE_COUNT] = {
#define STATE(symbol, name, connected, meaning) [STATE_##symbol] = connected,
#include "common/states.def"
};

static const char *const state_meanings[STATE_COUNT] = {
#define STATE(symbol, name, connected, meaning) [STATE_##symbol] = meaning,
#include "common/states.def"
};

static const char *const conn_event_names[CONN_EVENT_COUNT] = {
#define CONN_EVENT(symbol, name, meaning) [CONN_EVENT_##symbol] = name,
#include "common/conn_events.def"
};

static const char *const conn_event_meanings[CONN_EVENT_COUNT] = {
#define CONN_EVENT(symbol, name, meaning) [CONN_EVENT_##symbol] = meaning,
#include "common/conn_events.def"
};

static const char *const era_names[ERA_COUNT] = {
    [ERA_UNKNOWN] = unknown,
    [ERA_STATELESS] = "stateless",
    [ERA_SESSION] = "session",
    [ERA_SSE] = "sse",
};

static const char *const transport_names[TRANSPORT_COUNT] = {
    [TRANSPORT_HTTP] = "http",
    [TRANSPORT_SSE] = "sse",
    [TRANSPORT_STDIO] = "stdio",
};

static const char *const source_names[SOURCE_COUNT] = {
    [SOURCE_FILE] = "file",
    [SOURCE_RUNTIME] = "runtime",
};

static const char *const reason_names[REASON_COUNT] = {
    [REASON_NOTIFICATION] = "notification",
    [REASON_RECONNECT] = "reconnect",
    [REASON_VERIFY] = "verify",
    [REASON_POLL] = "poll",
};

static const char *name_at(const char *const *names, size_t count, unsigned index)
{
    return index < count ? names[index] : unknown;
}

/* `count` when none is called so. */
static size_t index_of(const char *const *names, size_t count, const char *name)
{
    size_t index = 0;
    while (index < count && strcmp(names[index], name) != 0) {
        index++;
    }
    return index;
}

const char *kind_name(unsigned kind)
{
    return name_at(kind_names, ARRAY_LENGTH(kind_names), kind);
}

bool kind_from_name(const char *name, enum kind *kind)
{
    size_t index = index_of(kind_names, ARRAY_LENGTH(kind_names), name);
    if (index == KIND_COUNT) {
        return false;
    }
    *kind = (enum kind)index;
    return true;
}

const char *state_name(unsigned state)
{
    return name_at(state_names, ARRAY_LENGTH(state_names), state);
}

const char *state_meaning(unsigned state)
{
    return name_at(state_meanings, STATE_COUNT, state);
}

bool state_is_connected(unsigned state)
{
    return state < STATE_COUNT && state_connected[state];
}

bool state_from_name(const char *name, enum state *state)
{
    size_t index = index_of(state_names, ARRAY_LENGTH(state_names), name);
    if (index == STATE_COUNT) {
        return false;
    }
    *state = (enum state)index;
    return true;
}

const char *conn_event_name(unsigned event)
{
    return name_at(conn_event_names, CONN_EVENT_COUNT, event);
}

const char *conn_event_meaning(unsigned event)
{
    return name_at(conn_event_meanings, CONN_EVENT_COUNT, event);
}

bool conn_event_from_name(const char *name, enum conn_event *event)
{
    size_t index = index_of(conn_event_names, CONN_EVENT_COUNT, name);
    if (index == CONN_EVENT_COUNT) {
        return false;
    }
    *event = (enum conn_event)index;
    return true;
}

const char *era_name(unsigned era)
{
    return name_at(era_names, ARRAY_LENGTH(era_names), era);
}

const char *transport_name(unsigned transport)
{
    return name_at(transport_names, ARRAY_LENGTH(transport_names), transport);
}

const char *source_name(unsigned source)
{
    return name_at(source_names, ARRAY_LENGTH(source_names), source);
}

const char *reason_name(unsigned reason)
{
    return name_at(reason_names, ARRAY_LENGTH(reason_names), reason);
}
