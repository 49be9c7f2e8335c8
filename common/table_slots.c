/* SPDX-License-Identifier: MIT */
/* The slots of the shared-memory table: what the hub and each worker tell of themselves. The supervisor looks at the
 * heartbeat, the hub at bells, people at the counters.
 *
 * Each slot has one process that writes it. Its words are atomics of their own, with no sequence around them: a counter
 * has no business with its neighbour. Nothing is reset when a process is replaced, but what only a living one has. */
#include "common/clock.h"
#include "common/table_map.h"

#include <assert.h>
#include <unistd.h>

static const char *const counter_names[COUNTER_COUNT] = {
#define COUNTER(symbol, name, help) [COUNTER_##symbol] = name,
#include "common/counters.def"
};

static const char *const counter_helps[COUNTER_COUNT] = {
#define COUNTER(symbol, name, help) [COUNTER_##symbol] = help,
#include "common/counters.def"
};

static struct layout_slot *slot_at(const struct table *table, int slot)
{
    assert(slot >= TABLE_HUB && slot < TABLE_SLOTS);
    return slot == TABLE_HUB ? table->hub : &table->slots[slot];
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

const char *counter_name(unsigned counter)
{
    return counter < COUNTER_COUNT ? counter_names[counter] : "unknown";
}

const char *counter_help(unsigned counter)
{
    return counter < COUNTER_COUNT ? counter_helps[counter] : "";
}

int table_slot_count(const struct table *table)
{
    (void)table;
    return TABLE_SLOTS;
}

void table_slot_read(const struct table *table, int slot, struct slot *out)
{
    const struct layout_slot *from = slot_at(table, slot);
    *out = (struct slot){
        .pid = get(&from->pid),
        .start_count = get(&from->start_count),
        .started_ms = get(&from->started_ms),
        .heartbeat_ms = get(&from->heartbeat_ms),
        .bell_sequence = get(&from->bell_sequence),
        .loop_lag_us = get(&from->loop_lag_us),
        .connections = get(&from->connections),
    };
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        out->counters[i] = get(&from->counters[i]);
    }
}

void table_slot_begin(struct table *table, int slot, uint64_t start_count)
{
    struct layout_slot *to = slot_at(table, slot);
    uint64_t now = clock_wall_ms();
    set(&to->loop_lag_us, 0);
    set(&to->connections, 0);
    set(&to->heartbeat_ms, now);
    set(&to->started_ms, now);
    set(&to->start_count, start_count);
    set(&to->pid, (uint64_t)getpid());
}

void table_slot_end(struct table *table, int slot)
{
    struct layout_slot *to = slot_at(table, slot);
    set(&to->connections, 0);
    set(&to->pid, 0);
}

void table_slot_beat(struct table *table, int slot, uint64_t loop_lag_us, uint64_t connections)
{
    struct layout_slot *to = slot_at(table, slot);
    set(&to->loop_lag_us, loop_lag_us);
    set(&to->connections, connections);
    set(&to->heartbeat_ms, clock_wall_ms());
}

void table_count(struct table *table, int slot, enum counter counter, uint64_t amount)
{
    assert(counter < COUNTER_COUNT);
    atomic_fetch_add_explicit(&slot_at(table, slot)->counters[counter], amount, memory_order_relaxed);
}

uint64_t table_next_bell(struct table *table, int slot)
{
    return atomic_fetch_add_explicit(&slot_at(table, slot)->bell_sequence, 1, memory_order_acq_rel) + 1;
}
