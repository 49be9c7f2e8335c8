/* SPDX-License-Identifier: MIT */
/* A stdio server as a process: started with a clean environment in a process group of its own, its output read as
 * lines, its input written, its standard error in the log, and all of it ended when it is let go or the worker dies.
 * What the lines mean is not known here. Loop thread only. */
#ifndef WORKER_STDIO_PROCESS_H
#define WORKER_STDIO_PROCESS_H

#include "common/compiler.h"
#include "common/server_def.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum {
    STDIO_QUEUE_MAX = 256 * 1024, /* bytes that wait to be read by the server */
    STDIO_READ_SIZE = 65536,
    STDIO_TEXT_SIZE = 128,
};

struct stdio_process;

enum stdio_end_reason {
    STDIO_NOT_STARTED,  /* no such command, no such folder, no keeper */
    STDIO_EXITED,       /* by itself, or killed */
    STDIO_BROKEN,       /* it lives, but does not read, or has closed a pipe */
    STDIO_TOO_LONG,     /* a line */
    STDIO_NO_RESOURCES, /* ours */
};

struct stdio_end {
    enum stdio_end_reason reason;
    char text[STDIO_TEXT_SIZE]; /* as "exited with code 1" */
};

/* Each may close the process. They run from the loop, never from within a call of this file. */
struct stdio_handlers {
    /* A line of its standard output, without the end: `size` bytes and a NUL. Borrowed. */
    void (*on_line)(void *user, const char *line, size_t size);
    /* Once, last. The process is still there: close it. */
    void (*on_end)(void *user, const struct stdio_end *end);
};

/* Starts the server of a definition with a command. `handlers` outlives the process, `def` need not. 0 or a negative
 * errno; that there is no such command is told by on_end. A line longer than `line_max` ends it. */
MUST_CHECK int stdio_process_start(uv_loop_t *loop, const struct server_def *def, size_t line_max,
                                   const struct stdio_handlers *handlers, void *user, struct stdio_process **out);

/* Stops or goes on reading its output; what has been read already, up to STDIO_READ_SIZE bytes, is told all the same. */
void stdio_process_hold(struct stdio_process *process, bool is_held);

/* Writes a line: `text`, and its end. 0; -ENOMEM; or -EPIPE when the server does not read, of which on_end has told or
 * will tell. */
MUST_CHECK int stdio_process_write(struct stdio_process *process, const char *text);

/* Ends it, in the background: its input is closed; 1.5 s later SIGTERM, after that SIGKILL, for its process group. No
 * callback afterwards; sets *process to NULL. NULL in *process does nothing. */
void stdio_process_close(struct stdio_process **process);

/* Processes that have been closed and are not gone yet. */
unsigned stdio_process_leaving(void);

#endif
