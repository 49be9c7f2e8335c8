/* SPDX-License-Identifier: MIT */
/* JSON values to msgpack and back. Jansson is the form in memory, msgpack-c does the packing and unpacking; the event
 * codecs share the pieces (pack_internal.h).
 *
 * The bytes come from whoever may open a socket. msgpack-c allocates for an array what its head announces, so a
 * message of five bytes could cost gigabytes: all bytes are therefore walked first, without allocating, and only what
 * is complete, not too deep and free of types that JSON lacks is handed to it. From then on memory is bounded by the
 * number of bytes. What JSON can't hold, or what code in C would misread (text with a NUL in it, a key that comes
 * twice), is refused and never mended. */
#include "common/pack.h"

#include "common/pack_internal.h"

#include <assert.h>
#include <string.h>

/* --- writing --- */

static int append_to_buf(void *buf, const char *bytes, size_t size)
{
    return buf_append(buf, bytes, size);
}

void pack_packer_init(msgpack_packer *packer, struct buf *out)
{
    msgpack_packer_init(packer, out, append_to_buf);
}

static int pack_bytes(msgpack_packer *packer, const char *bytes, size_t size)
{
    int outcome = msgpack_pack_str(packer, size);
    if (outcome == 0 && size > 0)
        outcome = msgpack_pack_str_body(packer, bytes, size);
    return outcome;
}

int pack_text(msgpack_packer *packer, const char *text)
{
    return pack_bytes(packer, text, strlen(text));
}

static int pack_nested(msgpack_packer *packer, const json_t *value, unsigned depth);

static int pack_array(msgpack_packer *packer, const json_t *array, unsigned depth)
{
    size_t count = json_array_size(array);
    int outcome = depth < PACK_DEPTH_MAX ? msgpack_pack_array(packer, count) : BUF_FULL;
    for (size_t i = 0; outcome == 0 && i < count; i++)
        outcome = pack_nested(packer, json_array_get(array, i), depth + 1);
    return outcome;
}

static int pack_map(msgpack_packer *packer, const json_t *object, unsigned depth)
{
    int outcome = depth < PACK_DEPTH_MAX ? msgpack_pack_map(packer, json_object_size(object)) : BUF_FULL;
    const char *key;
    json_t *value;
    /* Jansson's iterator is for changing the object, too, and so has no const form. */
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        if (outcome == 0)
            outcome = pack_text(packer, key);
        if (outcome == 0)
            outcome = pack_nested(packer, value, depth + 1);
        if (outcome != 0)
            break;
    }
    return outcome;
}

static int pack_nested(msgpack_packer *packer, const json_t *value, unsigned depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return pack_map(packer, value, depth);
    case JSON_ARRAY:
        return pack_array(packer, value, depth);
    case JSON_STRING:
        return pack_bytes(packer, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return msgpack_pack_int64(packer, json_integer_value(value));
    case JSON_REAL:
        return msgpack_pack_double(packer, json_real_value(value));
    case JSON_TRUE:
        return msgpack_pack_true(packer);
    case JSON_FALSE:
        return msgpack_pack_false(packer);
    case JSON_NULL:
        return msgpack_pack_nil(packer);
    }
    assert(false); /* jansson has no other types */
    return BUF_FULL;
}

int pack_value(msgpack_packer *packer, const json_t *value)
{
    return pack_nested(packer, value, 0);
}

int pack_write(struct buf *out, const json_t *value)
{
    msgpack_packer packer;
    pack_packer_init(&packer, out);
    return pack_value(&packer, value);
}

/* --- checking --- */

struct walk {
    const uint8_t *at;
    size_t left;
};

/* What comes after a value's first byte. */
enum shape {
    SHAPE_REFUSED,
    SHAPE_SCALAR, /* `bytes` of number */
    SHAPE_TEXT,   /* a length in `bytes` bytes, then so much text */
    SHAPE_ARRAY,  /* a count in `bytes` bytes, then so many values */
    SHAPE_MAP,    /* a count in `bytes` bytes, then so many keys and values */
};

/* First bytes from 0xc0 on; those not named (binary, extensions, 0xc1) are refused. */
static const struct {
    uint8_t shape;
    uint8_t bytes;
} heads[0xe0] = {
    [0xc0] = {SHAPE_SCALAR, 0}, [0xc2] = {SHAPE_SCALAR, 0}, [0xc3] = {SHAPE_SCALAR, 0}, /* nil, false, true */
    [0xca] = {SHAPE_SCALAR, 4}, [0xcb] = {SHAPE_SCALAR, 8}, [0xcc] = {SHAPE_SCALAR, 1}, /* float, float, uint */
    [0xcd] = {SHAPE_SCALAR, 2}, [0xce] = {SHAPE_SCALAR, 4}, [0xcf] = {SHAPE_SCALAR, 8}, /* uint */
    [0xd0] = {SHAPE_SCALAR, 1}, [0xd1] = {SHAPE_SCALAR, 2}, [0xd2] = {SHAPE_SCALAR, 4}, /* int */
    [0xd3] = {SHAPE_SCALAR, 8}, [0xd9] = {SHAPE_TEXT, 1},   [0xda] = {SHAPE_TEXT, 2},   [0xdb] = {SHAPE_TEXT, 4},
    [0xdc] = {SHAPE_ARRAY, 2},  [0xdd] = {SHAPE_ARRAY, 4},  [0xde] = {SHAPE_MAP, 2},    [0xdf] = {SHAPE_MAP, 4},
};

static bool skip(struct walk *walk, size_t count)
{
    if (count > walk->left)
        return false;
    walk->at += count;
    walk->left -= count;
    return true;
}

/* Takes a value's head: `count` is the length of its number or text, or the count of its elements or pairs. */
static enum shape take_head(struct walk *walk, size_t *count)
{
    if (walk->left == 0)
        return SHAPE_REFUSED;
    uint8_t first = *walk->at;
    (void)skip(walk, 1);
    *count = 0;
    if (first < 0x80 || first >= 0xe0)
        return SHAPE_SCALAR;
    if (first < 0xa0) {
        *count = first & 0x0f;
        return first < 0x90 ? SHAPE_MAP : SHAPE_ARRAY;
    }
    if (first < 0xc0) {
        *count = first & 0x1f;
        return SHAPE_TEXT;
    }
    enum shape shape = heads[first].shape;
    size_t bytes = heads[first].bytes;
    if (shape == SHAPE_SCALAR) {
        *count = bytes;
        return shape;
    }
    const uint8_t *digits = walk->at;
    if (!skip(walk, bytes))
        return SHAPE_REFUSED;
    for (size_t i = 0; i < bytes; i++)
        *count = *count << 8 | digits[i];
    return shape;
}

/* Walks over one value. Recursion is bounded by PACK_DEPTH_MAX, which is also as deep as msgpack-c goes. */
static bool walk_value(struct walk *walk, unsigned depth)
{
    size_t count;
    enum shape shape = take_head(walk, &count);
    switch (shape) {
    case SHAPE_SCALAR:
    case SHAPE_TEXT:
        return skip(walk, count);
    case SHAPE_ARRAY:
    case SHAPE_MAP:
        if (depth == PACK_DEPTH_MAX)
            return false;
        for (size_t i = 0; i < count; i++)
            if ((shape == SHAPE_MAP && !walk_value(walk, depth + 1)) || !walk_value(walk, depth + 1))
                return false;
        return true;
    case SHAPE_REFUSED:
        break;
    }
    return false;
}

const void *pack_member(const void *bytes, size_t size, const char *key, size_t *member_size)
{
    struct walk walk = {.at = bytes, .left = size};
    const uint8_t *member = NULL;
    size_t count, length;

    if (take_head(&walk, &count) != SHAPE_MAP)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (take_head(&walk, &length) != SHAPE_TEXT)
            return NULL;
        const uint8_t *name = walk.at;
        if (!skip(&walk, length))
            return NULL;
        const uint8_t *value = walk.at;
        if (!walk_value(&walk, 1))
            return NULL;
        if (length == strlen(key) && memcmp(name, key, length) == 0) {
            member = value;
            *member_size = (size_t)(walk.at - value);
        }
    }
    return walk.left == 0 ? member : NULL;
}

/* --- reading --- */

int pack_unpack(const void *bytes, size_t size, msgpack_unpacked *out)
{
    struct walk walk = {.at = bytes, .left = size};
    if (!walk_value(&walk, 0) || walk.left > 0)
        return 1;
    size_t offset = 0;
    msgpack_unpacked_init(out);
    if (msgpack_unpack_next(out, bytes, size, &offset) != MSGPACK_UNPACK_SUCCESS) {
        msgpack_unpacked_destroy(out);
        return 1;
    }
    return 0;
}

/* The bytes of a text, never NULL (msgpack-c's are when it is empty); or NULL when there is a NUL among them. */
static const char *text_bytes(const msgpack_object_str *text)
{
    if (text->size == 0)
        return "";
    return memchr(text->ptr, '\0', text->size) ? NULL : text->ptr;
}

static json_t *read_array(const msgpack_object_array *array)
{
    json_t *result = json_array();
    for (uint32_t i = 0; result && i < array->size; i++) {
        /* Jansson refuses a NULL element as it does a lack of memory. */
        if (json_array_append_new(result, pack_object_to_json(&array->ptr[i])) < 0) {
            json_decref(result);
            result = NULL;
        }
    }
    return result;
}

static json_t *read_map(const msgpack_object_map *map)
{
    json_t *result = json_object();
    for (uint32_t i = 0; result && i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        const char *bytes = key->type == MSGPACK_OBJECT_STR ? text_bytes(&key->via.str) : NULL;
        if (!bytes ||
            json_object_setn_new(result, bytes, key->via.str.size, pack_object_to_json(&map->ptr[i].val)) < 0 ||
            json_object_size(result) != i + 1) {
            json_decref(result);
            result = NULL;
        }
    }
    return result;
}

json_t *pack_object_to_json(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return json_null();
    case MSGPACK_OBJECT_BOOLEAN:
        return json_boolean(object->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return object->via.u64 <= INT64_MAX ? json_integer((json_int_t)object->via.u64) : NULL;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_integer(object->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return json_real(object->via.f64); /* NULL for what is no finite number */
    case MSGPACK_OBJECT_STR:
        return json_stringn(text_bytes(&object->via.str), object->via.str.size); /* NULL for NULL */
    case MSGPACK_OBJECT_ARRAY:
        return read_array(&object->via.array);
    case MSGPACK_OBJECT_MAP:
        return read_map(&object->via.map);
    case MSGPACK_OBJECT_BIN:
    case MSGPACK_OBJECT_EXT:
        break;
    }
    return NULL;
}

json_t *pack_read(const void *bytes, size_t size)
{
    msgpack_unpacked unpacked;
    if (pack_unpack(bytes, size, &unpacked) != 0)
        return NULL;
    json_t *value = pack_object_to_json(&unpacked.data);
    msgpack_unpacked_destroy(&unpacked);
    return value;
}
