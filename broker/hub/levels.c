/* SPDX-License-Identifier: MIT */
/* The slow way of generations, fingerprints and counts into the registry. The table outlives every process; the registry
 * outlives the table. So being some seconds behind costs nothing but an event told twice after a power failure: what
 * the registry knows as published is never ahead of what was.
 *
 * What was stored last is remembered as one hash a row. A pass reads the rows in slices and stores those whose hash
 * differs, one transaction a slice and at most STORES_MAX servers in it; between slices the loop has time for events, which
 * must not wait for this.
 * Hashes are taken over only when the transaction was committed: one that failed is tried again in the next pass.
 */
#include "broker/hub/levels.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/trim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PASS_EVERY_S = 5, SLICE_EVERY_MS = 10, SLICE_ROWS = 512, STORES_MAX = 16 };

/* All that is stored of a server, and what says which server it is. No padding: it is hashed as it stands. */
struct content {
    struct content_list {
        uint64_t generation, published;
        struct fingerprint fingerprint;
        uint64_t count, known, seen;
    } lists[KIND_COUNT];
    char protocol_version[ROW_VERSION_SIZE];
    uint32_t era;
    uint32_t incarnation;
};

struct stored {
    uint32_t row;
    uint64_t hash;
};

struct levels {
    struct table *table;
    struct roster *roster;
    struct registry *registry;
    uint64_t *hashes;     /* by row */
    uv_timer_t *slices;   /* freed by its close callback */
    struct stored *batch; /* STORES_MAX of them */
    size_t batch_count;
    uint32_t next_row;
    bool any_busy; /* since the last pass has begun: a row that could not be read */
    unsigned ticks;
};

int levels_open(uv_loop_t *loop, struct table *table, struct roster *roster, struct registry *registry,
                struct levels **out)
{
    struct levels *levels = calloc(1, sizeof(*levels));
    if (!levels)
        return -ENOMEM;
    levels->table = table;
    levels->roster = roster;
    levels->registry = registry;
    levels->hashes = calloc(table_capacity(table), sizeof(*levels->hashes));
    levels->batch = calloc(STORES_MAX, sizeof(*levels->batch));
    levels->slices = calloc(1, sizeof(*levels->slices));
    if (!levels->hashes || !levels->batch || !levels->slices) {
        free(levels->slices);
        levels->slices = NULL;
        levels_close(levels);
        return -ENOMEM;
    }
    uv_timer_init(loop, levels->slices);
    levels->slices->data = levels;
    *out = levels;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void levels_close(struct levels *levels)
{
    if (!levels)
        return;
    if (levels->slices)
        uv_close((uv_handle_t *)levels->slices, on_closed);
    free(levels->hashes);
    free(levels->batch);
    free(levels);
}

void levels_forget(struct levels *levels, uint32_t first, uint32_t end)
{
    trim_clear(&levels->hashes[first], (end - first) * sizeof(*levels->hashes));
}

/* False when there is nothing to store of the row: no server, busy, or nothing known yet. */
static bool read_content(struct levels *levels, uint32_t row, struct content *out)
{
    struct row value;
    bool any = false;
    if (!roster_def(levels->roster, row))
        return false;
    if (table_row_read(levels->table, row, &value) != 0) {
        levels->any_busy = true;
        return false;
    }
    memset(out, 0, sizeof(*out));
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        const struct row_list *list = &value.lists[kind];
        struct content_list *content = &out->lists[kind];
        content->generation = table_generation(levels->table, row, kind);
        content->published = table_published(levels->table, row, kind);
        content->fingerprint = list->fingerprint;
        content->count = list->count;
        content->known = list->current ? 1 : 0;
        content->seen = list->fingerprint.high || list->fingerprint.low || list->changed_ms ? 1 : 0;
        any |= content->generation || content->seen;
    }
    out->era = value.era < ERA_COUNT ? value.era : ERA_UNKNOWN;
    memcpy(out->protocol_version, value.protocol_version, sizeof(out->protocol_version));
    (void)table_row_owner(levels->table, row, &out->incarnation);
    return any || out->era != ERA_UNKNOWN;
}

static int store(struct levels *levels, const char *id, const struct content *content)
{
    struct registry_memory memory = {.era = (enum era)content->era};
    memcpy(memory.protocol_version, content->protocol_version, sizeof(memory.protocol_version));
    memory.protocol_version[sizeof(memory.protocol_version) - 1] = '\0';
    int result = registry_store_memory(levels->registry, id, &memory);
    for (unsigned kind = 0; result == 0 && kind < KIND_COUNT; kind++) {
        if (content->lists[kind].generation == 0 && content->lists[kind].seen == 0)
            continue; /* a list that is not watched */
        const struct registry_level level = {
            .generation = content->lists[kind].generation,
            .published = content->lists[kind].published,
            .seen_ms = content->lists[kind].seen ? clock_wall_ms() : 0,
            .fingerprint = content->lists[kind].fingerprint,
            .count = (uint32_t)content->lists[kind].count,
            .known = content->lists[kind].known != 0,
        };
        result = registry_store_level(levels->registry, id, kind, &level);
    }
    return result;
}

/* Stores the row within the batch, which it begins, if it differs from what was stored. 0 or a negative errno. */
static int visit(struct levels *levels, uint32_t row)
{
    struct content content;
    if (!read_content(levels, row, &content))
        return 0;
    uint64_t hash = XXH3_64bits(&content, sizeof(content));
    if (hash == levels->hashes[row])
        return 0;
    int result = levels->batch_count == 0 ? registry_begin(levels->registry) : 0;
    if (result == 0)
        result = store(levels, roster_def(levels->roster, row)->id, &content);
    if (result == 0)
        levels->batch[levels->batch_count++] = (struct stored){.row = row, .hash = hash};
    return result;
}

/* Goes on with the pass until rows, or room in the batch, are used up. 0 or a negative errno. */
static int slice(struct levels *levels)
{
    uint32_t end = roster_end(levels->roster);
    int result = 0;
    levels->batch_count = 0;
    for (unsigned i = 0; i < SLICE_ROWS && levels->next_row < end && levels->batch_count < STORES_MAX; i++) {
        result = visit(levels, levels->next_row);
        if (result != 0)
            return result;
        levels->next_row++;
    }
    if (levels->batch_count > 0)
        result = registry_commit(levels->registry);
    for (size_t i = 0; result == 0 && i < levels->batch_count; i++)
        levels->hashes[levels->batch[i].row] = levels->batch[i].hash;
    return result;
}

static void on_slice(uv_timer_t *handle)
{
    struct levels *levels = handle->data;
    if (slice(levels) != 0 || levels->next_row >= roster_end(levels->roster))
        uv_timer_stop(handle);
}

void levels_tick(struct levels *levels)
{
    if (++levels->ticks % PASS_EVERY_S != 0 || uv_is_active((uv_handle_t *)levels->slices))
        return;
    levels->next_row = 0;
    uv_timer_start(levels->slices, on_slice, 0, SLICE_EVERY_MS);
}

int levels_flush(struct levels *levels)
{
    int result = 0;
    uv_timer_stop(levels->slices);
    levels->next_row = 0;
    levels->any_busy = false;
    while (result == 0 && levels->next_row < roster_end(levels->roster))
        result = slice(levels);
    return result == 0 && levels->any_busy ? LEVELS_BUSY : result;
}
