/* SPDX-License-Identifier: MIT */
/* Waiting is policy, and policy is arithmetic: no clock, no generator of random numbers and no timer here, so that each
 * rule has its test. The caller (conn) counts failures, knows the time and arms the timer.
 *
 * Jitter is always on the whole wait, also on the slow ones: ten thousand connections that one outage ended together
 * must not come back together. What a server asks for is a lower bound and is itself bounded, so that no server can
 * make the broker forget it. */
#include "worker/conn/retry.h"

uint64_t retry_jitter(uint64_t interval_ms, uint32_t random)
{
    /* 4/5 + 2/5 · random/2^32, in parts so that no interval overflows */
    uint64_t span = interval_ms / 5 * 2;
    uint64_t low = interval_ms - interval_ms / 5;
    return low + (span >> 32) * random + (((span & UINT32_MAX) * random) >> 32);
}

uint64_t retry_backoff(uint64_t base_ms, uint64_t max_ms, unsigned failures, uint64_t asked_ms, uint32_t random)
{
    uint64_t wait = base_ms;
    for (unsigned n = 1; n < failures && wait < max_ms; n++)
        wait = wait > max_ms / 2 ? max_ms : wait * 2;
    if (wait > max_ms)
        wait = max_ms;
    wait = retry_jitter(wait, random);
    uint64_t asked = asked_ms < RETRY_ASKED_MAX_MS ? asked_ms : RETRY_ASKED_MAX_MS;
    return wait > asked ? wait : asked;
}

bool retry_exhausted(unsigned failures, uint64_t max_attempts)
{
    return failures >= max_attempts;
}

bool retry_session_at_once(uint64_t last_ms, uint64_t now_ms, uint64_t stable_ms)
{
    return last_ms == 0 || now_ms - last_ms >= stable_ms;
}

uint64_t retry_spread(size_t count, uint32_t random)
{
    uint64_t span = count / 5;
    if (span > RETRY_SPREAD_MAX_MS)
        span = RETRY_SPREAD_MAX_MS;
    return (span * random) >> 32;
}
