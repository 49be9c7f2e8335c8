/* SPDX-License-Identifier: MIT */
/* How often something happened in this minute. A minute begins with the first time that it happens after the last one is
 * over, so a bound on the count lets exactly that many through at once. Small: there is one for each server. Pure. */
#ifndef COMMON_RATE_H
#define COMMON_RATE_H

#include <stdint.h>

enum { RATE_MS = 60000 };

/* All zero is at rest. */
struct rate {
    uint32_t since_s;
    uint32_t count;
};

/* It happened, at `now_ms` of a monotonic clock. How often in this minute, with this time. */
uint32_t rate_count(struct rate *rate, uint64_t now_ms);

#endif
