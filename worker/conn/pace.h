/* SPDX-License-Identifier: MIT */
/* How many of something may begin in a second: evenly, with a tenth of a second's worth at once, no more for having rested.
 * What is refused is asked for again later; nobody queues. Pure. */
#ifndef WORKER_PACE_H
#define WORKER_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero is at rest. */
struct pace {
    uint64_t full_us; /* until then all that may begin has been given away */
};

/* True when one more may begin at `now_ms` of a monotonic clock, `a_second` (not 0) being allowed. */
bool pace_take(struct pace *pace, unsigned a_second, uint64_t now_ms);

#endif
