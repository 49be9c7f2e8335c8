/* SPDX-License-Identifier: MIT */
/* Events as the library gives them, made of what came over the socket or of what the subscription has to say. */
#ifndef CLIENT_EVENT_H
#define CLIENT_EVENT_H

#include "broker/client/mcp-broker.h"
#include "common/compiler.h"

/* Of topic and map. NULL when it is no event, or without memory. */
MUST_CHECK struct mcp_broker_event *event_of_message(const void *bytes, size_t size);

/* ONLINE, OFFLINE or MISSED. NULL without memory. */
MUST_CHECK struct mcp_broker_event *event_of_news(enum mcp_broker_kind kind, uint64_t missed);

/* The bit of enum mcp_broker_kind for a type of common/event.h. */
enum mcp_broker_kind event_kind(unsigned type);

#endif
