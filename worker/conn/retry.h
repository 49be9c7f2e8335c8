/* SPDX-License-Identifier: MIT */
/* When to try again. Every decision about waiting is here, as a function of what happened and of a random number that
 * the caller brings. Pure. */
#ifndef WORKER_RETRY_H
#define WORKER_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RETRY_ASKED_MAX_MS = 600000, /* longest wait that a server may ask for */
    RETRY_UNSUPPORTED_FACTOR = 4,
    RETRY_RESOURCES_MS = 2000,
    RETRY_SPREAD_MAX_MS = 2000,
    RETRY_LIST_BASE_MS = 5000,
    RETRY_LIST_MAX_MS = 300000,
};

/* min(base · 2^(failures-1), max) × (0.8 … 1.2), but not less than what the server asked for (`asked_ms`, bounded by
 * RETRY_ASKED_MAX_MS; 0: nothing). `failures` counts from 1. */
uint64_t retry_backoff(uint64_t base_ms, uint64_t max_ms, unsigned failures, uint64_t asked_ms, uint32_t random);

/* The interval × (0.8 … 1.2), so that what began together does not stay together. */
uint64_t retry_jitter(uint64_t interval_ms, uint32_t random);

/* True when `failures` in a row are as many as are allowed. */
bool retry_exhausted(unsigned failures, uint64_t max_attempts);

/* True when a lost session may be replaced at once: not when the last one was so replaced less than `stable_ms` ago.
 * `last_ms` 0: never. */
bool retry_session_at_once(uint64_t last_ms, uint64_t now_ms, uint64_t stable_ms);

/* How long one of `count` connections that a worker took over waits before its first attempt: up to 0.2 ms for each,
 * 2 s at most. A small shard is back at once, a large one does not fire all its connects in one moment. */
uint64_t retry_spread(size_t count, uint32_t random);

#endif
