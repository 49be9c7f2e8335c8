/* SPDX-License-Identifier: MIT */
/* A byte buffer that grows up to a maximum given when it is made: everything that a peer can make grow, grows in one of
 * these. The struct is public so that it can be embedded; its fields are read only. Not thread-safe. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *bytes; /* NULL until something is appended; always followed by a NUL that is not counted */
    uint32_t size;
    uint32_t capacity;
    uint32_t max; /* most bytes that `size` may reach */
};

/* What appending can come to, besides 0. */
enum buf_outcome {
    BUF_FULL = 1,      /* the maximum would be passed; the buffer is unchanged */
    BUF_NO_MEMORY = 2, /* the buffer is unchanged */
};

/* `max`: below 4 GB. */
void buf_init(struct buf *buf, size_t max);

/* Frees the memory; the buffer is empty and can be used again. */
void buf_fini(struct buf *buf);

/* Empties it, keeping the memory. */
void buf_clear(struct buf *buf);

MUST_CHECK int buf_append(struct buf *buf, const void *bytes, size_t size);
MUST_CHECK int buf_append_text(struct buf *buf, const char *text);
MUST_CHECK int buf_append_number(struct buf *buf, uint64_t number); /* in decimal */
MUST_CHECK int buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* The bytes in base64 (RFC 4648, 4). */
MUST_CHECK int buf_append_base64(struct buf *buf, const void *bytes, size_t size);

/* Removes the first `count` bytes (at most all of them). */
void buf_consume(struct buf *buf, size_t count);

/* The content as text, "" when empty. Borrowed until the next change. */
const char *buf_text(const struct buf *buf);

/* Gives the memory to the caller (free() it) and empties the buffer; NULL when empty. */
uint8_t *buf_take(struct buf *buf);

#endif
