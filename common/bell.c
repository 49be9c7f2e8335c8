/* SPDX-License-Identifier: MIT */
/* The bell's codec. A worker writes one a turn of its loop, the hub reads those of all workers: both are on the path of
 * every event, so the message is packed straight into the buffer and read from the unpacked objects; only diffs become
 * JSON values.
 *
 * The hub reads what another process wrote, possibly one of another version or gone mad: everything is checked against
 * its range here, so that a row number and a type can be used as indexes into what knows its own size (the table's
 * capacity is the reader's to check). A message with anything wrong in it rings for nothing: the sweep finds what it
 * was about. */
#include "common/bell.h"

#include "common/event.h"
#include "common/pack_internal.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

enum { BELL_FIELDS = 6, ITEM_FIELDS = 4 };

static int pack_item(msgpack_packer *packer, const struct bell_item *item)
{
    int outcome = msgpack_pack_array(packer, ITEM_FIELDS);
    if (outcome == 0)
        outcome = msgpack_pack_uint32(packer, item->row);
    if (outcome == 0)
        outcome = msgpack_pack_uint32(packer, item->incarnation);
    if (outcome == 0)
        outcome = msgpack_pack_unsigned_int(packer, item->type);
    if (outcome == 0)
        outcome = item->diff ? pack_value(packer, item->diff) : msgpack_pack_nil(packer);
    return outcome;
}

int bell_write(struct buf *out, const struct bell *bell, const struct bell_item *items, size_t count)
{
    assert(count <= BELL_ITEMS_MAX && bell->slot >= 0);
    const uint64_t head[] = {BELL_VERSION, (uint64_t)bell->slot, bell->start_count, bell->sequence, bell->rung_us};
    msgpack_packer packer;
    pack_packer_init(&packer, out);
    int outcome = msgpack_pack_array(&packer, BELL_FIELDS);
    for (size_t i = 0; outcome == 0 && i < ARRAY_LENGTH(head); i++)
        outcome = msgpack_pack_uint64(&packer, head[i]);
    if (outcome == 0)
        outcome = msgpack_pack_array(&packer, count);
    for (size_t i = 0; outcome == 0 && i < count; i++)
        outcome = pack_item(&packer, &items[i]);
    return outcome;
}

/* The elements of an array of `count`, or NULL when it is none. */
static const msgpack_object *read_array(const msgpack_object *object, uint32_t count)
{
    return object->type == MSGPACK_OBJECT_ARRAY && object->via.array.size == count ? object->via.array.ptr : NULL;
}

static bool read_number(const msgpack_object *object, uint64_t max, uint64_t *out)
{
    *out = object->via.u64;
    return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && *out <= max;
}

static bool read_head(const msgpack_object *fields, struct bell *out)
{
    uint64_t version, slot;
    if (!read_number(&fields[0], BELL_VERSION, &version) || version != BELL_VERSION)
        return false;
    bool ok = read_number(&fields[1], INT_MAX, &slot) && read_number(&fields[2], UINT64_MAX, &out->start_count) &&
              read_number(&fields[3], UINT64_MAX, &out->sequence) && read_number(&fields[4], UINT64_MAX, &out->rung_us);
    out->slot = ok ? (int)slot : 0;
    return ok;
}

/* `out->diff` is then a reference of its own. */
static bool read_item(const msgpack_object *object, struct bell_item *out)
{
    const msgpack_object *fields = read_array(object, ITEM_FIELDS);
    uint64_t row, incarnation, type;
    if (!fields || !read_number(&fields[0], UINT32_MAX, &row) || !read_number(&fields[1], UINT32_MAX, &incarnation) ||
        !read_number(&fields[2], EVENT_TYPES - 1, &type))
        return false;
    *out = (struct bell_item){.row = (uint32_t)row, .incarnation = (uint32_t)incarnation, .type = (unsigned)type};
    if (fields[3].type == MSGPACK_OBJECT_NIL)
        return true;
    out->diff = fields[3].type == MSGPACK_OBJECT_MAP ? pack_object_to_json(&fields[3]) : NULL;
    return out->diff != NULL;
}

static void free_items(struct bell_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref((json_t *)(uintptr_t)items[i].diff); /* read_item's own, const for the callback's sake */
    free(items);
}

/* All items, the caller's to free with free_items; NULL when one is none. */
static struct bell_item *read_items(const msgpack_object *array, size_t count)
{
    struct bell_item *items = calloc(count > 0 ? count : 1, sizeof(*items));
    for (size_t i = 0; items && i < count; i++) {
        if (!read_item(&array[i], &items[i])) {
            free_items(items, i);
            items = NULL;
        }
    }
    return items;
}

int bell_read(const void *bytes, size_t size, struct bell *bell,
              void (*on_item)(void *user, const struct bell *bell, const struct bell_item *item), void *user)
{
    msgpack_unpacked unpacked;
    if (size > BELL_BYTES_MAX || pack_unpack(bytes, size, &unpacked) != 0)
        return 1;
    struct bell_item *items = NULL;
    size_t count = 0;
    struct bell head;
    const msgpack_object *fields = read_array(&unpacked.data, BELL_FIELDS);
    if (fields && read_head(fields, &head) && fields[5].type == MSGPACK_OBJECT_ARRAY &&
        fields[5].via.array.size <= BELL_ITEMS_MAX) {
        count = fields[5].via.array.size;
        items = read_items(fields[5].via.array.ptr, count);
    }
    msgpack_unpacked_destroy(&unpacked);
    if (!items)
        return 1;
    *bell = head;
    for (size_t i = 0; i < count; i++)
        on_item(user, bell, &items[i]);
    free_items(items, count);
    return 0;
}
