/* SPDX-License-Identifier: MIT */
/* Which rows have memory, and whether a server has them: the marks behind the published generations. They are the hub's to
 * write, and all before the rows has its memory always, so anybody may look at a mark.
 *
 * A row gets memory when it is reserved, and loses it in two steps, since others may be reading it without a lock: first it
 * is retired, from when on nobody begins to look at it, later its page is cut out of the file. Who looks at a row that was
 * cut out after all gets zeros, which is an empty row, at the cost of a page.
 *
 * Only the incarnation outlives that, in the upper half of the mark: a message about the row's last server may still be on
 * its way. */
#include "common/table_map.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

enum { INCARNATION_SHIFT = 32 };

static _Atomic uint64_t *mark_of(const struct table *table, uint32_t row)
{
    assert(row < table->capacity);
    return table_published_at(table, row, LAYOUT_MARK);
}

static off_t offset_of(const struct table *table, uint32_t row)
{
    return (off_t)(table->rows_offset + row * sizeof(struct layout_row));
}

bool table_has_memory(const struct table *table, uint32_t row)
{
    return (uint32_t)atomic_load_explicit(mark_of(table, row), memory_order_acquire) != LAYOUT_NO_MEMORY;
}

uint64_t table_retired_owner(const struct table *table, uint32_t row)
{
    uint64_t mark = atomic_load_explicit(mark_of(table, row), memory_order_acquire);
    return mark >> INCARNATION_SHIFT << INCARNATION_SHIFT;
}

int table_row_reserve(struct table *table, uint32_t row)
{
    if (table_has_memory(table, row)) {
        return 0;
    }
    while (fallocate(table->fd, 0, offset_of(table, row), sizeof(struct layout_row)) != 0) {
        if (errno == EOPNOTSUPP) {
            break;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
    atomic_store_explicit(&table->rows[row].owner, table_retired_owner(table, row), memory_order_relaxed);
    atomic_store_explicit(mark_of(table, row), LAYOUT_UNLISTED, memory_order_release);
    return 0;
}

void table_row_retire(struct table *table, uint32_t row)
{
    uint32_t incarnation;
    (void)table_row_owner(table, row, &incarnation);
    atomic_store_explicit(mark_of(table, row), (uint64_t)incarnation << INCARNATION_SHIFT | LAYOUT_NO_MEMORY,
                          memory_order_release);
}

/* The first row from `row` on, below `end`, that has memory or has none; `end` when there is none such. */
static uint32_t find(const struct table *table, uint32_t row, uint32_t end, bool with_memory)
{
    while (row < end && table_has_memory(table, row) != with_memory) {
        row++;
    }
    return row;
}

void table_rows_give_back(struct table *table, uint32_t first, uint32_t end)
{
    enum { NEIGHBOURS = TABLE_PAGE / sizeof(struct layout_row) + 1 }; /* that may have part of a row's page */
    assert(first <= end && end <= table->capacity);
    first = first > NEIGHBOURS ? first - NEIGHBOURS : 0;
    end = end + NEIGHBOURS < table->capacity ? end + NEIGHBOURS : table->capacity;
    while ((first = find(table, first, end, false)) < end) {
        uint32_t next = find(table, first, end, true);
        /* What is no whole page at the borders becomes zeros, as it is in an empty row. Without success all stays as it is. */
        (void)!fallocate(table->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_of(table, first),
                         (off_t)((next - first) * sizeof(struct layout_row)));
        first = next;
    }
}

void table_row_set_listed(struct table *table, uint32_t row, bool listed)
{
    if (!table_has_memory(table, row)) {
        return; /* wiped by a process that went mad */
    }
    atomic_store_explicit(mark_of(table, row), listed ? LAYOUT_LISTED : LAYOUT_UNLISTED, memory_order_release);
}

bool table_row_is_listed(const struct table *table, uint32_t row)
{
    return row < table->capacity && atomic_load_explicit(mark_of(table, row), memory_order_acquire) == LAYOUT_LISTED;
}
