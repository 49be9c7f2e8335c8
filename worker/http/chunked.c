/* SPDX-License-Identifier: MIT */
/* Chunked coding, for streams: their bodies are decoded here and not in libcurl, so that a stream can leave libcurl in
 * the middle of a chunk.
 *
 *   5;extension CR LF hello CR LF 0 CR LF trailer: x CR LF CR LF
 *
 * As tolerant as libcurl is: a line may end with LF alone, and whatever follows the digits of a size is skipped. Chunks of
 * 4 GB are refused. Nothing is stored, so nothing can grow; what is no data is counted all the same, so
 * that a server cannot send for ever and say nothing. */
#include "worker/http/chunked.h"

#include <stdbool.h>

enum state { SIZE_BEGIN, SIZE, EXTENSION, DATA, DATA_END, TRAILER, TRAILER_LINE, OVER, BAD };

static int digit_of(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The line of a size has ended. */
static enum state after_size(struct chunked *chunked)
{
    return chunked->left > 0 ? DATA : TRAILER;
}

static enum state read_size(struct chunked *chunked, uint8_t byte)
{
    int digit = digit_of(byte);
    if (digit < 0 && chunked->state == SIZE_BEGIN)
        return BAD;
    if (digit < 0)
        return byte == '\n' ? after_size(chunked) : EXTENSION;
    if (chunked->left > UINT32_MAX >> 4)
        return BAD;
    chunked->left = chunked->left << 4 | (uint32_t)digit;
    return SIZE;
}

/* What follows the data of a chunk: the end of a line, then a size again. */
static enum state read_data_end(struct chunked *chunked, uint8_t byte)
{
    if (byte == '\r')
        return DATA_END;
    chunked->left = 0;
    return byte == '\n' ? SIZE_BEGIN : BAD;
}

/* Takes a byte that is no data. */
static enum state step(struct chunked *chunked, uint8_t byte)
{
    switch ((enum state)chunked->state) {
    case SIZE_BEGIN:
    case SIZE:
        return read_size(chunked, byte);
    case EXTENSION:
        return byte == '\n' ? after_size(chunked) : EXTENSION;
    case DATA_END:
        return read_data_end(chunked, byte);
    case TRAILER: /* at the beginning of a line, but for a CR */
        return byte == '\n' ? OVER : byte == '\r' ? TRAILER : TRAILER_LINE;
    case TRAILER_LINE:
        return byte == '\n' ? TRAILER : TRAILER_LINE;
    case DATA:
    case OVER:
    case BAD:
        break;
    }
    return BAD;
}

static void take_data(struct chunked *chunked, const uint8_t **at, const uint8_t *end, const uint8_t **data,
                      size_t *size)
{
    size_t there = (size_t)(end - *at);
    *size = chunked->left < there ? chunked->left : there;
    *data = *at;
    *at += *size;
    chunked->left -= (uint32_t)*size;
    chunked->overhead = 0;
    if (chunked->left == 0)
        chunked->state = DATA_END;
}

int chunked_next(struct chunked *chunked, const uint8_t **at, const uint8_t *end, const uint8_t **data, size_t *size)
{
    while (*at < end && chunked->state != OVER && chunked->state != BAD) {
        if (chunked->state == DATA) {
            take_data(chunked, at, end, data, size);
            return CHUNKED_DATA;
        }
        bool too_much = ++chunked->overhead > CHUNKED_OVERHEAD_MAX;
        chunked->state = (uint8_t)(too_much ? BAD : step(chunked, *(*at)++));
    }
    return chunked->state == OVER ? CHUNKED_END : chunked->state == BAD ? CHUNKED_BAD : 0;
}
