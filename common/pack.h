/* SPDX-License-Identifier: MIT */
/* JSON values to msgpack and back: the one codec of every message that is not on the event path (assignments, questions
 * and answers). In memory such a message is a jansson value; on the wire it is msgpack. Pure. */
#ifndef COMMON_PACK_H
#define COMMON_PACK_H

#include "common/buf.h"
#include "common/compiler.h"

#include <jansson.h>

enum { PACK_DEPTH_MAX = 32 };

/* Appends `value`. 0, or an enum buf_outcome (too deep is BUF_FULL); the buffer then holds a part of it. */
MUST_CHECK int pack_write(struct buf *out, const json_t *value);

/* Reads one value that must fill `size` bytes. A new reference; NULL for anything else: malformed, too deep, keys that
 * are no text or come twice, text that is no UTF-8 or has a NUL, binary or extension types, numbers that JSON can't
 * hold. It never allocates more than a small multiple of `size`, whatever the bytes announce. */
MUST_CHECK json_t *pack_read(const void *bytes, size_t size);

/* The bytes of the value that `key` has in the map that fills `size` bytes, as checked as pack_read would but for what a
 * text may have in it; nothing is allocated. NULL when there is none, or no map. */
MUST_CHECK const void *pack_member(const void *bytes, size_t size, const char *key, size_t *member_size);

#endif
