/* SPDX-License-Identifier: MIT */
/* The one growing byte buffer. Parsers, codecs and clients collect what comes from outside in it, so its maximum is the
 * bound on what a peer can make this process hold. Memory doubles up to that maximum; an append that would pass it, or
 * finds no memory, changes nothing, so that a caller can report the outcome and go on with what it has.
 *
 * Invariants: size <= max, and bytes (when not NULL) has at least size + 1 bytes and a NUL at bytes[size]. It never
 * shrinks by itself: who keeps a buffer for long calls buf_fini. */
#include "common/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void buf_init(struct buf *buf, size_t max)
{
    assert(max < UINT32_MAX);
    *buf = (struct buf){.max = (uint32_t)max};
}

void buf_fini(struct buf *buf)
{
    free(buf->bytes);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf_consume(buf, buf->size);
}

/* Makes room for `size` bytes more and the NUL. */
static int reserve(struct buf *buf, size_t size)
{
    if (size > buf->max - buf->size)
        return BUF_FULL;
    size_t needed = (size_t)buf->size + size + 1;
    if (needed <= buf->capacity)
        return 0;
    size_t capacity = buf->capacity > 0 ? buf->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > (size_t)buf->max + 1)
        capacity = (size_t)buf->max + 1;
    uint8_t *bytes = realloc(buf->bytes, capacity);
    if (bytes == NULL)
        return BUF_NO_MEMORY;
    buf->bytes = bytes;
    buf->capacity = (uint32_t)capacity;
    return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t size)
{
    int result = reserve(buf, size);
    if (result != 0)
        return result;
    if (size > 0)
        memcpy(buf->bytes + buf->size, bytes, size);
    buf->size += (uint32_t)size;
    buf->bytes[buf->size] = '\0';
    return 0;
}

int buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_append_number(struct buf *buf, uint64_t number)
{
    char digits[20]; /* of 2^64 - 1 */
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return buf_append(buf, digits + at, sizeof(digits) - at);
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t room = buf->capacity - buf->size;
    int length = vsnprintf(room > 0 ? (char *)buf->bytes + buf->size : NULL, room, format, arguments);
    assert(length >= 0);
    int result = reserve(buf, (size_t)length);
    if (result == 0 && (size_t)length >= room)
        vsnprintf((char *)buf->bytes + buf->size, (size_t)length + 1, format, again);
    if (result == 0)
        buf->size += (uint32_t)length;
    else if (room > 0)
        buf->bytes[buf->size] = '\0'; /* what did not fit has been begun there */
    va_end(again);
    va_end(arguments);
    return result;
}

int buf_append_base64(struct buf *buf, const void *bytes, size_t size)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = bytes;
    int outcome = 0;
    for (size_t i = 0; i < size && outcome == 0; i += 3) {
        size_t count = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)from[i] << 16 | (count > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                        (count > 2 ? (uint32_t)from[i + 2] : 0);
        char digits[4] = {DIGITS[bits >> 18], DIGITS[bits >> 12 & 63], count > 1 ? DIGITS[bits >> 6 & 63] : '=',
                          count > 2 ? DIGITS[bits & 63] : '='};
        outcome = buf_append(buf, digits, sizeof(digits));
    }
    return outcome;
}

void buf_consume(struct buf *buf, size_t count)
{
    if (buf->bytes == NULL)
        return;
    if (count > buf->size)
        count = buf->size;
    buf->size -= (uint32_t)count;
    memmove(buf->bytes, buf->bytes + count, buf->size + 1);
}

const char *buf_text(const struct buf *buf)
{
    return buf->bytes != NULL ? (const char *)buf->bytes : "";
}

uint8_t *buf_take(struct buf *buf)
{
    uint8_t *bytes = buf->size > 0 ? buf->bytes : NULL;
    if (bytes == NULL)
        free(buf->bytes);
    buf_init(buf, buf->max);
    return bytes;
}
