/* SPDX-License-Identifier: MIT */
/* nng drops the oldest message where a subscriber's queue is full, and tells nobody. But it counts what each connection has
 * taken: who is further behind than its queue is long, and one message on its way, has missed the rest.
 *
 * What is dropped and then caught up between two looks is not seen, so a look is due after each part of a queue that was sent;
 * and what was under way when a connection is seen first is not held against it. So the count is a little low, never high.
 *
 * nng lists connections in the order of their coming, which makes one walk enough to find each one again. */
#include "common/bus_drops.h"

#include <stdlib.h>
#include <string.h>

struct bus_reader {
    uint64_t pipe;
    uint64_t settled; /* the least that it was behind, from the first message of all on */
    uint64_t dropped;
};

enum { LOOKS_A_QUEUE = 4, LOOK_MIN = 64 };

static uint64_t value_of(nng_stat *stat, const char *name)
{
    for (nng_stat *each = nng_stat_child(stat); each != NULL; each = nng_stat_next(each)) {
        if (strcmp(nng_stat_name(each), name) == 0)
            return nng_stat_value(each);
    }
    return 0;
}

/* One that was not there before. NULL without memory. */
static struct bus_reader *add(struct bus_drops *drops, uint64_t pipe, uint64_t behind)
{
    if (drops->count == drops->capacity) {
        size_t capacity = drops->capacity == 0 ? 8 : 2 * drops->capacity;
        struct bus_reader *readers = realloc(drops->readers, capacity * sizeof(*readers));
        if (readers == NULL)
            return NULL;
        drops->readers = readers;
        drops->capacity = capacity;
    }
    struct bus_reader *reader = &drops->readers[drops->count++];
    *reader = (struct bus_reader){.pipe = pipe, .settled = behind};
    return reader;
}

static void judge(struct bus_drops *drops, struct bus_reader *reader, uint64_t behind)
{
    if (behind < reader->settled)
        reader->settled = behind;
    uint64_t most = reader->settled + drops->queue + 1 + reader->dropped;
    if (behind > most) {
        drops->dropped += behind - most;
        reader->dropped += behind - most;
    }
}

static void forget(struct bus_drops *drops, size_t from, size_t to)
{
    if (drops->count > to)
        memmove(drops->readers + from, drops->readers + to, (drops->count - to) * sizeof(*drops->readers));
    drops->count -= to - from;
}

void bus_drops_look(struct bus_drops *drops, nng_socket socket)
{
    nng_stat *root = NULL;
    size_t at = 0;
    drops->looked_at = drops->sent;
    if (nng_stats_get(&root) != 0)
        return;
    for (nng_stat *each = nng_stat_child(root); each != NULL; each = nng_stat_next(each)) {
        if (strcmp(nng_stat_name(each), "pipe") != 0 || value_of(each, "socket") != socket.id)
            continue;
        uint64_t pipe = nng_stat_value(each), behind = drops->sent - value_of(each, "tx_msgs");
        size_t found = at;
        while (found < drops->count && drops->readers[found].pipe != pipe)
            found++;
        forget(drops, at, found);
        if (at == drops->count && add(drops, pipe, behind) == NULL)
            break;
        judge(drops, &drops->readers[at++], behind);
    }
    forget(drops, at, drops->count);
    nng_stats_free(root);
}

void bus_drops_sent(struct bus_drops *drops, nng_socket socket)
{
    uint64_t due = drops->queue / LOOKS_A_QUEUE;
    drops->sent++;
    if (drops->count > 0 && drops->sent - drops->looked_at >= (due > LOOK_MIN ? due : LOOK_MIN))
        bus_drops_look(drops, socket);
}

void bus_drops_fini(struct bus_drops *drops)
{
    free(drops->readers);
    *drops = (struct bus_drops){0};
}
