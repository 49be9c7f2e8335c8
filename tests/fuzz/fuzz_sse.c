/* SPDX-License-Identifier: MIT */
/* Fuzz target of the event stream parser. The first byte says how the rest is cut into reads. What is fed in pieces
 * must come out as what is fed whole, whatever the bytes are. */
#include "worker/http/sse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT_MAX = 256 };

/* What was heard, folded into one number. */
struct digest {
    uint64_t sum;
    unsigned events;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void fold(struct digest *digest, const char *bytes, size_t size)
{
    for (size_t i = 0; i <= size; i++) /* the NUL behind it, too */
        digest->sum = (digest->sum ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
}

static bool on_event(void *user, const char *type, const char *data, size_t size)
{
    struct digest *digest = user;
    fold(digest, type, strlen(type));
    fold(digest, data, size);
    digest->events++;
    return true;
}

static const struct sse_handlers HANDLERS = {.on_event = on_event};

static int run(const uint8_t *bytes, size_t size, size_t piece, struct digest *digest)
{
    struct sse sse;
    sse_init(&sse);
    int result = 0;
    const uint8_t *end = bytes + size;
    for (const uint8_t *at = bytes; at < end && result == 0;)
        result = sse_feed(&sse, EVENT_MAX, &at, piece < (size_t)(end - at) ? at + piece : end, &HANDLERS, digest);
    fold(digest, sse_last_id(&sse), strlen(sse_last_id(&sse)));
    digest->sum += sse_retry_ms(&sse);
    sse_fini(&sse);
    return result;
}

/* A cut line is found to be too large before its end has come, or not at all when the input ends: only streams that
 * pass whole are compared. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = (size_t)bytes[0] % 16 + 1;
    struct digest whole = {0};
    struct digest pieces = {0};
    int whole_result = run(bytes + 1, size - 1, size, &whole);
    int pieces_result = run(bytes + 1, size - 1, piece, &pieces);
    if (whole_result != pieces_result)
        abort();
    if (whole_result == 0 && (whole.sum != pieces.sum || whole.events != pieces.events))
        abort();
    return 0;
}
