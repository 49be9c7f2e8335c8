/* SPDX-License-Identifier: MIT */
/* A row has one writer: the worker that owns it, and the hub while nobody does. This is the hub's part of it: the
 * first content of a row, the waiting between two workers, the end.
 *
 * A row begins with the generation, the published generation and the fingerprint that the registry has: so an event
 * that was owed when the machine went down is still owed, and a list that changed while everything was down is found
 * different at the first connect. Where that knowledge is in doubt (history.h) the lists are unknown, which counts as
 * changed.
 *
 * A row that its last owner left half-written is made whole with what the hub knows; its lists are then unknown, too.
 * Unknown is a time of change without a fingerprint; a row with neither was never seen.
 *
 * Rows that are given up go back to the system, whole pages of them, since a table is as large as it ever was otherwise.
 */
#include "broker/hub/rows.h"

#include "common/clock.h"
#include "common/log.h"

#include <string.h>

static void write_row(struct table *table, uint32_t row, const struct row *value)
{
    if (table_row_is_torn(table, row))
        table_row_repair(table, row, value);
    else
        table_row_write(table, row, value);
}

static void describe(struct row *value, const struct server_def *def)
{
    uint64_t now = clock_wall_ms();
    uint8_t state = def->enabled ? STATE_QUEUED : STATE_DISABLED;
    table_text(value->server_id, sizeof(value->server_id), def->id);
    table_text(value->server_name, sizeof(value->server_name), server_def_name(def));
    table_text(value->workspace_id, sizeof(value->workspace_id), server_def_workspace_id(def));
    table_text(value->user_id, sizeof(value->user_id), server_def_user_id(def));
    table_text(value->last_error, sizeof(value->last_error), "");
    if (value->state != state)
        value->state_since_ms = now;
    value->state = state;
    value->transport = (uint8_t)def->transport;
    value->source = (uint8_t)def->source;
    value->events = def->events;
    value->connected_since_ms = 0;
    value->next_attempt_ms = 0;
    value->attempts = 0;
    if (value->last_activity_ms == 0)
        value->last_activity_ms = now;
}

/* The list as the registry has it; `seen_ms` is 0 when it has nothing. */
static void set_list(struct row_list *list, const struct registry_level *level, bool doubtful)
{
    list->count = level->count;
    list->changed_ms = level->seen_ms;
    list->reason = REASON_RECONNECT;
    list->current = level->known && !doubtful;
    if (list->current)
        list->fingerprint = level->fingerprint;
    if (doubtful && list->changed_ms == 0)
        list->changed_ms = clock_wall_ms();
}

static void set_generations(struct table *table, uint32_t row, enum kind kind, const struct registry_level *level,
                            bool doubtful)
{
    bool is_owed = level->generation > level->published;
    uint64_t generation = level->generation + (doubtful ? HISTORY_GAP : 0);
    table_set_generation(table, row, kind, generation);
    table_set_published(table, row, kind, is_owed ? generation - 1 : generation);
    if (is_owed)
        table_mark_dirty(table, row);
}

static int load_lists(struct table *table, const struct history *history, uint32_t row, const struct server_def *def,
                      struct row *value)
{
    struct registry_memory memory;
    int result = registry_load_memory(history->registry, def->id, &memory);
    if (result < 0)
        return result;
    value->era = (uint8_t)memory.era;
    table_text(value->protocol_version, sizeof(value->protocol_version), memory.protocol_version);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        struct registry_level level;
        result = registry_load_level(history->registry, def->id, kind, &level);
        if (result < 0)
            return result;
        if (result == REGISTRY_NONE)
            level.generation = level.published = history->floor;
        set_list(&value->lists[kind], &level, history->doubtful);
        set_generations(table, row, kind, &level, history->doubtful);
    }
    return 0;
}

int rows_begin(struct table *table, const struct history *history, uint32_t row, const struct server_def *def)
{
    struct row value = {0};
    uint32_t incarnation;
    int result = table_row_reserve(table, row);
    if (result != 0) {
        log_error("row.reserve", LOG_TEXT("server", def->id), LOG_TEXT("error", strerror(-result)));
        return result;
    }
    result = load_lists(table, history, row, def, &value);
    if (result != 0)
        return result;
    (void)table_row_owner(table, row, &incarnation);
    table_row_set_owner(table, row, TABLE_NO_OWNER, incarnation + 1);
    describe(&value, def);
    write_row(table, row, &value);
    return 0;
}

void rows_rest(struct table *table, uint32_t row, const struct server_def *def)
{
    struct row value = {0};
    if (table_row_is_torn(table, row) || table_row_read(table, row, &value) != 0) {
        value = (struct row){0};
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            value.lists[kind].changed_ms = clock_wall_ms();
    }
    describe(&value, def);
    write_row(table, row, &value);
}

void rows_clear(struct table *table, struct history *history, uint32_t row, struct rows_freed *freed)
{
    const struct row empty = {0};
    write_row(table, row, &empty);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        history_forget(history, table_generation(table, row, kind));
        table_set_generation(table, row, kind, 0);
        table_set_published(table, row, kind, 0);
    }
    table_row_retire(table, row);
    struct rows_span *span = &freed->lately;
    if (span->end == 0 || row < span->first)
        span->first = row;
    if (row >= span->end)
        span->end = row + 1;
}

struct rows_span rows_give_back(struct table *table, struct rows_freed *freed)
{
    struct rows_span span = freed->before;
    if (span.end > 0)
        table_rows_give_back(table, span.first, span.end);
    freed->before = freed->lately;
    freed->lately = (struct rows_span){0};
    return span;
}
