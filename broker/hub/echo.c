/* SPDX-License-Identifier: MIT */
/* The hub subscribes to the channels on which it publishes, because other machines publish there, too. So each of its
 * own events comes back, and must not reach local subscribers, who had it already, again. The JSON of the events is a
 * contract that has no field for the sender; what tells is that we remember the 128-bit hash of what we sent.
 *
 * A ring of hashes in the order of publishing, and a hash table over it (chains of ring places). The same payload
 * may stand there more than once (a command whose reply was lost is sent again, and Redis may have taken both): each
 * return takes the oldest. A place whose hash was taken is skipped until the ring comes round to it.
 */
#include "broker/hub/echo.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <xxhash.h>

struct place {
    XXH128_hash_t hash;
    uint32_t next; /* in the chain: place + 1, or 0 */
    bool waiting;
};

struct echo {
    size_t mask;
    size_t cursor;    /* the place that is written next: the oldest */
    uint32_t *chains; /* place + 1, or 0; newest last */
    struct place *ring;
};

static XXH128_hash_t hash_of(unsigned type, const void *payload, size_t size)
{
    return XXH3_128bits_withSeed(payload, size, type);
}

int echo_create(size_t capacity, struct echo **out)
{
    assert(capacity > 0 && (capacity & (capacity - 1)) == 0 && capacity < UINT32_MAX);
    struct echo *echo = calloc(1, sizeof(*echo));
    if (!echo)
        return -ENOMEM;
    echo->mask = capacity - 1;
    echo->chains = calloc(capacity, sizeof(*echo->chains));
    echo->ring = calloc(capacity, sizeof(*echo->ring));
    if (!echo->chains || !echo->ring) {
        echo_destroy(echo);
        return -ENOMEM;
    }
    *out = echo;
    return 0;
}

void echo_destroy(struct echo *echo)
{
    if (!echo)
        return;
    free(echo->chains);
    free(echo->ring);
    free(echo);
}

static uint32_t *chain_of(struct echo *echo, XXH128_hash_t hash)
{
    return &echo->chains[hash.low64 & echo->mask];
}

static void unlink_place(struct echo *echo, uint32_t place)
{
    uint32_t *link = chain_of(echo, echo->ring[place].hash);
    while (*link != place + 1) {
        assert(*link);
        link = &echo->ring[*link - 1].next;
    }
    *link = echo->ring[place].next;
    echo->ring[place].waiting = false;
}

void echo_remember(struct echo *echo, unsigned type, const void *payload, size_t size)
{
    uint32_t place = (uint32_t)echo->cursor;
    echo->cursor = (echo->cursor + 1) & echo->mask;
    if (echo->ring[place].waiting)
        unlink_place(echo, place);
    XXH128_hash_t hash = hash_of(type, payload, size);
    uint32_t *link = chain_of(echo, hash);
    while (*link)
        link = &echo->ring[*link - 1].next;
    echo->ring[place] = (struct place){.hash = hash, .waiting = true};
    *link = place + 1;
}

bool echo_take(struct echo *echo, unsigned type, const void *payload, size_t size)
{
    XXH128_hash_t hash = hash_of(type, payload, size);
    for (uint32_t at = *chain_of(echo, hash); at; at = echo->ring[at - 1].next) {
        if (XXH128_isEqual(echo->ring[at - 1].hash, hash)) {
            unlink_place(echo, at - 1);
            return true;
        }
    }
    return false;
}
