/* SPDX-License-Identifier: MIT */
/* Decoder of HTTP/1.1 chunked coding, incremental: takes the bytes of a body as they come, in whatever pieces, and says
 * which of them are data. Nothing is copied or kept. Pure. */
#ifndef WORKER_CHUNKED_H
#define WORKER_CHUNKED_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

/* Most bytes in a row that are no data: sizes, extensions, trailers. */
enum { CHUNKED_OVERHEAD_MAX = 64 * 1024 };

/* What looking for data can come to, besides 0: all bytes are used up, more are wanted. */
enum chunked_outcome {
    CHUNKED_DATA = 1, /* here is some; there may be more */
    CHUNKED_END = 2,  /* the body is over; what is left is none of it */
    CHUNKED_BAD = 3,  /* it is no chunked coding, or passes a bound; nothing more may be asked */
};

/* Private; public in size only. All zero is the beginning of a body. */
struct chunked {
    uint32_t left; /* of the chunk's data; or its size, as far as it is read */
    uint32_t overhead;
    uint8_t state;
};

/* Looks for data from *at to `end`, and moves *at behind what was used. CHUNKED_DATA: `*size` bytes from `*data`, at
 * least one. 0 or an enum chunked_outcome. */
MUST_CHECK int chunked_next(struct chunked *chunked, const uint8_t **at, const uint8_t *end, const uint8_t **data,
                            size_t *size);

#endif
