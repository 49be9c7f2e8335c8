/* SPDX-License-Identifier: MIT */
/* Fuzz target of the bell's codec. A message that was understood is the same when it is written again. */
#include "common/bell.h"

#include "common/event.h"
#include "frame.h"

#include <stdlib.h>

struct heard {
    struct bell_item items[BELL_ITEMS_MAX];
    size_t count;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void keep(void *user, const struct bell *bell, const struct bell_item *item)
{
    struct heard *heard = user;
    if (heard->count == BELL_ITEMS_MAX || bell->slot < 0 || item->type >= EVENT_TYPES)
        abort();
    heard->items[heard->count] = *item;
    if (item->diff != NULL && !json_is_object(item->diff))
        abort();
    heard->items[heard->count].diff = item->diff != NULL ? json_deep_copy(item->diff) : NULL;
    heard->count++;
}

static void check_same(const struct heard *a, const struct heard *b)
{
    if (a->count != b->count)
        abort();
    for (size_t i = 0; i < a->count; i++) {
        const struct bell_item *x = &a->items[i], *y = &b->items[i];
        if (x->row != y->row || x->incarnation != y->incarnation || x->type != y->type ||
            (x->diff == NULL) != (y->diff == NULL) || (x->diff != NULL && !json_equal(x->diff, y->diff)))
            abort();
    }
}

static void forget(struct heard *heard)
{
    for (size_t i = 0; i < heard->count; i++)
        json_decref((json_t *)(uintptr_t)heard->items[i].diff); /* keep's own */
    heard->count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct heard heard, again;
    struct bell bell, second;
    struct buf message, written;

    frame_init(&message, bytes, size);
    buf_init(&written, 2 * FRAME_BYTES_MAX);
    if (bell_read(message.bytes, message.size, &bell, keep, &heard) == 0) {
        if (bell_write(&written, &bell, heard.items, heard.count) != 0 ||
            bell_read(written.bytes, written.size, &second, keep, &again) != 0)
            abort();
        if (bell.slot != second.slot || bell.start_count != second.start_count || bell.sequence != second.sequence ||
            bell.rung_us != second.rung_us)
            abort();
        check_same(&heard, &again);
    } else if (heard.count != 0) {
        abort();
    }
    forget(&heard);
    forget(&again);
    buf_fini(&message);
    buf_fini(&written);
    return 0;
}
