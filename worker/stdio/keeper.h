/* SPDX-License-Identifier: MIT */
/* Between a worker and the keeper of one stdio server: how the keeper is started, and what is said over the socket that
 * is its descriptor 3.
 *
 *   mcp-broker-keeper FOLDER COMMAND [ARGUMENT…]     0, 1, 2 and the environment are the server's
 *
 *   keeper -> worker   struct keeper_report, whole
 *   worker -> keeper   one byte, any: end the server in order (its standard input has been closed)
 *                      end of file: kill it at once
 *
 * The keeper exits when nobody of the server's process group is left. */
#ifndef WORKER_KEEPER_H
#define WORKER_KEEPER_H

#include <stdint.h>

#define KEEPER_PROGRAM "mcp-broker-keeper"

enum {
    KEEPER_FD = 3,
    KEEPER_LEAVE_MS = 1500,     /* between the end of its input and SIGTERM */
    KEEPER_TERMINATE_MS = 1500, /* between SIGTERM and SIGKILL */
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

#endif
