/* SPDX-License-Identifier: MIT */
/* A held TLS connection of OpenSSL's is one piece of 7.5 KB, of which most words are zero: room for records that come many
 * at once, and for what a handshake needs. Nothing looks into it while the peer is silent, which is nearly always. So then
 * its pages go back to the system, and the words that are not zero are kept elsewhere; before it is used they are put back
 * where they were, so that whoever has its address can't tell, nor need this file know what is in it.
 *
 * To fold and wake takes two faults of a page and a call of the system, 15 us in all, a quarter of what an event costs.
 * Therefore nothing is folded at once: what is at rest waits in a queue, from which the owner has some folded now and then.
 *
 * The places lie side by side in a region of their own, as slab.c's blocks do: an address tells whether it is one. Where
 * there is no region, or it is full, callers do without.
 *
 *   | FOLD_SIZE bytes | struct resting |     as long as it is not folded */
#include "worker/http/fold.h"

#include "common/clock.h"
#include "common/slab.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PLACE_SIZE = 8192,
    PLACES_MAX = 256 * 1024, /* 2 GB of addresses */
    OPENED_AT_ONCE = 128,
    WORDS = FOLD_SIZE / sizeof(uint64_t),
};

/* What is kept of a place: which words are not zero, and those. */
struct folded {
    uint64_t present[(WORDS + 63) / 64];
    uint64_t words[];
};

/* A link of the queue; zero: it is not in there. */
struct resting {
    struct resting *previous, *next;
    uint64_t since_ms;
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

static struct resting queue = {.previous = &queue, .next = &queue};

bool fold_has(const void *memory)
{
    return region.begin && (uintptr_t)memory - (uintptr_t)region.begin < (uintptr_t)PLACES_MAX * PLACE_SIZE;
}

static union place *place_of(const void *memory)
{
    return &region.places[(size_t)((const char *)memory - region.begin) / PLACE_SIZE];
}

static struct resting *resting_of(void *memory)
{
    return (struct resting *)(void *)((char *)memory + FOLD_SIZE);
}

static void join(struct resting *resting)
{
    *resting = (struct resting){.previous = queue.previous, .next = &queue, .since_ms = clock_mono_ms()};
    resting->previous->next = resting->next->previous = resting;
}

/* Whether it was in the queue. */
static bool leave(struct resting *resting)
{
    if (!resting->next)
        return false;
    resting->previous->next = resting->next;
    resting->next->previous = resting->previous;
    *resting = (struct resting){0};
    return true;
}

static MUST_CHECK bool reserve_region(void)
{
    if (PLACE_SIZE % sysconf(_SC_PAGESIZE) != 0) /* pages would go that others are on */
        return false;
    region.begin = slab_reserve(PLACE_SIZE, PLACES_MAX);
    return region.begin != NULL;
}

static void open_some(void)
{
    if (region.opened == PLACES_MAX || (!region.begin && !reserve_region()) ||
        mprotect(region.begin + region.opened * PLACE_SIZE, (size_t)OPENED_AT_ONCE * PLACE_SIZE,
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
    if (!place)
        return NULL;
    char *memory = region.begin + (size_t)(place - region.places) * PLACE_SIZE;
    *resting_of(memory) = (struct resting){0};
    return memory;
}

static size_t size_of(const struct folded *folded)
{
    size_t words = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(folded->present); i++)
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
    if (madvise(memory, PLACE_SIZE, MADV_DONTNEED) != 0)
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

void fold_give(void *memory)
{
    union place *place = place_of(memory);
    pthread_mutex_lock(&lock);
    if (place->folded)
        forget(place);
    else
        (void)leave(resting_of(memory));
    (void)madvise(memory, PLACE_SIZE, MADV_DONTNEED);
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
    (void)leave(resting_of(memory));
    join(resting_of(memory));
    pthread_mutex_unlock(&lock);
}

void fold_wake(void *memory)
{
    if (!fold_has(memory))
        return;
    pthread_mutex_lock(&lock);
    if (place_of(memory)->folded)
        unfold(memory);
    else
        (void)leave(resting_of(memory));
    pthread_mutex_unlock(&lock);
}

bool fold_oldest(uint64_t age_ms, size_t most)
{
    pthread_mutex_lock(&lock);
    uint64_t now = clock_mono_ms();
    for (; most > 0 && queue.next != &queue && now - queue.next->since_ms >= age_ms; most--) {
        void *memory = (char *)queue.next - FOLD_SIZE;
        (void)leave(queue.next);
        fold(memory);
    }
    bool is_any_left = queue.next != &queue;
    pthread_mutex_unlock(&lock);
    return is_any_left;
}
