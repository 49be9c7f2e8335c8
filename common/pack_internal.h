/* SPDX-License-Identifier: MIT */
/* The way into msgpack-c for the codecs (pack.c, event.c, bell.c), and for nobody else: the one place where its types
 * are seen, where writing meets struct buf, and where bytes are checked before it may unpack them. */
#ifndef COMMON_PACK_INTERNAL_H
#define COMMON_PACK_INTERNAL_H

#include "common/buf.h"
#include "common/compiler.h"

#include <jansson.h>
#include <msgpack.h>

/* A packer that appends to `out`; the packing calls then return 0 or an enum buf_outcome. */
void pack_packer_init(msgpack_packer *packer, struct buf *out);

MUST_CHECK int pack_text(msgpack_packer *packer, const char *text);

/* A JSON value. 0 or an enum buf_outcome; nested deeper than PACK_DEPTH_MAX is BUF_FULL. */
MUST_CHECK int pack_value(msgpack_packer *packer, const json_t *value);

/* Unpacks the one value that fills `size` bytes, after a look at whether it does. 0, texts being borrowed from `bytes`
 * and the rest freed with msgpack_unpacked_destroy; or 1 when it is none or without memory. */
MUST_CHECK int pack_unpack(const void *bytes, size_t size, msgpack_unpacked *out);

/* The JSON value of an object of pack_unpack, by the rules of pack_read. A new reference or NULL. */
MUST_CHECK json_t *pack_object_to_json(const msgpack_object *object);

#endif
