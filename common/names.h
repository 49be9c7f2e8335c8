/* SPDX-License-Identifier: MIT */
/* The enumerations that stand in the table and on the wires, each with the one spelling that users see in logs, JSON,
 * metrics and the README. Every *_name function is total: a value from a foreign process that is none gives "unknown".
 * Pure. */
#ifndef COMMON_NAMES_H
#define COMMON_NAMES_H

#include <stdbool.h>

/* What lists a server has; the order is the table's. */
enum kind { KIND_TOOLS, KIND_PROMPTS, KIND_RESOURCES, KIND_COUNT };
const char *kind_name(unsigned kind); /* "tools" */
bool kind_from_name(const char *name, enum kind *kind);

enum state {
#define STATE(symbol, ...) STATE_##symbol,
#include "common/states.def"
    STATE_COUNT
};
const char *state_name(unsigned state);
const char *state_meaning(unsigned state); /* for people */
bool state_is_connected(unsigned state);
bool state_from_name(const char *name, enum state *state);

/* What can happen to a connection: why its state changed. */
enum conn_event {
#define CONN_EVENT(symbol, ...) CONN_EVENT_##symbol,
#include "common/conn_events.def"
    CONN_EVENT_COUNT
};
const char *conn_event_name(unsigned event);
const char *conn_event_meaning(unsigned event); /* for people */
bool conn_event_from_name(const char *name, enum conn_event *event);

/* Families of protocol revisions that a listener treats alike; the revision itself is text (`protocolVersion`). */
enum era {
    ERA_UNKNOWN,
    ERA_STATELESS, /* 2026-07-28: subscriptions/listen, server/discover */
    ERA_SESSION,   /* 2025-03-26, 2025-06-18, 2025-11-25: initialize, GET stream */
    ERA_SSE,       /* 2024-11-05: HTTP+SSE */
    ERA_COUNT
};
const char *era_name(unsigned era); /* "unknown", "stateless", "session", "sse" */

enum transport { TRANSPORT_HTTP, TRANSPORT_SSE, TRANSPORT_STDIO, TRANSPORT_COUNT };
const char *transport_name(unsigned transport); /* as `type` in the servers file */

/* Where a server's definition came from. */
enum source { SOURCE_FILE, SOURCE_RUNTIME, SOURCE_COUNT };
const char *source_name(unsigned source); /* "file", "runtime" */

/* Why an event was published. */
enum reason { REASON_NOTIFICATION, REASON_RECONNECT, REASON_VERIFY, REASON_POLL, REASON_COUNT };
const char *reason_name(unsigned reason);

#endif
