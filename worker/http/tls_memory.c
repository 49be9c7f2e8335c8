/* SPDX-License-Identifier: MIT */
/* A held TLS connection is one large piece and some two dozen small ones, made in the middle of a handshake, which uses ten
 * times as much for a moment. From the heap they would lie scattered among all that, and keep nearly every page of it: a
 * connection would cost twice what it holds. So they come from a slab, pieces of a size side by side, and what is left on
 * the heap are buffers of handshakes (and libcurl's), which go back whole once it is trimmed.
 *
 * Which pieces are going to be held, OpenSSL does not say. They are small, or the connection itself, which is larger than
 * 6 KB and has no others of its size beside it; it is folded while the peer is silent. Of the small ones that are not held,
 * most are contexts and certificates, and of those park_tls.c tells. */
#include "worker/http/tls_memory.h"

#include "common/slab.h"
#include "worker/http/fold.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_MAX = 1024, LARGE_MIN = 6 * 1024 };

static struct slab slab;

static _Thread_local bool brief;

/* Of a piece that is not from the heap. 0: it is. */
static size_t size_of(const void *memory)
{
    return fold_has(memory) ? FOLD_SIZE : slab_size_of(memory);
}

/* As malloc does; some of it is read in words of 16 bytes. */
static size_t aligned(size_t size)
{
    return (size + 15) / 16 * 16;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0)
        return NULL;
    if (!brief && size <= SMALL_MAX)
        return slab_take(&slab, aligned(size));
    void *large = !brief && size >= LARGE_MIN && size <= FOLD_SIZE ? fold_take() : NULL;
    return large ? large : malloc(size);
}

static void give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (fold_has(memory))
        fold_give(memory);
    else if (slab_size_of(memory) > 0)
        slab_give(&slab, memory, slab_size_of(memory));
    else
        free(memory);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    size_t had = size_of(memory);
    if (memory && had == 0 && size > 0)
        return realloc(memory, size);
    if (memory && size > 0 && size <= had)
        return memory;
    void *larger = take(size, file, line);
    if (memory && (larger || size == 0)) {
        if (larger)
            memcpy(larger, memory, had);
        give(memory, file, line);
    }
    return larger;
}

void tls_memory_init(void)
{
    (void)CRYPTO_set_mem_functions(take, resize, give);
}

void tls_memory_is_brief(bool is_brief)
{
    brief = is_brief;
}

void tls_memory_trim(void)
{
    slab_trim(&slab);
}
