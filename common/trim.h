/* SPDX-License-Identifier: MIT */
/* Gives back to the system what the heap holds in vain. After a wave of work (connects, a servers file that is read) its
 * free memory lies in holes between what is held, and glibc gives back only what is free at the end. */
#ifndef COMMON_TRIM_H
#define COMMON_TRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before there are threads. Frees cost less, and what is free is whole sooner. */
void trim_prepare(void);

enum { TRIM_WORTH = 1024 * 1024, TRIM_CALM = 100 };

/* All zero is the beginning. */
struct trim {
    size_t settled; /* the least that was free since it was last given back, as far as is known: the system's already */
    uint64_t work;  /* as told last */
    bool was_busy;  /* then */
};

/* Whether this is a time to look: `work`, a count of what must not be held up and of what comes and goes, has moved by less
 * than TRIM_CALM, either way, since this was asked last, a second ago or so; who allocates waits for a trim that is under
 * way. Not while another thread looks, and in the thread that has most of the memory: after busy times what is kept free
 * for it alone is exchanged. */
bool trim_is_calm(struct trim *trim, uint64_t work);

/* To be called each second or so: gives back the empty blocks of slab_held, and, when TRIM_WORTH bytes of the heap more are
 * free than were, those, which may take some milliseconds, and much longer in a heap of many pieces. True when it has given
 * those. Any thread, one at a time. */
bool trim_look(struct trim *trim);

/* Makes memory of the heap zero, and gives those of its pages that lie wholly within back to the system. For parts of large
 * arrays that are in no use. */
void trim_clear(void *memory, size_t size);

#endif
