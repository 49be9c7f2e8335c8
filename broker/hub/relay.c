/* SPDX-License-Identifier: MIT */
/* The relay: generations to sinks.
 *
 *   bell ─────────────┐                                        ┌─▶ fan_out, once a generation
 *   sweep of dirty ───┼─▶ look(row, kind): generation > told? ─┤
 *   sweep of all ─────┘                  generation > published?└─▶ publish ··· answered ─▶ published = generation, look
 *
 * For each row and kind at most one publish is under way, so that a server's events keep their order and a burst
 * becomes one event of its last generation. What can't be sent now (no Redis, window full, row being written) is simply
 * left: it is owed as long as generation > published, and the next occasion finds it. So memory does not grow with an
 * outage; the window bounds what waits for answers.
 *
 * Local subscribers do not wait for Redis: a generation goes to them when it is first seen. That much is remembered here
 * (told), by row, and forgotten with the process: after a restart of the hub they may get an owed event twice.
 *
 * Sweeps run in slices from an idle handle, and pause while the window is full.
 */
#include "broker/hub/relay.h"

#include "broker/hub/echo.h"
#include "broker/hub/metrics.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/trim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_ROWS = 64, SLICE_WORDS = 64, DIRTY_EVERY_S = 10, ALL_EVERY_S = 60, LOCAL_MAX = EVENT_BYTES_MAX + 4096 };
/* A sweep takes a word of rows only when all their events would fit the window. */
enum { WORD_EVENTS = WORD_ROWS * KIND_COUNT };

/* What is known of a row beyond the table. Of another incarnation: stale, as if zero. */
struct progress {
    uint64_t told[KIND_COUNT]; /* last generation that local subscribers were told of */
    uint32_t incarnation;
    uint32_t taken_tick; /* when Redis last took an event of it */
    uint8_t under_way;   /* bit a kind */
    uint8_t taken;       /* likewise: Redis has taken an event of it */
    bool begun;
};

/* A publish without an answer yet. */
struct ticket {
    uint64_t generation;
    size_t size;
    uint64_t changed_ms; /* when the change was noticed */
    uint32_t row, incarnation;
    uint8_t type, reason;
    bool used;
};

struct relay {
    struct relay_options options;
    struct echo *echo;
    struct progress *rows;
    struct ticket *tickets;
    uint32_t *free_tickets; /* a stack */
    size_t free_count;
    size_t bytes_under_way;
    struct buf json, local;
    uint64_t local_count; /* told to local subscribers: the number of the last event */
    uv_idle_t *slices;    /* freed by its close callback */
    bool sweeping;
    bool sweeping_all;
    uint32_t next_word;
    bool wanted_dirty, wanted_all; /* sweeps to come after the present one */
    bool retry;                    /* a row was busy: look again soon */
    unsigned refused_s;            /* seconds until what was refused is tried again; 0: nothing was */
    unsigned pause_s;              /* what `refused_s` began with, until something is taken again */
    uint32_t ticks;
};

int relay_open(uv_loop_t *loop, const struct relay_options *options, struct relay **out)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (!relay)
        return -ENOMEM;
    relay->options = *options;
    buf_init(&relay->json, EVENT_BYTES_MAX);
    buf_init(&relay->local, LOCAL_MAX);
    relay->rows = calloc(table_capacity(options->table), sizeof(*relay->rows));
    relay->tickets = calloc(RELAY_WINDOW, sizeof(*relay->tickets));
    relay->free_tickets = calloc(RELAY_WINDOW, sizeof(*relay->free_tickets));
    relay->slices = calloc(1, sizeof(*relay->slices));
    if (!relay->rows || !relay->tickets || !relay->free_tickets || !relay->slices ||
        echo_create(ECHO_CAPACITY, &relay->echo) != 0) {
        free(relay->slices);
        relay->slices = NULL;
        relay_close(relay);
        return -ENOMEM;
    }
    while (relay->free_count < RELAY_WINDOW) {
        relay->free_tickets[relay->free_count] = (uint32_t)(RELAY_WINDOW - 1 - relay->free_count);
        relay->free_count++;
    }
    uv_idle_init(loop, relay->slices);
    relay->slices->data = relay;
    *out = relay;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void relay_close(struct relay *relay)
{
    if (!relay)
        return;
    if (relay->slices)
        uv_close((uv_handle_t *)relay->slices, on_closed);
    echo_destroy(relay->echo);
    buf_fini(&relay->json);
    buf_fini(&relay->local);
    free(relay->free_tickets);
    free(relay->tickets);
    free(relay->rows);
    free(relay);
}

void relay_forget(struct relay *relay, uint32_t first, uint32_t end)
{
    trim_clear(&relay->rows[first], (end - first) * sizeof(*relay->rows));
}

static void count(const struct relay *relay, enum counter counter)
{
    table_count(relay->options.table, TABLE_HUB, counter, 1);
}

/* An event that everybody was told of, for the metrics. */
static void count_told(const struct relay *relay, unsigned reason, uint64_t changed_ms)
{
    uint64_t now_ms = clock_wall_ms();
    metrics_count_published(relay->options.table, reason, now_ms > changed_ms ? now_ms - changed_ms : 0);
}

/* --- one event --- */

static bool has_room(const struct relay *relay, size_t events)
{
    return relay->free_count >= events && relay->bytes_under_way < RELAY_WINDOW_BYTES;
}

/* What is known of the row, forgotten first when it is another server's. */
static struct progress *progress_of(struct relay *relay, uint32_t row)
{
    struct progress *progress = &relay->rows[row];
    uint32_t incarnation;
    (void)table_row_owner(relay->options.table, row, &incarnation);
    if (!progress->begun || progress->incarnation != incarnation) {
        *progress = (struct progress){.incarnation = incarnation, .begun = true};
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            progress->told[kind] = table_published(relay->options.table, row, kind);
    }
    return progress;
}

/* The event of the row's list as the table has it now. 0 or TABLE_BUSY. */
static int describe(const struct relay *relay, uint32_t row, enum kind kind, struct event *out)
{
    const struct server_def *def = roster_def(relay->options.roster, row);
    struct row_list list;
    uint64_t generation;
    int result = table_list_read(relay->options.table, row, kind, &list, &generation);
    if (result != 0)
        return result;
    *out = (struct event){
        .type = kind,
        .server_id = def->id,
        .server_name = server_def_name(def),
        .workspace_id = server_def_workspace_id(def),
        .timestamp_ms = list.changed_ms,
        .reason = list.reason,
        .generation = generation,
        .list_known = list.current,
        .fingerprint = list.fingerprint,
        .count = list.count,
    };
    return 0;
}

/* The next event to local subscribers: what is in relay->local, or nothing when nobody hears it. */
static void tell_locally(struct relay *relay)
{
    const struct relay_sinks *sinks = &relay->options.sinks;
    relay->local_count++;
    sinks->fan_out(sinks->user, relay->local_count, relay->local.size > 0 ? relay->local.bytes : NULL,
                   relay->local.size);
}

/* Makes relay->local empty. False when it may stay so. */
static bool begin_local(struct relay *relay)
{
    buf_clear(&relay->local);
    return relay->options.sinks.is_heard(relay->options.sinks.user);
}

static void fan_out(struct relay *relay, const struct event *event)
{
    struct event plain = *event;
    int result = begin_local(relay) ? event_write_local(&relay->local, event, relay->local_count + 1) : 0;
    if (result == BUF_FULL && event->diff) {
        plain.diff = NULL;
        buf_clear(&relay->local);
        result = event_write_local(&relay->local, &plain, relay->local_count + 1);
    }
    if (result == 0)
        tell_locally(relay);
    else
        log_error("event.local", LOG_TEXT("server", event->server_id), LOG_I64("outcome", result));
}

/* The event's JSON into relay->json, without the diff where that is too large. */
static int write_json(struct relay *relay, const struct event *event, uint32_t row)
{
    const struct buf *identity = roster_identity(relay->options.roster, row);
    struct event plain = *event;
    buf_clear(&relay->json);
    int result = event_write_json(&relay->json, event, identity);
    if (result == BUF_FULL && event->diff) {
        plain.diff = NULL;
        buf_clear(&relay->json);
        result = event_write_json(&relay->json, &plain, identity);
    }
    if (result != 0)
        log_error("event.json", LOG_TEXT("server", event->server_id), LOG_I64("outcome", result));
    return result;
}

/* Hands the event to Redis. False when it was not taken. */
static bool publish(struct relay *relay, const struct event *event, uint32_t row)
{
    const struct relay_sinks *sinks = &relay->options.sinks;
    assert(relay->free_count > 0);
    uint32_t number = relay->free_tickets[relay->free_count - 1];
    if (write_json(relay, event, row) != 0)
        return false;
    const struct relay_message message = {
        .type = event->type,
        .payload = relay->json.bytes,
        .size = relay->json.size,
        .server_id = event->server_id,
        .number = event->type == EVENT_STATUS ? event->timestamp_ms : event->generation,
    };
    if (sinks->publish(sinks->user, &message, number) != 0)
        return false;
    echo_remember(relay->echo, event->type, relay->json.bytes, relay->json.size);
    relay->free_count--;
    relay->bytes_under_way += relay->json.size;
    relay->tickets[number] = (struct ticket){
        .generation = event->generation,
        .size = relay->json.size,
        .row = row,
        .incarnation = relay->rows[row].incarnation,
        .changed_ms = event->timestamp_ms,
        .type = (uint8_t)event->type,
        .reason = (uint8_t)event->reason,
        .used = true,
    };
    return true;
}

/* Where an event that the row's list of `kind` owes can go now. */
struct owed {
    bool local, redis;
};

static struct owed owed_now(struct relay *relay, uint32_t row, enum kind kind)
{
    const struct progress *progress = progress_of(relay, row);
    uint64_t generation = table_generation(relay->options.table, row, kind);
    bool free_to_publish = relay->options.sinks.publish && !(progress->under_way & (1U << kind));
    if (free_to_publish && !has_room(relay, 1)) { /* taken up again when there is room */
        table_mark_dirty(relay->options.table, row);
        relay->wanted_dirty = true;
        free_to_publish = false;
    }
    return (struct owed){.local = generation > progress->told[kind], .redis = free_to_publish};
}

/* Sends what the row's list of `kind` owes, as far as that is possible now. */
static void look(struct relay *relay, uint32_t row, enum kind kind, const json_t *diff, bool by_sweep)
{
    struct table *table = relay->options.table;
    uint64_t published = table_published(table, row, kind);
    if (table_generation(table, row, kind) <= published || !roster_def(relay->options.roster, row))
        return;
    struct owed owed = owed_now(relay, row, kind);
    struct progress *progress = &relay->rows[row];
    struct event event;
    if (!owed.local && !owed.redis)
        return;
    if (describe(relay, row, kind, &event) != 0) {
        table_mark_dirty(table, row);
        relay->retry = true;
        return;
    }
    if (owed.local) {
        /* A diff is against the list before: it means something only to who was told of that one. */
        event.diff = event.generation == progress->told[kind] + 1 ? diff : NULL;
        fan_out(relay, &event);
        progress->told[kind] = event.generation;
        if (by_sweep)
            count(relay, COUNTER_SWEPT);
    }
    if (!relay->options.sinks.publish) {
        table_set_published(table, row, kind, event.generation);
        count(relay, COUNTER_PUBLISHED);
        count_told(relay, event.reason, event.timestamp_ms);
    } else if (owed.redis) {
        event.diff = event.generation == published + 1 ? diff : NULL;
        if (publish(relay, &event, row))
            progress->under_way |= (uint8_t)(1U << kind);
    }
}

void relay_ring(struct relay *relay, uint32_t row, enum kind kind, const json_t *diff)
{
    look(relay, row, kind, diff, false);
}

void relay_ring_status(struct relay *relay, uint32_t row)
{
    const struct server_def *def = roster_def(relay->options.roster, row);
    struct row state;
    if (!def || table_row_read(relay->options.table, row, &state) != 0)
        return;
    const struct event event = {
        .type = EVENT_STATUS,
        .server_id = def->id,
        .server_name = server_def_name(def),
        .workspace_id = server_def_workspace_id(def),
        .timestamp_ms = state.state_since_ms,
        .state = state.state,
        .last_error = state.last_error,
    };
    fan_out(relay, &event);
    (void)progress_of(relay, row);
    if (relay->options.status_events && relay->options.sinks.publish && has_room(relay, RELAY_WINDOW / 2))
        (void)publish(relay, &event, row);
}

/* --- answers --- */

static void start_slices(struct relay *relay);

/* Refused events are not tried again all the time: whatever is wrong with Redis, they would not mend it. */
static void mind_refusal(struct relay *relay, enum relay_answer answer)
{
    if (answer == RELAY_DONE)
        relay->pause_s = 0;
    if (answer != RELAY_REFUSED || relay->refused_s > 0)
        return;
    relay->pause_s = relay->pause_s == 0 ? 1 : 2 * relay->pause_s;
    if (relay->pause_s > DIRTY_EVERY_S)
        relay->pause_s = DIRTY_EVERY_S;
    relay->refused_s = relay->pause_s;
}

/* Accounts for the answer in the row, unless that is another server's by now. */
static void settle(struct relay *relay, const struct ticket *ticket, enum relay_answer answer)
{
    struct table *table = relay->options.table;
    struct progress *progress = progress_of(relay, ticket->row);
    if (progress->incarnation != ticket->incarnation)
        return;
    progress->under_way &= (uint8_t) ~(1U << ticket->type);
    if (answer == RELAY_DONE) {
        if (ticket->generation > table_published(table, ticket->row, ticket->type))
            table_set_published(table, ticket->row, ticket->type, ticket->generation);
        progress->taken_tick = relay->ticks;
        progress->taken |= (uint8_t)(1U << ticket->type);
        look(relay, ticket->row, ticket->type, NULL, false);
    } else {
        table_mark_dirty(table, ticket->row);
    }
}

void relay_answered(struct relay *relay, uint32_t number, enum relay_answer answer)
{
    assert(number < RELAY_WINDOW && relay->tickets[number].used);
    const struct ticket ticket = relay->tickets[number];
    relay->tickets[number].used = false;
    relay->free_tickets[relay->free_count++] = number;
    relay->bytes_under_way -= ticket.size;
    count(relay, answer == RELAY_DONE ? COUNTER_PUBLISHED : COUNTER_PUBLISH_FAILURES);
    mind_refusal(relay, answer);
    if (ticket.type < KIND_COUNT && answer == RELAY_DONE)
        count_told(relay, ticket.reason, ticket.changed_ms);
    if (ticket.type < KIND_COUNT)
        settle(relay, &ticket, answer);
    if (has_room(relay, RELAY_WINDOW / 2))
        start_slices(relay);
}

void relay_foreign(struct relay *relay, unsigned type, const void *payload, size_t size)
{
    if (echo_take(relay->echo, type, payload, size))
        return;
    buf_clear(&relay->local);
    if (event_json_to_local(&relay->local, type, payload, size, relay->local_count + 1) != 0) {
        count(relay, COUNTER_FOREIGN_REJECTED);
        return;
    }
    count(relay, COUNTER_RELAYED);
    tell_locally(relay);
}

/* --- sweeps --- */

static void sweep_word(struct relay *relay, uint32_t word)
{
    uint64_t dirty = table_take_dirty(relay->options.table, word);
    uint64_t rows = relay->sweeping_all ? UINT64_MAX : dirty;
    for (; rows; rows &= rows - 1) {
        uint32_t row = word * WORD_ROWS + (uint32_t)__builtin_ctzll(rows);
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            look(relay, row, kind, NULL, true);
    }
}

/* Begins the next sweep that is wanted. False: none is. */
static bool begin_sweep(struct relay *relay)
{
    if (!relay->wanted_all && !relay->wanted_dirty)
        return false;
    relay->sweeping = true;
    relay->sweeping_all = relay->wanted_all;
    relay->wanted_all = relay->wanted_dirty = false;
    relay->next_word = 0;
    count(relay, COUNTER_SWEEPS);
    return true;
}

static void on_slice(uv_idle_t *handle)
{
    struct relay *relay = handle->data;
    if (!has_room(relay, WORD_EVENTS) || (!relay->sweeping && !begin_sweep(relay))) {
        uv_idle_stop(handle);
        return;
    }
    uint32_t end = (roster_end(relay->options.roster) + WORD_ROWS - 1) / WORD_ROWS;
    for (unsigned i = 0; i < SLICE_WORDS && relay->next_word < end; i++) {
        if (!has_room(relay, WORD_EVENTS))
            return;
        sweep_word(relay, relay->next_word++);
    }
    relay->sweeping = relay->next_word < end;
}

static void start_slices(struct relay *relay)
{
    if (relay->sweeping || relay->wanted_all || relay->wanted_dirty)
        uv_idle_start(relay->slices, on_slice);
}

void relay_sweep(struct relay *relay, enum relay_sweep which)
{
    if (which == RELAY_SWEEP_ALL)
        relay->wanted_all = true;
    else
        relay->wanted_dirty = true;
    start_slices(relay);
}

void relay_tick(struct relay *relay)
{
    relay->ticks++;
    bool try_refused = relay->refused_s > 0 && --relay->refused_s == 0;
    if (relay->ticks % ALL_EVERY_S == 0)
        relay_sweep(relay, RELAY_SWEEP_ALL);
    else if (relay->ticks % DIRTY_EVERY_S == 0 || relay->retry || try_refused)
        relay_sweep(relay, RELAY_SWEEP_DIRTY);
    relay->retry = false;
}

void relay_redo(struct relay *relay)
{
    for (uint32_t row = 0; row < roster_end(relay->options.roster); row++) {
        struct progress *progress = progress_of(relay, row);
        if (relay->ticks - progress->taken_tick > RELAY_REDO_S)
            continue;
        for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
            uint64_t published = table_published(relay->options.table, row, kind);
            if (published > 0 && (progress->taken & (1U << kind)))
                table_set_published(relay->options.table, row, kind, published - 1);
        }
    }
}

bool relay_is_settled(const struct relay *relay)
{
    return !relay->sweeping && !relay->wanted_all && !relay->wanted_dirty && relay->free_count == RELAY_WINDOW;
}

void relay_set_status_events(struct relay *relay, bool on)
{
    relay->options.status_events = on;
}
