/* SPDX-License-Identifier: MIT */
/* How a worker learns what to watch. It asks, over REQ, "what has changed for slot S since revision R?"; the hub
 * answers at once when something has, and otherwise holds the question until something does: one mechanism is pull and
 * push. The next question, with the revision just received, says that all of it has been applied (dropped rows are
 * released).
 *
 * A worker starts with revision 0, and goes back to it when the hub's epoch is another one (the hub has restarted): the
 * answer is then `full`, and what is not in it is no longer the worker's. Both sides may repeat anything.
 *
 *   question {"slot", "start", "epoch", "since"}
 *   answer   {"epoch", "upto", "full", "more",
 *             "put": [{"row", "incarnation", "serverId", "source", "server": {definition}}],
 *             "drop": [[row, incarnation], …],
 *             "command": [[row, incarnation, "reconnect" | "touch"], …]}
 *
 * A full answer comes in pages: `full` stands in the first, `more` in all but the last; rows absent from all of them
 * are dropped after the last. Pages have at most ASSIGNMENT_PAGE definitions. The socket is 0600, the asker's uid is
 * checked, and definitions (they carry credentials) go to the slot that owns them and to no other. Messages are JSON
 * values in msgpack (pack.h). Pure. */
#ifndef COMMON_ASSIGNMENT_H
#define COMMON_ASSIGNMENT_H

#include "common/compiler.h"
#include "common/server_def.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { ASSIGNMENT_PAGE = 500, ASSIGNMENT_BYTES_MAX = 64 * 1024 * 1024 };

struct assignment_question {
    int slot;
    uint64_t start_count; /* the worker's: an older start of the same slot is ignored */
    uint64_t epoch;       /* of the hub, as last heard; 0: none */
    uint64_t since;
};

/* A new reference; NULL without memory. */
json_t *assignment_question_write(const struct assignment_question *question);
/* 0, or 1 when it is no question. */
MUST_CHECK int assignment_question_read(const json_t *message, struct assignment_question *question);

/* One entry of `put`; `def` is the reader's to keep or destroy. */
struct assignment_put {
    uint32_t row;
    uint32_t incarnation;
    struct server_def *def;
};
/* A new reference; NULL without memory. */
json_t *assignment_put_write(uint32_t row, uint32_t incarnation, const struct server_def *def);
/* 0, or 1 when it is no entry, or its definition none. */
MUST_CHECK int assignment_put_read(const json_t *entry, struct assignment_put *put);

#endif
