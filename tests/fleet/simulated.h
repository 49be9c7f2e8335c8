/* SPDX-License-Identifier: MIT */
/* One simulated MCP server: what it knows, what it answers, what it says by itself. Its sockets are another's. Pure. */
#ifndef TESTS_FLEET_SIMULATED_H
#define TESTS_FLEET_SIMULATED_H

#include "common/buf.h"
#include "common/compiler.h"
#include "tests/fleet/request.h"
#include "tests/fleet/shared.h"

#include <stdbool.h>
#include <stdint.h>

enum { SIMULATED_ID_SIZE = 40 };

struct connection;

struct simulated {
    struct connection *stream; /* NULL: nobody listens */
    uint32_t number;
    uint32_t session;                     /* the one that is valid; 0: none */
    uint32_t version;                     /* of its tools */
    bool is_stateless;                    /* era 2026-07-28; else that of sessions */
    bool refuses;                         /* 503 to everything */
    bool stalls;                          /* no answer to anything, and no word */
    char subscription[SIMULATED_ID_SIZE]; /* JSON: the id of the request that listens */
};

/* What becomes of the connection on which a request came. */
enum simulated_answer {
    SIMULATED_ANSWERED,
    SIMULATED_STREAM, /* it is the server's stream from now on */
    SIMULATED_SILENT, /* no answer is given */
};

/* Writes the answer to `out`, and counts what was asked in `counters`. `tools` is the number of tools in a list. */
enum simulated_answer simulated_answer(struct simulated *server, const struct request *request, unsigned tools,
                                       struct buf *out, _Atomic uint64_t counters[SHARED_COUNTERS]);

/* The notification that tools have changed, as a chunk of the stream. */
void simulated_notify(const struct simulated *server, uint64_t now_us, struct buf *out);

#endif
