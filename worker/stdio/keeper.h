/* SPDX-License-Identifier: MIT */
/* mcp-broker-keeper, which starts programs for a worker that may start none itself (its sandbox), and what is said to it.
 *
 *   mcp-broker-keeper     descriptor 3: a socket to the worker, on which a server is asked for (spawner.h)
 *
 *   worker -> spawner     one byte, with KEEPER_FDS descriptors: the server's 0, 1 and 2, and the leash
 *
 * For each of these the spawner forks: that process is the keeper of one server, and talks to the worker on the leash.
 *
 *   worker -> keeper      struct keeper_order and `size` bytes of texts, each with its NUL: the folder, the command, its
 *                         arguments, the variables of its environment; then, once:
 *                         one byte, any: end the server in order (its standard input has been closed)
 *                         end of file: kill it at once
 *   keeper -> worker      struct keeper_report, whole
 *
 * The spawner exits when the worker has gone, a keeper when nobody of its server's process group is left. */
#ifndef WORKER_KEEPER_H
#define WORKER_KEEPER_H

#include "common/compiler.h"

#include <stdint.h>

#define KEEPER_PROGRAM "mcp-broker-keeper"

enum {
    KEEPER_FD = 3, /* the worker's socket, then a keeper's leash */
    KEEPER_FDS = KEEPER_FD + 1,
    KEEPER_ORDER_MAX = 4 * 1024 * 1024,
    KEEPER_LEAVE_MS = 1500,     /* between the end of its input and SIGTERM */
    KEEPER_TERMINATE_MS = 1500, /* between SIGTERM and SIGKILL */
};

struct keeper_order {
    uint32_t size;
    uint32_t words;     /* command and arguments: 1 or more */
    uint32_t variables; /* NAME=value each */
};

enum keeper_news {
    KEEPER_STARTED = 1, /* value: its pid */
    KEEPER_NO_FOLDER,   /* instead; errno */
    KEEPER_NO_COMMAND,  /* instead; errno */
    KEEPER_ENDED,       /* status, as of waitpid; others of its group may be left */
};

struct keeper_report {
    int32_t news;
    int32_t value;
};

/* The keeper of one server, from its order to its end; KEEPER_FDS descriptors are in their places. The exit code. */
MUST_CHECK int keeper_run(void);

#endif
