/* SPDX-License-Identifier: MIT */
/* The first rows of an order, of all that the table has: for the hub, which answers with some dozens, and for the command
 * line, which lists them all.
 *
 * Each row is copied out once, and what is kept of it is a rank that compares without another look at the table: rows
 * change while they are looked at, and an order in which they changed places could be none. No more than twice the rows
 * wanted are ever kept: when there are that many, the worse half goes, and whatever is no better than the rest is not
 * taken any more. */
#include "common/row_pick.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 256 };

struct row_pick {
    struct row_pick_options options;
    struct row_rank *ranks;
    size_t count, room;
    bool cut; /* ranks[limit - 1] is the worst of the best, and those before it are sorted */
    uint32_t next;
    uint32_t matching, busy;
};

/* --- orders --- */

const char *row_order_name(unsigned order)
{
    static const char *const names[] = {"",
#define X(symbol, name) name,
                                        ROW_ORDERS(X)
#undef X
    };
    return order < ROW_ORDER_COUNT ? names[order] : "unknown";
}

bool row_order_from_name(const char *name, enum row_order *order)
{
    for (unsigned i = ROW_ORDER_TABLE + 1; i < ROW_ORDER_COUNT; i++) {
        if (strcmp(name, row_order_name(i)) == 0) {
            *order = (enum row_order)i;
            return true;
        }
    }
    return false;
}

static uint64_t least_first(uint64_t number, bool known)
{
    return known ? number : UINT64_MAX;
}

static uint64_t most_first(uint64_t number, bool known)
{
    return known && number < UINT64_MAX ? UINT64_MAX - 1 - number : UINT64_MAX;
}

/* A state that nobody needs to look at comes late. */
static uint64_t trouble(unsigned state)
{
    static const uint8_t ranks[STATE_COUNT] = {
        [STATE_FAILED] = 1,      [STATE_UNAUTHORIZED] = 2, [STATE_REFUSED] = 3, [STATE_BACKOFF] = 4,
        [STATE_UNSUPPORTED] = 5, [STATE_CONNECTING] = 6,   [STATE_QUEUED] = 7,  [STATE_POLLING] = 8,
        [STATE_LISTENING] = 9,   [STATE_DISABLED] = 10,
    };
    return state < STATE_COUNT && ranks[state] != 0 ? ranks[state] : UINT64_MAX;
}

static uint64_t count_changes(const struct table *table, uint32_t number)
{
    uint64_t changes = 0;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        changes += table_generation(table, number, kind);
    }
    return changes;
}

static uint64_t count_tools(const struct row *row)
{
    const struct row_list *tools = &row->lists[KIND_TOOLS];
    return most_first(tools->count, tools->fingerprint.high != 0 || tools->fingerprint.low != 0);
}

static uint64_t first_key(enum row_order order, const struct table *table, uint32_t number, const struct row *row,
                          int owner)
{
    switch (order) {
    case ROW_ORDER_TABLE:
        return number;
    case ROW_ORDER_STATE:
        return trouble(row->state);
    case ROW_ORDER_WORKER:
        return least_first((uint64_t)owner, owner != TABLE_NO_OWNER);
    case ROW_ORDER_TOOLS:
        return count_tools(row);
    case ROW_ORDER_CHANGES:
        return most_first(count_changes(table, number), true);
    case ROW_ORDER_ATTEMPTS:
        return most_first(row->attempts, true);
    case ROW_ORDER_CONNECTED:
        return least_first(row->connected_since_ms, row->connected_since_ms != 0);
    case ROW_ORDER_HEARD:
        return least_first(row->last_heard_ms, row->last_heard_ms != 0);
    case ROW_ORDER_NEXT:
        return least_first(row->next_attempt_ms, row->next_attempt_ms != 0);
    case ROW_ORDER_ID:
    case ROW_ORDER_WORKSPACE:
    case ROW_ORDER_COUNT:
        break;
    }
    return 0;
}

static void set_rank(struct row_rank *rank, enum row_order order, const struct table *table, uint32_t number,
                     const struct row *row, int owner)
{
    rank->row = number;
    rank->first = first_key(order, table, number, row, owner);
    rank->second = order == ROW_ORDER_STATE ? most_first(count_changes(table, number), true) : 0;
    rank->workspace_id[0] = '\0';
    if (order == ROW_ORDER_WORKSPACE) {
        memcpy(rank->workspace_id, row->workspace_id, sizeof(rank->workspace_id));
    }
    memcpy(rank->server_id, row->server_id, sizeof(rank->server_id));
}

static int compare(const void *left, const void *right)
{
    const struct row_rank *a = left, *b = right;
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    if (a->second != b->second) {
        return a->second < b->second ? -1 : 1;
    }
    int result = strcmp(a->workspace_id, b->workspace_id);
    return result != 0 ? result : strcmp(a->server_id, b->server_id);
}

/* --- the filter --- */

bool row_filter_matches(const struct row_filter *filter, const struct row *row, int owner)
{
    return row->state != STATE_NONE &&
           (filter->workspace_id == NULL || strcmp(filter->workspace_id, row->workspace_id) == 0) &&
           (filter->worker < 0 || filter->worker == owner) && (filter->state < 0 || filter->state == row->state) &&
           (filter->text == NULL || strcasestr(row->server_id, filter->text) != NULL ||
            strcasestr(row->server_name, filter->text) != NULL || strcasestr(row->workspace_id, filter->text) != NULL);
}

/* --- the pick --- */

int row_pick_begin(const struct row_pick_options *options, struct row_pick **out)
{
    assert(options->limit > 0);
    struct row_pick *pick = calloc(1, sizeof(*pick));
    if (pick == NULL) {
        return -ENOMEM;
    }
    pick->options = *options;
    pick->next = options->begin;
    *out = pick;
    return 0;
}

static void sort(struct row_pick *pick)
{
    if (pick->count > 0) {
        qsort(pick->ranks, pick->count, sizeof(*pick->ranks), compare);
    }
    if (pick->count >= pick->options.limit) {
        pick->count = pick->options.limit;
        pick->cut = true;
    }
}

/* Room for one more: more memory, or less that is kept. */
static int make_room(struct row_pick *pick)
{
    size_t most = 2 * (size_t)pick->options.limit;
    if (pick->count < pick->room) {
        return 0;
    }
    if (pick->room == most) {
        sort(pick);
        return 0;
    }
    size_t room = pick->room == 0 ? ROOM_FIRST : 2 * pick->room;
    room = room < most ? room : most;
    struct row_rank *ranks = realloc(pick->ranks, room * sizeof(*ranks));
    if (ranks == NULL) {
        return -ENOMEM;
    }
    pick->ranks = ranks;
    pick->room = room;
    return 0;
}

static int keep(struct row_pick *pick, const struct table *table, uint32_t number, const struct row *row, int owner)
{
    if (make_room(pick) != 0) {
        return -ENOMEM;
    }
    struct row_rank *rank = &pick->ranks[pick->count];
    set_rank(rank, pick->options.order, table, number, row, owner);
    if (!pick->cut || compare(rank, &pick->ranks[pick->options.limit - 1]) < 0) {
        pick->count++;
    }
    return 0;
}

static int look(struct row_pick *pick, const struct table *table, uint32_t number)
{
    struct row row;
    uint32_t incarnation;
    if (!table_row_is_listed(table, number)) {
        return 0;
    }
    int owner = table_row_owner(table, number, &incarnation);
    if (table_row_read(table, number, &row) != 0) {
        pick->busy++;
        return 0;
    }
    if (!row_filter_matches(&pick->options.filter, &row, owner)) {
        return 0;
    }
    pick->matching++;
    return keep(pick, table, number, &row, owner);
}

int row_pick_step(struct row_pick *pick, const struct table *table, uint32_t count)
{
    uint32_t capacity = table_capacity(table);
    for (; count > 0 && pick->next < capacity; count--) {
        if (pick->options.order == ROW_ORDER_TABLE && pick->count == pick->options.limit) {
            return 0; /* no later row comes before these */
        }
        int result = look(pick, table, pick->next);
        if (result != 0) {
            return result;
        }
        pick->next++;
    }
    return pick->next < capacity ? 1 : 0;
}

const struct row_rank *row_pick_rows(struct row_pick *pick, uint32_t *count)
{
    sort(pick);
    *count = (uint32_t)pick->count;
    return pick->ranks;
}

uint32_t row_pick_matching(const struct row_pick *pick)
{
    return pick->matching;
}

uint32_t row_pick_busy(const struct row_pick *pick)
{
    return pick->busy;
}

void row_pick_end(struct row_pick *pick)
{
    if (pick == NULL) {
        return;
    }
    free(pick->ranks);
    free(pick);
}
