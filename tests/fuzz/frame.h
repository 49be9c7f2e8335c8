/* SPDX-License-Identifier: MIT */
/* For fuzz targets of msgpack messages. A fuzzer that has to keep lengths and counts right finds little of what stands
 * behind them, so there are two doors: an input that is JSON is packed first, any other is the message as it is. (No
 * message begins as JSON does: `{` and `[` are small numbers in msgpack.) */
#ifndef TESTS_FUZZ_FRAME_H
#define TESTS_FUZZ_FRAME_H

#include "common/pack.h"

#include <jansson.h>
#include <stdint.h>

enum { FRAME_BYTES_MAX = 1024 * 1024 };

/* The message that `bytes` stands for, in `out`. */
static inline void frame_init(struct buf *out, const uint8_t *bytes, size_t size)
{
    buf_init(out, FRAME_BYTES_MAX);
    json_t *value = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
    int result = value != NULL ? pack_write(out, value) : buf_append(out, bytes, size);
    json_decref(value);
    if (result != 0)
        buf_clear(out);
}

#endif
