/* SPDX-License-Identifier: MIT */
/* Random identities. 128 bits from the kernel, so that two never meet, on one machine or on all of them together; not for
 * jitter, which needs no good randomness. */
#include "common/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

int random_id(char out[RANDOM_ID_SIZE])
{
    uint8_t bytes[RANDOM_ID_SIZE / 2];
    if (getentropy(bytes, sizeof(bytes)) != 0) {
        return -errno;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}
