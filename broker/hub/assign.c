/* SPDX-License-Identifier: MIT */
/* The policy of assignments. Each slot has three lists: rows that it has (PUT), rows that it is to drop (DROP), and
 * commands. All three are in the order of revisions, one count for the whole hub: whatever changes gets the next
 * revision and goes to the end. So "what has changed since R" is the ends of three lists, merged, and "all up to R is
 * done" is their beginnings.
 *
 *   nobody's ── settle ──▶ PUT at slot s ── removed, disabled, belongs elsewhere ──▶ DROP at s
 *       ▲                        ▲                                                      │ │
 *       │                        └────────────── belongs to s again ────────────────────┘ │
 *       └──────────── acknowledged, or the process of s is gone or another ◀──────────────┘
 *
 * A row is in at most one list. While it is in one, the table's owner word names the slot of that list, whatever
 * happens to the server meanwhile; that keeps a row to one writer. Slots that are out of service are treated as others
 * are: they drop and acknowledge as long as their process lives.
 *
 * Lists are linked through an array by row, so that nothing is allocated when something changes.
 */
#include "broker/hub/assign.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/shard.h"
#include "common/trim.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A process that has not beaten for so long is no writer any more; its supervisor has killed it long since. */
enum { GONE_AFTER_MS = 30000 };
#define NONE UINT32_MAX

enum list_name { LIST_PUT, LIST_DROP, LIST_COUNT };

struct place {
    uint64_t revision;
    uint32_t previous, next; /* in the list, by row */
    int16_t slot;
    bool listed;
    uint8_t list;
};

struct list {
    uint32_t first, last;
};

struct waiting_command {
    uint64_t revision;
    uint32_t row;
    enum assign_type type;
};

struct shard {
    struct list lists[LIST_COUNT];
    struct waiting_command *commands; /* ASSIGN_COMMANDS_MAX of them, made at the first use */
    size_t command_count;
    uint64_t start_count; /* of the process that last asked */
    bool in_service;
};

struct assign {
    struct table *table;
    struct roster *roster;
    void (*on_free)(void *user, uint32_t row);
    void *user;
    uint64_t revision;
    struct place *places; /* by row */
    int *slots;           /* in service */
    size_t slot_count;
    int shard_count;
    struct shard shards[];
};

int assign_create(struct table *table, struct roster *roster, void (*on_free)(void *user, uint32_t row), void *user,
                  struct assign **out)
{
    int count = table_slot_count(table);
    struct assign *assign = calloc(1, sizeof(*assign) + (size_t)count * sizeof(assign->shards[0]));
    if (!assign)
        return -ENOMEM;
    assign->places = calloc(table_capacity(table), sizeof(*assign->places));
    assign->slots = calloc((size_t)count, sizeof(*assign->slots));
    if (!assign->places || !assign->slots) {
        assign_destroy(assign);
        return -ENOMEM;
    }
    assign->table = table;
    assign->roster = roster;
    assign->on_free = on_free;
    assign->user = user;
    assign->revision = 1;
    assign->shard_count = count;
    for (int i = 0; i < count; i++) {
        struct slot slot;
        table_slot_read(table, i, &slot);
        assign->shards[i].start_count = slot.start_count;
        for (size_t list = 0; list < LIST_COUNT; list++)
            assign->shards[i].lists[list] = (struct list){.first = NONE, .last = NONE};
    }
    *out = assign;
    return 0;
}

void assign_destroy(struct assign *assign)
{
    if (!assign)
        return;
    for (int i = 0; i < assign->shard_count; i++)
        free(assign->shards[i].commands);
    free(assign->places);
    free(assign->slots);
    free(assign);
}

void assign_forget(struct assign *assign, uint32_t first, uint32_t end)
{
    for (uint32_t row = first; row < end; row++)
        assert(!assign->places[row].listed);
    trim_clear(&assign->places[first], (end - first) * sizeof(*assign->places));
}

/* --- lists --- */

static struct list *list_of(struct assign *assign, const struct place *place)
{
    return &assign->shards[place->slot].lists[place->list];
}

static void take_out(struct assign *assign, uint32_t row)
{
    struct place *place = &assign->places[row];
    if (!place->listed)
        return;
    struct list *list = list_of(assign, place);
    *(place->previous == NONE ? &list->first : &assign->places[place->previous].next) = place->next;
    *(place->next == NONE ? &list->last : &assign->places[place->next].previous) = place->previous;
    place->listed = false;
}

/* Puts the row at the end of that list, with the next revision, wherever it was. */
static void append(struct assign *assign, uint32_t row, int slot, enum list_name name)
{
    take_out(assign, row);
    struct place *place = &assign->places[row];
    *place =
        (struct place){.revision = ++assign->revision, .slot = (int16_t)slot, .list = (uint8_t)name, .listed = true};
    struct list *list = list_of(assign, place);
    place->previous = list->last;
    place->next = NONE;
    *(list->last == NONE ? &list->first : &assign->places[list->last].next) = row;
    list->last = row;
}

/* --- where a row belongs --- */

/* The slot that should have it, or TABLE_NO_OWNER. */
static int wanted_slot(const struct assign *assign, uint32_t row)
{
    const struct server_def *def = roster_def(assign->roster, row);
    return def && def->enabled ? shard_owner(def->id, assign->slots, assign->slot_count) : TABLE_NO_OWNER;
}

static void give(struct assign *assign, uint32_t row, int slot)
{
    uint32_t incarnation;
    (void)table_row_owner(assign->table, row, &incarnation);
    table_row_set_owner(assign->table, row, slot, incarnation);
    append(assign, row, slot, LIST_PUT);
}

/* Brings the row towards where it belongs. `tell`: its slot must be told even when it stays. */
static void settle(struct assign *assign, uint32_t row, bool tell)
{
    const struct place *place = &assign->places[row];
    int wanted = wanted_slot(assign, row);
    if (!place->listed) {
        if (wanted != TABLE_NO_OWNER)
            give(assign, row, wanted);
    } else if (place->slot == wanted) {
        if (tell || place->list == LIST_DROP)
            append(assign, row, wanted, LIST_PUT);
    } else if (place->list == LIST_PUT) {
        append(assign, row, place->slot, LIST_DROP);
    }
}

/* Nobody writes the row now. */
static void let_go(struct assign *assign, uint32_t row)
{
    uint32_t incarnation;
    take_out(assign, row);
    (void)table_row_owner(assign->table, row, &incarnation);
    table_row_set_owner(assign->table, row, TABLE_NO_OWNER, incarnation);
    settle(assign, row, false);
    if (!assign->places[row].listed)
        assign->on_free(assign->user, row);
}

/* Lets go of what the slot has dropped: up to `revision`. */
static void release_dropped(struct assign *assign, struct shard *shard, uint64_t revision)
{
    const struct list *drops = &shard->lists[LIST_DROP];
    /* A row that comes back to the same slot goes to its PUT list: this ends. */
    while (drops->first != NONE && assign->places[drops->first].revision <= revision)
        let_go(assign, drops->first);
}

bool assign_keep(struct assign *assign, uint32_t row)
{
    uint32_t incarnation;
    int slot = table_row_owner(assign->table, row, &incarnation);
    if (slot < 0 || slot >= assign->shard_count)
        return false;
    append(assign, row, slot, LIST_PUT);
    return true;
}

void assign_put(struct assign *assign, uint32_t row)
{
    settle(assign, row, true);
}

void assign_withdraw(struct assign *assign, uint32_t row)
{
    assert(!roster_def(assign->roster, row));
    if (assign->places[row].listed)
        settle(assign, row, false);
    else
        assign->on_free(assign->user, row);
}

int assign_command(struct assign *assign, uint32_t row, enum assign_type type)
{
    assert(type == ASSIGN_RECONNECT || type == ASSIGN_TOUCH);
    const struct place *place = &assign->places[row];
    if (!place->listed || place->list != LIST_PUT)
        return ASSIGN_UNOWNED;
    struct shard *shard = &assign->shards[place->slot];
    if (!shard->commands)
        shard->commands = calloc(ASSIGN_COMMANDS_MAX, sizeof(*shard->commands));
    if (!shard->commands || shard->command_count == ASSIGN_COMMANDS_MAX)
        return ASSIGN_BUSY;
    shard->commands[shard->command_count++] =
        (struct waiting_command){.revision = ++assign->revision, .row = row, .type = type};
    return 0;
}

void assign_set_slots(struct assign *assign, const int *slots, size_t count)
{
    for (int i = 0; i < assign->shard_count; i++)
        assign->shards[i].in_service = false;
    assign->slot_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (slots[i] < 0 || slots[i] >= assign->shard_count || assign->shards[slots[i]].in_service)
            continue;
        assign->shards[slots[i]].in_service = true;
        assign->slots[assign->slot_count++] = slots[i];
    }
    for (uint32_t row = 0; row < roster_end(assign->roster); row++)
        settle(assign, row, false);
    assign_check_gone(assign);
}

bool assign_is_in_service(const struct assign *assign, int slot)
{
    return slot >= 0 && slot < assign->shard_count && assign->shards[slot].in_service;
}

static bool is_gone(const struct assign *assign, int index)
{
    struct slot slot;
    table_slot_read(assign->table, index, &slot);
    if (slot.pid == 0 || slot.pid > INT32_MAX)
        return true;
    if (kill((pid_t)slot.pid, 0) != 0 && errno == ESRCH)
        return true;
    uint64_t now = clock_wall_ms();
    return now > slot.heartbeat_ms && now - slot.heartbeat_ms > GONE_AFTER_MS;
}

void assign_check_gone(struct assign *assign)
{
    for (int i = 0; i < assign->shard_count; i++) {
        struct shard *shard = &assign->shards[i];
        if (shard->lists[LIST_DROP].first == NONE || !is_gone(assign, i))
            continue;
        log_debug("assign.gone", LOG_I64("slot", i));
        release_dropped(assign, shard, UINT64_MAX);
    }
}

/* --- what a slot says, and is told --- */

static void forget_commands(struct shard *shard, uint64_t revision)
{
    size_t done = 0;
    while (done < shard->command_count && shard->commands[done].revision <= revision)
        done++;
    if (done == 0)
        return;
    shard->command_count -= done;
    memmove(shard->commands, shard->commands + done, shard->command_count * sizeof(*shard->commands));
}

int assign_acknowledge(struct assign *assign, int slot, uint64_t start_count, uint64_t since)
{
    assert(slot >= 0 && slot < assign->shard_count);
    struct shard *shard = &assign->shards[slot];
    struct slot now;
    table_slot_read(assign->table, slot, &now);
    if (start_count < now.start_count)
        return ASSIGN_STALE;
    if (start_count != shard->start_count) { /* another process: what its predecessor had is with nobody */
        shard->start_count = start_count;
        since = 0;
        forget_commands(shard, UINT64_MAX);
        release_dropped(assign, shard, UINT64_MAX);
    }
    forget_commands(shard, since);
    release_dropped(assign, shard, since);
    return 0;
}

/* The first row of a list behind `since`: found from the end, since a worker that asks has most of it. */
static uint32_t first_after(const struct assign *assign, const struct list *list, uint64_t since)
{
    uint32_t found = NONE;
    for (uint32_t row = list->last; row != NONE && assign->places[row].revision > since;
         row = assign->places[row].previous)
        found = row;
    return found;
}

/* A walk over the three lists of a slot at once. */
struct walk {
    const struct assign *assign;
    const struct shard *shard;
    uint32_t rows[LIST_COUNT];
    size_t command;
};

static void walk_begin(struct walk *walk, const struct assign *assign, int slot, uint64_t since)
{
    assert(slot >= 0 && slot < assign->shard_count);
    *walk = (struct walk){.assign = assign, .shard = &assign->shards[slot]};
    for (size_t list = 0; list < LIST_COUNT; list++)
        walk->rows[list] = first_after(assign, &walk->shard->lists[list], since);
    while (walk->command < walk->shard->command_count && walk->shard->commands[walk->command].revision <= since)
        walk->command++;
}

/* The next change in the order of revisions; false when there is none. */
static bool walk_next(struct walk *walk, struct assign_change *out)
{
    static const enum assign_type types[LIST_COUNT] = {[LIST_PUT] = ASSIGN_PUT, [LIST_DROP] = ASSIGN_DROP};
    size_t from = LIST_COUNT;
    *out = (struct assign_change){.revision = UINT64_MAX};
    for (size_t list = 0; list < LIST_COUNT; list++) {
        uint32_t row = walk->rows[list];
        if (row != NONE && walk->assign->places[row].revision < out->revision) {
            *out = (struct assign_change){types[list], row, 0, walk->assign->places[row].revision};
            from = list;
        }
    }
    if (walk->command < walk->shard->command_count) {
        const struct waiting_command *command = &walk->shard->commands[walk->command];
        if (command->revision < out->revision) {
            *out = (struct assign_change){command->type, command->row, 0, command->revision};
            from = LIST_COUNT;
            walk->command++;
        }
    }
    if (out->revision == UINT64_MAX)
        return false;
    if (from < LIST_COUNT)
        walk->rows[from] = walk->assign->places[walk->rows[from]].next;
    (void)table_row_owner(walk->assign->table, out->row, &out->incarnation);
    return true;
}

size_t assign_changes(const struct assign *assign, int slot, uint64_t since, struct assign_change *out, size_t max,
                      uint64_t *upto, bool *more)
{
    struct walk walk;
    struct assign_change beyond;
    size_t count = 0;
    walk_begin(&walk, assign, slot, since);
    while (count < max && walk_next(&walk, &out[count]))
        count++;
    *more = count == max && walk_next(&walk, &beyond);
    *upto = *more ? out[count - 1].revision : assign->revision;
    return count;
}

bool assign_has_changes(const struct assign *assign, int slot, uint64_t since)
{
    struct assign_change change;
    struct walk walk;
    walk_begin(&walk, assign, slot, since);
    return walk_next(&walk, &change);
}
