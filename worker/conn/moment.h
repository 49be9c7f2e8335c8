/* SPDX-License-Identifier: MIT */
/* A time in half the room: the low 32 bits of a clock's milliseconds, from which whoever knows what time it is now has the
 * whole again, as long as it is less than MOMENT_PAST_MS ago and less than 45 days to come. Each connection holds several
 * times, none of which is ever further away. Pure. */
#ifndef WORKER_MOMENT_H
#define WORKER_MOMENT_H

#include <stdint.h>

enum { MOMENT_PAST_MS = 4 * 24 * 60 * 60 * 1000 };

static inline uint32_t moment_of(uint64_t ms)
{
    return (uint32_t)ms;
}

/* What `moment` is the lower half of. */
static inline uint64_t moment_ms(uint32_t moment, uint64_t now_ms)
{
    uint64_t earliest_ms = now_ms - MOMENT_PAST_MS;
    return earliest_ms + (uint32_t)(moment - (uint32_t)earliest_ms);
}

#endif
