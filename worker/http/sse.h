/* SPDX-License-Identifier: MIT */
/* Incremental parser of text/event-stream: bytes go in as they come, in pieces of any size, and events come out. No
 * I/O, no clock. Embeddable and small: one exists for each connection held, and while no event is half read it owns no
 * memory but the last event id.
 *
 * As the WHATWG has it (line ends, BOM, comments, fields), and one thing stricter: an event whose data is empty is
 * not delivered, its id is (servers prime a stream that way). A stream that ends in the middle of an event delivers
 * nothing of it: there is no call for the end. */
#ifndef WORKER_SSE_H
#define WORKER_SSE_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer ids are ignored as if they had not been sent; longer types are cut. */
enum { SSE_ID_MAX = 1024, SSE_TYPE_MAX = 63 };

/* What feeding can come to, besides 0. After any of them nothing but sse_fini may be called; but after SSE_STOPPED, if the
 * parser is still there, feeding may go on. */
enum sse_outcome {
    SSE_TOO_LARGE = 1, /* a line or an event passed the maximum */
    SSE_NO_MEMORY = 2,
    SSE_STOPPED = 3, /* the handler said so */
};

/* Private; public in size only. */
struct sse {
    struct sse_event *event; /* the one half read, or NULL */
    char *last_id;           /* NULL: none */
    uint32_t retry_ms;
    bool begun;      /* the first line is over */
    bool after_cr;   /* a LF now would belong to the CR before it */
    bool in_comment; /* the rest of the line is of no interest */
};

struct sse_handlers {
    /* A whole event. `type` is "message" when not named; `data` has `size` bytes and a NUL behind them, and is borrowed
     * for the call. The id and the retry time of this event are those of sse_last_id and sse_retry_ms already.
     * Returns true to go on. False stops the feeding at once: then, and only then, the handler may have called
     * sse_fini, or freed whatever the parser lies in. */
    bool (*on_event)(void *user, const char *type, const char *data, size_t size);
};

void sse_init(struct sse *sse);
void sse_fini(struct sse *sse);

/* Reads from *at to `end`, and moves *at behind what was read before the handler is called. `event_max`: most bytes of one
 * event's data. 0, or an enum sse_outcome. */
MUST_CHECK int sse_feed(struct sse *sse, uint32_t event_max, const uint8_t **at, const uint8_t *end,
                        const struct sse_handlers *handlers, void *user);

/* The id to resume after: of the last event that was whole; "" when there is none. Borrowed until the next feeding. */
const char *sse_last_id(const struct sse *sse);

/* The delay before reconnecting that the server asked for last; 0: none. */
uint32_t sse_retry_ms(const struct sse *sse);

#endif
