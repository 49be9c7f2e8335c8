/* SPDX-License-Identifier: MIT */
/* The ears of the hub. nng drops messages when a queue is full, so each worker numbers its bells, and what matters stands
 * in the table anyway: a missing number is answered with a sweep of the dirty rows. Numbers show no loss at the tail;
 * so each slot's last number stands in the table too, and one that was there a second ago and has still not been heard
 * is lost.
 *
 * A bell comes from a process of our own user (the socket is 0600), but it may be late: of a worker that is dead, or
 * about a row that is another server's by now. Late numbers are not counted; items of another incarnation are dropped.
 */
#include "broker/hub/bells.h"

#include "common/bus.h"
#include "common/event.h"
#include "common/log.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { MODE = 0600 };

struct ear {
    uint64_t heard;  /* last sequence; 0: none yet */
    uint64_t before; /* the table's word a second ago */
    uint64_t started_ms;
};

struct bells {
    struct table *table;
    struct bells_handlers handlers;
    void *user;
    struct bus_sub *sub;
    uint64_t dropped; /* by the bus, as last asked */
    int slot_count;
    struct ear ears[];
};

static void tell_gap(struct bells *bells)
{
    table_count(bells->table, TABLE_HUB, COUNTER_BELL_GAPS, 1);
    bells->handlers.on_gap(bells->user);
}

static void on_bell_item(void *user, const struct bell *bell, const struct bell_item *item)
{
    (void)bell;
    struct bells *bells = user;
    uint32_t incarnation;
    if (item->row >= table_capacity(bells->table) || item->type >= EVENT_TYPES)
        return;
    (void)table_row_owner(bells->table, item->row, &incarnation);
    if (incarnation == item->incarnation)
        bells->handlers.on_item(bells->user, item);
}

/* Takes the number of a bell into account. */
static void count_bell(struct bells *bells, const struct bell *bell)
{
    struct ear *ear = &bells->ears[bell->slot];
    bool gap = ear->heard != 0 && bell->sequence > ear->heard + 1;
    if (bell->sequence > ear->heard)
        ear->heard = bell->sequence;
    if (gap)
        tell_gap(bells);
}

static void on_message(void *user, const void *bytes, size_t size)
{
    struct bells *bells = user;
    struct bell bell = {.slot = -1};
    struct slot slot;
    table_count(bells->table, TABLE_HUB, COUNTER_BELLS_HEARD, 1);
    if (bell_read(bytes, size, &bell, on_bell_item, bells) != 0 || bell.slot < 0 || bell.slot >= bells->slot_count) {
        log_warn("bell.malformed", LOG_U64("bytes", size));
        return;
    }
    table_slot_read(bells->table, bell.slot, &slot);
    if (bell.start_count == slot.start_count)
        count_bell(bells, &bell);
}

/* True when a slot has another process than before. */
static bool note_processes(struct bells *bells)
{
    bool any = false;
    for (int i = 0; i < bells->slot_count; i++) {
        struct slot slot;
        table_slot_read(bells->table, i, &slot);
        any |= bells->ears[i].started_ms != slot.started_ms;
        bells->ears[i].started_ms = slot.started_ms;
    }
    return any;
}

int bells_open(uv_loop_t *loop, const char *run_dir, size_t queue, struct table *table,
               const struct bells_handlers *handlers, void *user, struct bells **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    int slots = table_slot_count(table);
    struct bells *bells = calloc(1, sizeof(*bells) + (size_t)slots * sizeof(bells->ears[0]));
    int result = bells ? paths_join(path, sizeof(path), run_dir, PATHS_BELLS) : -ENOMEM;
    if (result == 0) {
        bells->table = table;
        bells->handlers = *handlers;
        bells->user = user;
        bells->slot_count = slots;
        note_processes(bells);
        const struct bus_sub_options options = {
            .path = path, .end = BUS_LISTEN, .mode = MODE, .topic = "", .max = BELL_BYTES_MAX, .queue = queue};
        result = bus_sub_open(loop, &options, on_message, bells, &bells->sub);
    }
    if (result != 0) {
        log_error("bells.open", LOG_TEXT("socket", PATHS_BELLS), LOG_TEXT("error", strerror(-result)));
        free(bells);
        return result;
    }
    *out = bells;
    return 0;
}

void bells_check_tails(struct bells *bells)
{
    bool gap = bus_sub_dropped(bells->sub) != bells->dropped;
    bells->dropped = bus_sub_dropped(bells->sub);
    for (int i = 0; i < bells->slot_count; i++) {
        struct ear *ear = &bells->ears[i];
        struct slot slot;
        if (ear->heard < ear->before) {
            gap = true;
            ear->heard = ear->before;
        }
        table_slot_read(bells->table, i, &slot);
        ear->before = slot.bell_sequence;
    }
    if (gap)
        tell_gap(bells);
    if (note_processes(bells))
        bells->handlers.on_successor(bells->user);
}

void bells_close(struct bells *bells)
{
    if (!bells)
        return;
    bus_sub_close(bells->sub);
    free(bells);
}
