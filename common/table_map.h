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

#endif
