/* SPDX-License-Identifier: MIT */
/* One bell a turn of the loop: a message costs the hub and nng far more than an item in it. conn notes changes here
 * while it handles what a turn brought; the worker flushes before it sleeps, so a change waits for no timer.
 *
 * A bell that would be too long (large diffs) is sent without its diffs, and a list of items that is full is sent
 * early: the hub then reads the table or is told a moment sooner. A bell that can't be sent is only counted by its gap
 * in the sequence, which the hub repairs. */
#include "worker/conn/publish.h"

#include "common/bell.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 108 };

struct publish {
    struct table *table;
    int slot;
    uint64_t start_count;
    struct bus_pub *bus;
    struct buf message;
    size_t count;
    struct bell_item items[BELL_ITEMS_MAX];
    json_t *diffs[BELL_ITEMS_MAX]; /* the references behind items[i].diff */
};

int publish_open(const char *run_dir, int queue, struct table *table, int slot, uint64_t start_count,
                 struct publish **out)
{
    char path[PATH_SIZE];
    int result = paths_join(path, sizeof(path), run_dir, PATHS_BELLS);
    if (result)
        return result;
    struct publish *publish = calloc(1, sizeof(*publish));
    if (!publish)
        return -ENOMEM;
    publish->table = table;
    publish->slot = slot;
    publish->start_count = start_count;
    buf_init(&publish->message, BELL_BYTES_MAX);
    const struct bus_pub_options options = {.path = path, .end = BUS_DIAL, .queue = queue, .is_uncached = true};
    result = bus_pub_open(&options, &publish->bus);
    if (result) {
        free(publish);
        return result;
    }
    *out = publish;
    return 0;
}

static void forget_diffs(struct publish *publish)
{
    for (size_t i = 0; i < publish->count; i++) {
        json_decref(publish->diffs[i]);
        publish->diffs[i] = NULL;
        publish->items[i].diff = NULL;
    }
}

void publish_note(struct publish *publish, uint32_t row, uint32_t incarnation, unsigned type, json_t *diff)
{
    if (publish->count == BELL_ITEMS_MAX)
        (void)publish_flush(publish);
    publish->diffs[publish->count] = json_incref(diff);
    publish->items[publish->count++] =
        (struct bell_item){.row = row, .incarnation = incarnation, .type = type, .diff = diff};
}

size_t publish_flush(struct publish *publish)
{
    size_t count = publish->count;
    if (count == 0)
        return 0;
    struct bell bell = {
        .slot = publish->slot,
        .start_count = publish->start_count,
        .sequence = table_next_bell(publish->table, publish->slot),
        .rung_us = clock_wall_us(),
    };
    buf_clear(&publish->message);
    int result = bell_write(&publish->message, &bell, publish->items, publish->count);
    if (result) {
        forget_diffs(publish);
        buf_clear(&publish->message);
        result = bell_write(&publish->message, &bell, publish->items, publish->count);
    }
    if (result == 0)
        result = bus_pub_send(publish->bus, publish->message.bytes, publish->message.size);
    if (result == 0)
        table_count(publish->table, publish->slot, COUNTER_BELLS_RUNG, 1);
    else
        log_warn("bell.lost", LOG_U64("sequence", bell.sequence), LOG_I64("result", result));
    forget_diffs(publish);
    publish->count = 0;
    return count;
}

void publish_close(struct publish *publish)
{
    if (!publish)
        return;
    forget_diffs(publish);
    bus_pub_close(publish->bus);
    buf_fini(&publish->message);
    free(publish);
}
