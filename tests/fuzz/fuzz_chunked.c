/* SPDX-License-Identifier: MIT */
/* Fuzz target of the decoder of chunked bodies. The first byte says how the rest is cut into reads. Data must lie within
 * what was read, come in order, and be the same whatever the pieces are. */
#include "worker/http/chunked.h"

#include <stdint.h>
#include <stdlib.h>

struct digest {
    uint64_t sum;
    size_t size;
    size_t used;
    int outcome;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct digest run(const uint8_t *bytes, size_t size, size_t piece)
{
    struct chunked chunked = {0};
    struct digest digest = {0};
    while (digest.used < size && digest.outcome == 0) {
        const uint8_t *at = bytes + digest.used;
        const uint8_t *end = at + (piece < size - digest.used ? piece : size - digest.used);
        const uint8_t *data, *before = at;
        size_t data_size;
        while ((digest.outcome = chunked_next(&chunked, &at, end, &data, &data_size)) == CHUNKED_DATA) {
            if (data_size == 0 || data < before || data + data_size > at)
                abort();
            for (size_t i = 0; i < data_size; i++)
                digest.sum = (digest.sum ^ data[i]) * UINT64_C(0x100000001b3);
            digest.size += data_size;
            before = at;
        }
        if (at > end || (digest.outcome == 0 && at != end))
            abort();
        digest.used = (size_t)(at - bytes);
    }
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    struct digest whole = run(bytes + 1, size - 1, size);
    struct digest pieces = run(bytes + 1, size - 1, (size_t)bytes[0] % 16 + 1);
    if (whole.sum != pieces.sum || whole.size != pieces.size || whole.used != pieces.used ||
        whole.outcome != pieces.outcome)
        abort();
    return 0;
}
