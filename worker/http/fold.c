/* SPDX-License-Identifier: MIT */
/* A held TLS connection of OpenSSL's is one piece of 7.5 KB, of which most words are zero: room for records that come many at
 * once, and for what a handshake needs. Nothing looks into it while the peer is silent, which is nearly always. So then its
 * pages go back to the system, and the words that are not zero are kept elsewhere; before it is used they are put back where
 * they were, so that whoever has its address can't tell, nor need this file know what is in it.
 *
 * Waking takes two faults of a page, and resting a call of the system: some microseconds. Those that were used last are
 * therefore left as they are for a while, and a few busy ones never fold.
 *
 * The places lie side by side in a region of their own, as slab.c's blocks do: an address tells whether it is one. Where
 * there is no region, or it is full, callers do without. */
#include "worker/http/fold.h"

#include "common/slab.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PLACES_MAX = 256 * 1024, /* 2 GB of addresses */
    OPENED_AT_ONCE = 128,
    LATEST_MAX = 32,
    WORDS = FOLD_SIZE / sizeof(uint64_t),
};

/* What is kept of a place: which words are not zero, and those. */
struct folded {
    uint64_t present[WORDS / 64];
    uint64_t words[];
};

union place {
    struct folded *folded; /* of one that was taken; NULL: its pages are as they were written */
    union place *next;     /* of a free one */
};

static struct {
    char *_Atomic begin; /* NULL: not reserved yet */
    size_t opened;
    union place *free;
    union place places[PLACES_MAX];
} region;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* At rest, but not folded; NULL: woken since. The one at `oldest` is the next to fold. */
static void *latest[LATEST_MAX];
static size_t oldest;

bool fold_has(const void *memory)
{
    return region.begin && (uintptr_t)memory - (uintptr_t)region.begin < (uintptr_t)PLACES_MAX * FOLD_SIZE;
}

static union place *place_of(const void *memory)
{
    return &region.places[(size_t)((const char *)memory - region.begin) / FOLD_SIZE];
}

static MUST_CHECK bool reserve_region(void)
{
    size_t size = (size_t)(PLACES_MAX + 1) * FOLD_SIZE;
    if (FOLD_SIZE % sysconf(_SC_PAGESIZE) != 0) /* pages would go that others are on */
        return false;
    char *mapped = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return false;
    (void)madvise(mapped, size, MADV_NOHUGEPAGE);
    region.begin = mapped + -(uintptr_t)mapped % FOLD_SIZE;
    return true;
}

static void open_some(void)
{
    if (region.opened == PLACES_MAX || (!region.begin && !reserve_region()) ||
        mprotect(region.begin + region.opened * FOLD_SIZE, (size_t)OPENED_AT_ONCE * FOLD_SIZE,
                 PROT_READ | PROT_WRITE) != 0)
        return;
    for (size_t i = OPENED_AT_ONCE; i-- > 0;) {
        union place *place = &region.places[region.opened + i];
        place->next = region.free;
        region.free = place;
    }
    region.opened += OPENED_AT_ONCE;
}

void *fold_take(void)
{
    pthread_mutex_lock(&lock);
    if (!region.free)
        open_some();
    union place *place = region.free;
    if (place) {
        region.free = place->next;
        place->folded = NULL;
    }
    pthread_mutex_unlock(&lock);
    return place ? region.begin + (size_t)(place - region.places) * FOLD_SIZE : NULL;
}

static size_t size_of(const struct folded *folded)
{
    size_t words = 0;
    for (size_t i = 0; i < WORDS / 64; i++)
        words += (size_t)__builtin_popcountll(folded->present[i]);
    return sizeof *folded + words * sizeof folded->words[0];
}

static bool is_present(const struct folded *folded, size_t word)
{
    return folded->present[word / 64] >> word % 64 & 1;
}

/* There are keys in it. */
static void forget(union place *place)
{
    size_t size = size_of(place->folded);
    explicit_bzero(place->folded, size);
    slab_give(&slab_held, place->folded, size);
    place->folded = NULL;
}

static void fold(void *memory)
{
    const uint64_t *words = memory;
    struct folded which = {0};
    for (size_t i = 0; i < WORDS; i++)
        which.present[i / 64] |= (uint64_t)(words[i] != 0) << i % 64;
    struct folded *folded = slab_take(&slab_held, size_of(&which));
    if (!folded)
        return;
    *folded = which;
    for (size_t i = 0, at = 0; i < WORDS; i++)
        if (is_present(folded, i))
            folded->words[at++] = words[i];
    place_of(memory)->folded = folded;
    if (madvise(memory, FOLD_SIZE, MADV_DONTNEED) != 0)
        forget(place_of(memory));
}

static void unfold(void *memory)
{
    const struct folded *folded = place_of(memory)->folded;
    uint64_t *words = memory;
    for (size_t i = 0, at = 0; i < WORDS; i++)
        if (is_present(folded, i))
            words[i] = folded->words[at++];
    forget(place_of(memory));
}

/* Whether it was among them. */
static bool leave_latest(const void *memory)
{
    for (size_t i = 0; i < LATEST_MAX; i++) {
        if (latest[i] == memory) {
            latest[i] = NULL;
            return true;
        }
    }
    return false;
}

void fold_give(void *memory)
{
    union place *place = place_of(memory);
    pthread_mutex_lock(&lock);
    if (!leave_latest(memory) && place->folded)
        forget(place);
    (void)madvise(memory, FOLD_SIZE, MADV_DONTNEED);
    place->next = region.free;
    region.free = place;
    pthread_mutex_unlock(&lock);
}

void fold_rest(void *memory)
{
    if (!fold_has(memory))
        return;
    pthread_mutex_lock(&lock);
    assert(!place_of(memory)->folded);
    (void)leave_latest(memory);
    if (latest[oldest])
        fold(latest[oldest]);
    latest[oldest] = memory;
    oldest = (oldest + 1) % LATEST_MAX;
    pthread_mutex_unlock(&lock);
}

void fold_wake(void *memory)
{
    if (!fold_has(memory))
        return;
    pthread_mutex_lock(&lock);
    if (!leave_latest(memory) && place_of(memory)->folded)
        unfold(memory);
    pthread_mutex_unlock(&lock);
}
