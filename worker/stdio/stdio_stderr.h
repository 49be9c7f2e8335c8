/* SPDX-License-Identifier: MIT */
/* What a stdio server writes to its standard error, into the log: a line of it is a line there, with the server's id.
 * Its credentials are covered. Of a server that writes much, some lines in each window of time are told, and how many were
 * left out. Embeddable. Loop thread only. */
#ifndef WORKER_STDIO_STDERR_H
#define WORKER_STDIO_STDERR_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/server_def.h"
#include "worker/http/delay.h"
#include "worker/stdio/lines.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { STDIO_STDERR_LINES = 20, STDIO_STDERR_WINDOW_MS = 10000 };

/* Private; public in size only. */
struct stdio_stderr {
    uv_loop_t *loop;
    const char *server;
    struct lines lines;
    struct buf secrets;   /* for a mask */
    struct delay *window; /* runs from the first line told */
    unsigned told;        /* in this window */
    uint64_t left_out;
};

/* `server` is borrowed; of `def` a copy is made of what is to be covered. 0 or -ENOMEM; then there is nothing to release. */
MUST_CHECK int stdio_stderr_init(struct stdio_stderr *stream, uv_loop_t *loop, const char *server,
                                 const struct server_def *def);
void stdio_stderr_feed(struct stdio_stderr *stream, const void *bytes, size_t size);
/* Tells what is left to tell. */
void stdio_stderr_fini(struct stdio_stderr *stream);

#endif
