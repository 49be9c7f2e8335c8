/* SPDX-License-Identifier: MIT */
/* Counts in windows, not by a bucket that leaks: two bounds on one count (tell less often, stop listening) need one of these,
 * and what a user reads, so many a minute, is what is counted. The price, twice the bound across the end of a minute, is none
 * for bounds that are there to stop floods. */
#include "common/rate.h"

uint32_t rate_count(struct rate *rate, uint64_t now_ms)
{
    uint32_t now_s = (uint32_t)(now_ms / 1000);
    if (rate->count == 0 || now_s - rate->since_s >= RATE_MS / 1000)
        *rate = (struct rate){.since_s = now_s};
    if (rate->count < UINT32_MAX)
        rate->count++;
    return rate->count;
}
