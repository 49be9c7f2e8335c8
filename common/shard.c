/* SPDX-License-Identifier: MIT */
/* Rendezvous hashing of servers over workers. The hub asks it where a server belongs, whenever a server comes or the set
 * of workers changes.
 *
 * Each (server, slot) pair has a score, and the slot with the highest has the server. A slot that is added can only win
 * servers for itself, and one that goes away only gives up its own; all others keep their place without anything being
 * stored. The scores must never change between versions: a roll to a new binary would move every server. */
#include "common/shard.h"

#include <stdint.h>
#include <string.h>
#include <xxhash.h>

/* The finalizer of MurmurHash3: each input bit reaches each output bit, so that the scores of one server on
 * neighbouring slots have nothing to do with each other. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    x ^= x >> 33;
    return x;
}

int shard_owner(const char *server_id, const int *slots, size_t count)
{
    uint64_t id_hash = XXH3_64bits(server_id, strlen(server_id));
    uint64_t best_score = 0;
    int best = -1;
    for (size_t i = 0; i < count; i++) {
        uint64_t score = mix(id_hash ^ mix((uint64_t)slots[i] + 1));
        if (best < 0 || score > best_score || (score == best_score && slots[i] < best)) {
            best_score = score;
            best = slots[i];
        }
    }
    return best;
}
