/* SPDX-License-Identifier: MIT */
/* Incremental splitter of text into lines: bytes go in as they come, in pieces of any size, and lines come out. LF ends
 * a line, and a CR before it belongs to the end. No I/O, no clock. Embeddable; while no line is half read it owns no
 * memory. */
#ifndef WORKER_LINES_H
#define WORKER_LINES_H

#include "common/buf.h"
#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a line that is longer than the maximum. */
enum lines_policy {
    LINES_REFUSE, /* LINES_TOO_LONG */
    LINES_CUT,    /* its beginning is given, the rest is left out */
};

/* What feeding can come to, besides 0. After the first two nothing but lines_fini may be called. */
enum lines_outcome {
    LINES_TOO_LONG = 1,
    LINES_NO_MEMORY = 2,
    LINES_STOPPED = 3, /* the handler said so; the rest of the bytes is dropped */
};

/* Private; public in size only. */
struct lines {
    struct buf part; /* of the line half read */
    size_t max;
    enum lines_policy policy;
};

/* A line without its end: `size` bytes and a NUL behind them, borrowed for the call. True to go on, false to stop at
 * once; the splitter must still be there when it returns. */
typedef bool (*lines_handler)(void *user, const char *line, size_t size);

/* `max`: most bytes of one line without its end. */
void lines_init(struct lines *lines, size_t max, enum lines_policy policy);
void lines_fini(struct lines *lines);

/* 0, or an enum lines_outcome. */
MUST_CHECK int lines_feed(struct lines *lines, const void *bytes, size_t size, lines_handler on_line, void *user);

/* Nothing more will come: a last line without an end is given, if there is one. */
MUST_CHECK int lines_end(struct lines *lines, lines_handler on_line, void *user);

#endif
