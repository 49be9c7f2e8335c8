/* SPDX-License-Identifier: MIT */
/* A held TLS connection is one large piece and some fifty small ones, made in the middle of a handshake, which uses ten
 * times as much for a moment. From the heap they would lie scattered among all that, and keep nearly every page of it: a
 * connection would cost twice what it holds. So they come from a slab, pieces of a size side by side, and what is left on
 * the heap are buffers of handshakes (and libcurl's), which go back whole once it is trimmed.
 *
 * Which pieces are going to be held, OpenSSL does not say. They are small, or the connection itself, which is larger than
 * 6 KB and has no others of its size beside it. Of the small ones that are not held, most are contexts and certificates, and
 * of those park_tls.c tells. */
#include "worker/http/tls_memory.h"

#include "common/slab.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_MAX = 1024, LARGE_MIN = 6 * 1024 };

static struct slab slab;

static _Thread_local bool brief;

static bool is_held(size_t size)
{
    return !brief && (size <= SMALL_MAX || (size >= LARGE_MIN && size <= SLAB_SIZE_MAX));
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
    return is_held(size) ? slab_take(&slab, aligned(size)) : malloc(size);
}

static void give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t size = slab_size_of(memory);
    if (size > 0)
        slab_give(&slab, memory, size);
    else
        free(memory);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    size_t had = slab_size_of(memory);
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
