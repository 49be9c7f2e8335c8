/* SPDX-License-Identifier: MIT */
/* Memory for what there are many of and is held for long: cells of the same size side by side, in blocks of their own.
 * From the heap they would lie scattered between the buffers of the moment, and keep nearly every page of those from
 * going back to the system. Who gives a cell back says its size again. Any thread: the hub's definitions
 * are made beside its loop. */
#ifndef COMMON_SLAB_H
#define COMMON_SLAB_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLAB_BLOCK_SIZE = 128 * 1024,
    SLAB_STEP = 8,
    SLAB_SIZE_MAX = 8000, /* larger ones come from the heap after all */
};

/* Private; public in size only. All zero is an empty one. */
struct slab {
    bool is_heap;                                           /* all cells come from the heap */
    size_t blocks;                                          /* there are */
    struct slab_block *open[SLAB_SIZE_MAX / SLAB_STEP + 1]; /* by size: those with a free cell, linked both ways */
};

/* The one that all of a process shares. In sanitized builds it is the heap, where a sanitizer sees what is done. */
extern struct slab slab_held;

/* A cell, all zero; NULL without memory. It is aligned to 8 bytes; to 16 when its size is a multiple of that. */
MUST_CHECK void *slab_take(struct slab *slab, size_t size);

/* `size` as it was taken; NULL does nothing. A block goes back to the system with its last cell, but for one of each size. */
void slab_give(struct slab *slab, void *memory, size_t size);

/* Of a cell, of whichever slab: at least what was asked for. 0: `memory` is from the heap. */
size_t slab_size_of(const void *memory);

/* Gives back those blocks, too. */
void slab_trim(struct slab *slab);

/* Addresses for `count` units of a size, a power of two of at least a page, aligned to it. They can be used, and cost
 * something, once mprotect() allows it; nobody gives them back. NULL: there are none. */
MUST_CHECK char *slab_reserve(size_t unit, size_t count);

/* As slab_take, for a copy of a text. */
MUST_CHECK char *slab_take_text(struct slab *slab, const char *text);
void slab_give_text(struct slab *slab, char *text);

#endif
