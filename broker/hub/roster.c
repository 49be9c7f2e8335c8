/* SPDX-License-Identifier: MIT */
/* Which server stands in which row. Everything else in the hub speaks of rows: a small number that the table, the
 * bells and the assignments share, so that a change is found without looking at an id.
 *
 * Ids are found through an open-addressed table of row numbers (linear probing, at most half full, deletion by moving
 * the followers back); the entries themselves are an array by row. All of it has its size from the start and nothing is
 * ever moved, but untouched memory costs nothing: a table for 131,072 servers that knows ten takes some pages.
 *
 * What is deliberately not here: who watches a server (assign), what is owed for it (relay), what is stored (registry).
 */
#include "broker/hub/roster.h"

#include "common/event.h"
#include "common/trim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { IDENTITY_MAX = 256 * 1024 };

struct entry {
    struct server_def *def;
    char *held_id;        /* while there is no definition; NULL then means that the row is kept for nobody */
    struct buf *identity; /* NULL until the first event */
    bool in_use;
};

struct roster {
    uint32_t capacity;
    uint32_t count;
    uint32_t end;
    uint32_t free_count;
    uint32_t mask;
    uint32_t *by_id; /* row + 1, or 0 */
    uint32_t *free;  /* rows below `end` that were released; a stack */
    struct entry *entries;
};

static const char *entry_id(const struct entry *entry)
{
    return entry->def ? entry->def->id : entry->held_id;
}

static uint32_t home(const struct roster *roster, const char *id)
{
    return (uint32_t)XXH3_64bits(id, strlen(id)) & roster->mask;
}

/* The place of `id`, or the empty one where it would go. */
static uint32_t place_of(const struct roster *roster, const char *id)
{
    uint32_t place = home(roster, id);
    while (roster->by_id[place] && strcmp(entry_id(&roster->entries[roster->by_id[place] - 1]), id) != 0)
        place = (place + 1) & roster->mask;
    return place;
}

static void index_remove(struct roster *roster, const char *id)
{
    uint32_t hole = place_of(roster, id);
    assert(roster->by_id[hole]);
    for (uint32_t place = (hole + 1) & roster->mask; roster->by_id[place]; place = (place + 1) & roster->mask) {
        uint32_t wanted = home(roster, entry_id(&roster->entries[roster->by_id[place] - 1]));
        /* It may move back into the hole unless its home lies behind the hole. */
        if (((place - wanted) & roster->mask) >= ((place - hole) & roster->mask)) {
            roster->by_id[hole] = roster->by_id[place];
            hole = place;
        }
    }
    roster->by_id[hole] = 0;
}

int roster_create(uint32_t capacity, struct roster **out)
{
    assert(capacity > 0 && capacity <= UINT32_MAX / 4);
    uint32_t places = 2;
    while (places < 2 * capacity)
        places *= 2;
    struct roster *roster = calloc(1, sizeof(*roster));
    if (!roster)
        return -ENOMEM;
    roster->capacity = capacity;
    roster->mask = places - 1;
    roster->by_id = calloc(places, sizeof(*roster->by_id));
    roster->free = calloc(capacity, sizeof(*roster->free));
    roster->entries = calloc(capacity, sizeof(*roster->entries));
    if (!roster->by_id || !roster->free || !roster->entries) {
        roster_destroy(roster);
        return -ENOMEM;
    }
    *out = roster;
    return 0;
}

static void entry_clear(struct entry *entry)
{
    server_def_destroy(entry->def);
    entry->def = NULL;
    free(entry->held_id);
    entry->held_id = NULL;
    if (entry->identity)
        buf_fini(entry->identity);
    free(entry->identity);
    entry->identity = NULL;
}

void roster_destroy(struct roster *roster)
{
    if (!roster)
        return;
    for (uint32_t row = 0; row < roster->end; row++)
        entry_clear(&roster->entries[row]);
    free(roster->entries);
    free(roster->free);
    free(roster->by_id);
    free(roster);
}

uint32_t roster_count(const struct roster *roster)
{
    return roster->count;
}

uint32_t roster_end(const struct roster *roster)
{
    return roster->end;
}

/* Puts `row`, which lies at or past the end, into use; rows that are passed over become free. */
static void extend_to(struct roster *roster, uint32_t row)
{
    while (roster->end < row)
        roster->free[roster->free_count++] = roster->end++;
    roster->end = row + 1;
}

int roster_hold(struct roster *roster, uint32_t row, const char *id)
{
    assert(row < roster->capacity);
    if (row < roster->end) /* rows are held in rising order, before any is added */
        return ROSTER_KNOWN;
    uint32_t place = id ? place_of(roster, id) : 0;
    if (id && roster->by_id[place])
        return ROSTER_KNOWN;
    struct entry *entry = &roster->entries[row];
    if (id) {
        entry->held_id = strdup(id);
        if (!entry->held_id)
            return -ENOMEM;
        roster->by_id[place] = row + 1;
    }
    entry->in_use = true;
    extend_to(roster, row);
    return 0;
}

int roster_add(struct roster *roster, struct server_def *def, uint32_t *row)
{
    uint32_t place = place_of(roster, def->id);
    if (roster->by_id[place]) { /* known, or held for it */
        struct entry *held = &roster->entries[roster->by_id[place] - 1];
        if (held->def)
            return ROSTER_KNOWN;
        free(held->held_id);
        held->held_id = NULL;
        held->def = def;
        roster->count++;
        *row = roster->by_id[place] - 1;
        return 0;
    }
    uint32_t chosen;
    if (roster->free_count > 0)
        chosen = roster->free[--roster->free_count];
    else if (roster->end < roster->capacity)
        chosen = roster->end++;
    else
        return ROSTER_FULL;
    roster->entries[chosen] = (struct entry){.def = def, .in_use = true};
    roster->by_id[place] = chosen + 1;
    roster->count++;
    *row = chosen;
    return 0;
}

void roster_replace(struct roster *roster, uint32_t row, struct server_def *def)
{
    struct entry *entry = &roster->entries[row];
    assert(row < roster->end && entry->def && strcmp(entry->def->id, def->id) == 0);
    entry_clear(entry);
    entry->def = def;
}

struct server_def *roster_take(struct roster *roster, uint32_t row)
{
    struct entry *entry = &roster->entries[row];
    assert(row < roster->end && entry->def);
    struct server_def *def = entry->def;
    index_remove(roster, def->id);
    entry->def = NULL;
    entry_clear(entry);
    roster->count--;
    return def;
}

void roster_remove(struct roster *roster, uint32_t row)
{
    server_def_destroy(roster_take(roster, row));
}

/* Nobody has a row: what was used by the most that there were is the system's again. */
static void begin_anew(struct roster *roster)
{
    trim_clear(roster->by_id, ((size_t)roster->mask + 1) * sizeof(*roster->by_id));
    trim_clear(roster->free, roster->free_count * sizeof(*roster->free));
    roster->end = roster->free_count = 0;
}

void roster_release(struct roster *roster, uint32_t row)
{
    struct entry *entry = &roster->entries[row];
    assert(roster_is_held(roster, row));
    if (entry->held_id)
        index_remove(roster, entry->held_id);
    entry_clear(entry);
    entry->in_use = false;
    roster->free[roster->free_count++] = row;
    if (roster->free_count == roster->end)
        begin_anew(roster);
}

uint32_t roster_find(const struct roster *roster, const char *id)
{
    uint32_t found = roster->by_id[place_of(roster, id)];
    return found && roster->entries[found - 1].def ? found - 1 : ROSTER_NO_ROW;
}

const struct server_def *roster_def(const struct roster *roster, uint32_t row)
{
    return row < roster->end ? roster->entries[row].def : NULL;
}

bool roster_is_held(const struct roster *roster, uint32_t row)
{
    return row < roster->end && roster->entries[row].in_use && !roster->entries[row].def;
}

bool roster_is_in_use(const struct roster *roster, uint32_t row)
{
    return row < roster->end && roster->entries[row].in_use;
}

void roster_forget(struct roster *roster, uint32_t first, uint32_t end)
{
    trim_clear(&roster->entries[first], (end - first) * sizeof(*roster->entries));
}

const struct buf *roster_identity(struct roster *roster, uint32_t row)
{
    assert(row < roster->end && roster->entries[row].def);
    struct entry *entry = &roster->entries[row];
    if (entry->identity)
        return entry->identity;
    struct buf *identity = malloc(sizeof(*identity));
    if (!identity)
        return NULL;
    buf_init(identity, IDENTITY_MAX);
    if (event_identity(identity, entry->def->id, server_def_name(entry->def), server_def_workspace_id(entry->def))) {
        buf_fini(identity);
        free(identity);
        return NULL;
    }
    return entry->identity = identity;
}
