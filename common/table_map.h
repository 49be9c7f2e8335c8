/* SPDX-License-Identifier: MIT */
/* A mapped table. Private to table*.c. The sizes and places were checked when it was opened and are copies: what stands
 * in the shared header is not looked at again. */
#ifndef COMMON_TABLE_MAP_H
#define COMMON_TABLE_MAP_H

#include "common/table_layout.h"

struct table {
    int fd;
    void *base;
    size_t size;
    uint32_t capacity;
    uint64_t created_ms;
    uint64_t rows_offset;
    char instance[TABLE_INSTANCE_SIZE];
    struct layout_slot *hub;
    struct layout_slot *slots;
    _Atomic uint64_t *dirty;
    _Atomic uint64_t *published;
    struct layout_row *rows;
};

/* The word of the published array; `row` is below the capacity. */
static inline _Atomic uint64_t *table_published_at(const struct table *table, uint32_t row, unsigned word)
{
    return &table->published[(size_t)row * LAYOUT_PUBLISHED_WORDS + word];
}

/* --- table_memory.c --- */

/* Whether the row may be looked at; `row` is below the capacity. */
bool table_has_memory(const struct table *table, uint32_t row);

/* The owner word of a row that has no memory: nobody, and its incarnation. */
uint64_t table_retired_owner(const struct table *table, uint32_t row);

#endif
