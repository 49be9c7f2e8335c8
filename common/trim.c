/* SPDX-License-Identifier: MIT */
/* The heap counts memory that was given back from within it as free, as before. So what counts here is by how much the
 * free memory has grown since it was least: that much has been used meanwhile, and is the system's no more. Looking is a
 * walk over the lists of free pieces, which are few in a process that has been trimmed. While nobody looks, because much is
 * done, all of it may have been used. */
#include "common/trim.h"

#include "common/slab.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc keeps some free pieces of each small size for the thread that has freed them, and nobody else. After a wave they lie
 * scattered, nearly each on a page of its own, which then is not free. So they are exchanged for others, which come out of
 * what is free side by side: all at once, or some would come from between those that are still to go. */
static void exchange_cached_pieces(void)
{
    enum { SMALLEST = 24, STEP = 16, SIZES = 64, KEPT = 7, CACHED = SIZES * KEPT, PIECES = 2 * CACHED };
    void *pieces[PIECES]; /* first those that are cached now, then the others */
    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = malloc(SMALLEST + i % CACHED / KEPT * STEP);
    for (size_t i = PIECES; i-- > 0;)
        free(pieces[i]);
}

/* glibc sorts its "fast" pieces in again whenever 64 KiB in a row become free, which every buffer of libcurl's and of
 * hiredis' does that lies before free memory. What is kept for each thread serves the same end without that. */
void trim_prepare(void)
{
    (void)mallopt(M_MXFAST, 0);
}

bool trim_is_calm(struct trim *trim, uint64_t work)
{
    uint64_t moved = work > trim->work ? work - trim->work : trim->work - work;
    bool is_calm = moved < TRIM_CALM;
    trim->work = work;
    if (!is_calm)
        trim->settled = 0;
    if (is_calm && trim->was_busy)
        exchange_cached_pieces();
    trim->was_busy = !is_calm;
    return is_calm;
}

bool trim_look(struct trim *trim)
{
    slab_trim(&slab_held);
    size_t free_now = mallinfo2().fordblks;
    if (free_now < trim->settled)
        trim->settled = free_now;
    if (free_now < trim->settled + TRIM_WORTH)
        return false;
    malloc_trim(0);
    trim->settled = mallinfo2().fordblks;
    return true;
}

void trim_clear(void *memory, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = -(uintptr_t)memory % page; /* to the first border of a page */
    size_t whole = size > before ? (size - before) / page * page : 0;
    char *bytes = memory;
    if (whole == 0 || madvise(bytes + before, whole, MADV_DONTNEED) != 0) {
        memset(memory, 0, size);
        return;
    }
    memset(bytes, 0, before);
    memset(bytes + before + whole, 0, size - before - whole);
}
