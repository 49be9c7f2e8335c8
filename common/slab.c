/* SPDX-License-Identifier: MIT */
/* Blocks are mapped at addresses that are multiples of their size, so that a cell tells its block. Those that have room
 * form a list for each size of cells, whose first one serves; a block that was full is put first when a cell of it comes
 * back. An empty block is kept while it is the only one with room, or a slab at the border of two blocks would map and
 * unmap for each cell.
 *
 *   | struct slab_block | cell | cell | …      free cells are linked through their first word; cells from `fresh` on
 *                                              have never been used, and their pages cost nothing */
#include "common/slab.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct slab_cell {
    struct slab_cell *next;
};

struct slab_block {
    struct slab_block *previous, *next; /* of the open ones */
    struct slab_cell *free;
    uint32_t used, fresh;
    bool is_open;
};

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

/* Twice as much is mapped, and what lies before and behind the block given back. */
static struct slab_block *map_block(struct slab *slab)
{
    char *mapped = mmap(NULL, (size_t)2 * SLAB_BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)mapped % SLAB_BLOCK_SIZE;
    if (before > 0)
        munmap(mapped, before);
    munmap(mapped + before + SLAB_BLOCK_SIZE, SLAB_BLOCK_SIZE - before);
    slab->blocks++;
    return (struct slab_block *)(void *)(mapped + before);
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
    return cell;
}

static void give(struct slab *slab, void *memory, size_t step)
{
    struct slab_cell *cell = memory;
    struct slab_block *block = (struct slab_block *)((uintptr_t)memory & ~((uintptr_t)SLAB_BLOCK_SIZE - 1));
    assert(block->used > 0);
    cell->next = block->free;
    block->free = cell;
    if (!block->is_open)
        open_block(slab, block, step);
    if (--block->used > 0 || (!block->previous && !block->next))
        return;
    close_block(slab, block, step);
    munmap(block, SLAB_BLOCK_SIZE);
    slab->blocks--;
}

void slab_give(struct slab *slab, void *memory, size_t size)
{
    if (slab->is_heap || size > SLAB_SIZE_MAX || !memory) {
        free(memory);
        return;
    }
    pthread_mutex_lock(&lock);
    give(slab, memory, step_of(size));
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
