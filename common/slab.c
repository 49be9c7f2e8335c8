/* SPDX-License-Identifier: MIT */
/* Blocks lie at addresses that are multiples of their size, so that a cell tells its block, and all in one region, so that
 * any address tells whether it is a cell. Addresses are all that the region costs; where they are limited there may be
 * none, and all comes from the heap. Blocks that have room form a list for each size of cells, whose first one serves; a
 * block that was full is put first when a cell of it comes back. An empty block is kept while it is the only one with room,
 * or a slab at the border of two blocks would give back and take for each cell.
 *
 *   | struct slab_block | cell | cell | …      free cells are linked through their first word; cells from `fresh` on
 *                                              have never been used, and their pages cost nothing */
#include "common/slab.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct slab_cell {
    struct slab_cell *next;
};

struct slab_block {
    alignas(16) struct slab_block *previous; /* of the open ones */
    struct slab_block *next;
    struct slab_cell *free;
    uint32_t used, fresh, step;
    bool is_open;
};

enum { REGION_BLOCKS = 64 * 1024 }; /* 8 GB */

/* Those at the front are used first. */
static struct {
    char *_Atomic begin; /* NULL: not reserved yet */
    size_t opened;       /* blocks that may be written, from the front */
    size_t lowest;       /* none before is free */
    bool is_taken[REGION_BLOCKS];
} region;

#ifdef __SANITIZE_ADDRESS__
struct slab slab_held = {.is_heap = true};
#else
struct slab slab_held;
#endif

/* Which of the sizes it is; the cell has `step * SLAB_STEP` bytes. */
static size_t step_of(size_t size)
{
    return size > 0 ? (size + SLAB_STEP - 1) / SLAB_STEP : 1;
}

static size_t cells_of(size_t step)
{
    return (SLAB_BLOCK_SIZE - sizeof(struct slab_block)) / (step * SLAB_STEP);
}

static void open_block(struct slab *slab, struct slab_block *block, size_t step)
{
    block->is_open = true;
    block->previous = NULL;
    block->next = slab->open[step];
    if (block->next)
        block->next->previous = block;
    slab->open[step] = block;
}

static void close_block(struct slab *slab, struct slab_block *block, size_t step)
{
    block->is_open = false;
    if (block->previous)
        block->previous->next = block->next;
    else
        slab->open[step] = block->next;
    if (block->next)
        block->next->previous = block->previous;
}

char *slab_reserve(size_t unit, size_t count)
{
    size_t size = (count + 1) * unit;
    char *mapped = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    (void)madvise(mapped, size, MADV_NOHUGEPAGE); /* fresh cells would cost memory */
    return mapped + -(uintptr_t)mapped % unit;
}

static MUST_CHECK bool reserve_region(void)
{
    region.begin = slab_reserve(SLAB_BLOCK_SIZE, REGION_BLOCKS);
    return region.begin != NULL;
}

static struct slab_block *map_block(struct slab *slab)
{
    if (!region.begin && !reserve_region())
        return NULL;
    size_t at = region.lowest;
    while (at < REGION_BLOCKS && region.is_taken[at])
        at++;
    char *block = region.begin + at * SLAB_BLOCK_SIZE;
    if (at == REGION_BLOCKS || (at == region.opened && mprotect(block, SLAB_BLOCK_SIZE, PROT_READ | PROT_WRITE) != 0))
        return NULL;
    if (at == region.opened)
        region.opened++;
    region.is_taken[at] = true;
    region.lowest = at + 1;
    slab->blocks++;
    return (struct slab_block *)(void *)block;
}

static void unmap_block(struct slab *slab, struct slab_block *block)
{
    size_t at = (size_t)((char *)block - region.begin) / SLAB_BLOCK_SIZE;
    (void)madvise(block, SLAB_BLOCK_SIZE, MADV_DONTNEED); /* of such memory it can't fail; it is zero then */
    region.is_taken[at] = false;
    if (at < region.lowest)
        region.lowest = at;
    slab->blocks--;
}

/* NULL: it is from the heap. */
static struct slab_block *block_of(const void *memory)
{
    uintptr_t at = (uintptr_t)memory - (uintptr_t)region.begin;
    if (!region.begin || at >= (uintptr_t)REGION_BLOCKS * SLAB_BLOCK_SIZE)
        return NULL;
    return (struct slab_block *)(void *)(region.begin + at / SLAB_BLOCK_SIZE * SLAB_BLOCK_SIZE);
}

/* One for all slabs: it is hardly ever waited for. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *take(struct slab *slab, size_t step)
{
    struct slab_block *block = slab->open[step];
    if (!block) {
        block = map_block(slab);
        if (!block)
            return NULL;
        block->step = (uint32_t)step;
        open_block(slab, block, step);
    }
    void *cell = block->free;
    if (cell) {
        block->free = block->free->next;
        memset(cell, 0, step * SLAB_STEP);
    } else {
        cell = (char *)(block + 1) + block->fresh++ * step * SLAB_STEP;
    }
    if (++block->used == cells_of(step))
        close_block(slab, block, step);
    return cell;
}

void *slab_take(struct slab *slab, size_t size)
{
    if (slab->is_heap || size > SLAB_SIZE_MAX)
        return calloc(1, size);
    pthread_mutex_lock(&lock);
    void *cell = take(slab, step_of(size));
    pthread_mutex_unlock(&lock);
    return cell ? cell : calloc(1, size);
}

static void close_empty(struct slab *slab, struct slab_block *block)
{
    close_block(slab, block, block->step);
    unmap_block(slab, block);
}

static void give(struct slab *slab, void *memory, struct slab_block *block)
{
    struct slab_cell *cell = memory;
    assert(block->used > 0);
    cell->next = block->free;
    block->free = cell;
    if (!block->is_open)
        open_block(slab, block, block->step);
    if (--block->used == 0 && (block->previous || block->next))
        close_empty(slab, block);
}

void slab_give(struct slab *slab, void *memory, size_t size)
{
    struct slab_block *block = block_of(memory);
    if (!block) {
        free(memory);
        return;
    }
    assert(step_of(size) == block->step);
    (void)size;
    pthread_mutex_lock(&lock);
    give(slab, memory, block);
    pthread_mutex_unlock(&lock);
}

size_t slab_size_of(const void *memory)
{
    const struct slab_block *block = block_of(memory);
    return block ? (size_t)block->step * SLAB_STEP : 0;
}

void slab_trim(struct slab *slab)
{
    pthread_mutex_lock(&lock);
    for (size_t step = 0; step < ARRAY_LENGTH(slab->open); step++)
        if (slab->open[step] && slab->open[step]->used == 0)
            close_empty(slab, slab->open[step]);
    pthread_mutex_unlock(&lock);
}

char *slab_take_text(struct slab *slab, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = slab_take(slab, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

void slab_give_text(struct slab *slab, char *text)
{
    if (text)
        slab_give(slab, text, strlen(text) + 1);
}
