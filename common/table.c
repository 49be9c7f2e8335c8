/* SPDX-License-Identifier: MIT */
/* Opening and closing the shared-memory table; rows are in table_rows.c, worker slots in table_slots.c, the file behind
 * it in table_file.c.
 *
 * The supervisor creates it before it starts a child; hub and workers open it read-write, the command line read-only,
 * with or without a process alive. Once mapped nothing can fail any more: all that is looked at later are words, loaded
 * and stored one by one, and no number found in them is used as a place to look at. */
#include "common/table.h"

#include "common/table_file.h"
#include "common/table_map.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Maps a checked file. Takes the descriptor, also when it fails. */
static int map(const struct table_file *file, enum table_access access, struct table **out,
               char error[TABLE_ERROR_SIZE])
{
    const struct layout_header *header = &file->header;
    int protection = access == TABLE_READ_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    int result = -ENOMEM;

    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        goto close_fd;
    }
    table->base = mmap(NULL, header->total_size, protection, MAP_SHARED, file->fd, 0);
    if (table->base == MAP_FAILED) {
        result = -errno;
        goto free_table;
    }
    char *base = table->base;
    table->fd = file->fd;
    table->size = header->total_size;
    table->capacity = header->capacity;
    table->created_ms = header->created_ms;
    table->rows_offset = header->rows_offset;
    memcpy(table->instance, header->instance, sizeof(table->instance) - 1);
    table->hub = (struct layout_slot *)(void *)(base + header->hub_offset);
    table->slots = (struct layout_slot *)(void *)(base + header->slots_offset);
    table->dirty = (_Atomic uint64_t *)(void *)(base + header->dirty_offset);
    table->published = (_Atomic uint64_t *)(void *)(base + header->published_offset);
    table->rows = (struct layout_row *)(void *)(base + header->rows_offset);
    *out = table;
    return 0;

free_table:
    free(table);
close_fd:
    close(file->fd);
    snprintf(error, TABLE_ERROR_SIZE, "the table cannot be mapped: %s", strerror(-result));
    return result;
}

int table_open(const char *run_dir, enum table_access access, struct table **out, char error[TABLE_ERROR_SIZE])
{
    struct table_file file;
    int result = table_file_open(run_dir, access, &file, error);
    return result != 0 ? result : map(&file, access, out, error);
}

int table_create(const char *run_dir, uint32_t capacity, struct table **out, bool *taken_over,
                 char error[TABLE_ERROR_SIZE])
{
    assert(capacity >= 1 && capacity <= TABLE_CAPACITY_MAX);
    struct table_file file;
    int result = table_file_create(run_dir, capacity, &file, taken_over, error);
    return result != 0 ? result : map(&file, TABLE_READ_WRITE, out, error);
}

int table_in_use(const char *run_dir)
{
    return table_file_in_use(run_dir);
}

void table_close(struct table *table)
{
    if (table == NULL) {
        return;
    }
    munmap(table->base, table->size);
    close(table->fd);
    free(table);
}

uint32_t table_capacity(const struct table *table)
{
    return table->capacity;
}

const char *table_instance(const struct table *table)
{
    return table->instance;
}

uint64_t table_created_ms(const struct table *table)
{
    return table->created_ms;
}
