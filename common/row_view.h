/* SPDX-License-Identifier: MIT */
/* A row and a slot as users see them: JSON objects with the field names of the contract (serverId, serverName,
 * workspaceId, userId, state, connected, supportsListChanged, reconnectAttempts, lastActivity, worker, era,
 * protocolVersion, serverInfo, toolCount, toolsHash, generation, published, connectedSince, nextAttempt, lastError,
 * source, transport, lastHeard, verifiedAt). Times in ms since the epoch, null when there is none. Used by the hub's
 * answers and by the command line when it reads the table itself, so that both show the same. Pure.
 *
 * supportsListChanged is null until the server was reached; then whether it says so or was heard. */
#ifndef COMMON_ROW_VIEW_H
#define COMMON_ROW_VIEW_H

#include "common/table.h"

#include <jansson.h>

/* A new reference, or NULL: no such row, in no use, busy, or no memory. `detail` adds promptCount, promptsHash,
 * promptsGeneration, promptsPublished, the same for resources, events (the kinds watched), notifications, connects,
 * stateSince, and `history`: [{"at","from","to","why"}], latest first. */
json_t *row_view(const struct table *table, uint32_t row, bool detail);

/* {"listening": 12, …}: the states that some server is in. *total is all servers, *unpublished the lists whose last change
 * is not published yet. */
json_t *states_view(const struct table *table, uint64_t *total, uint64_t *unpublished);

/* {"worker": slot or "hub", "pid", "starts", "startedAt", "heartbeat", "loopLagUs", "connections", "counters": {…}};
 * `pid` is null for one that stopped in order. NULL for a slot never used, or no memory. */
json_t *slot_view(const struct table *table, int slot);

#endif
