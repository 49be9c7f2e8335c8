/* SPDX-License-Identifier: MIT */
/* What to do when a child has died. Pure: the clock and the dice are the caller's. */
#ifndef BROKER_SUPERVISOR_RESTART_POLICY_H
#define BROKER_SUPERVISOR_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RESTART_SOON_DEATHS = 3, /* within RESTART_SOON_MS: wait before the next start */
    RESTART_SOON_MS = 10000,
    RESTART_MANY_DEATHS = 10, /* within RESTART_MANY_MS: out of service */
    RESTART_MANY_MS = 60000,
    RESTART_IN_A_ROW = 5,   /* deaths that were not answered at once: out of service */
    RESTART_DELAY_MS = 500, /* doubles with each one; before jitter of a fifth to either side */
};

/* A child's recent deaths. All zero at first. */
struct restart_history {
    uint64_t deaths_ms[RESTART_MANY_DEATHS]; /* the last ones, newest first */
    unsigned count;                          /* of them that are set */
    unsigned in_a_row;                       /* deaths since the last one that was answered at once */
};

struct death {
    uint64_t at_ms; /* monotonic, above 0 */
    bool was_ready;
    bool bad_configuration; /* it left with EX_CONFIG */
};

enum restart { RESTART_NOW, RESTART_LATER, RESTART_FAIL };

struct restart_decision {
    enum restart restart;
    uint64_t delay_ms; /* of LATER; of FAIL: until it is tried again, 0 for never */
};

/* Records the death and decides. `retry_ms` is how often a child out of service is tried again; `random` any number. */
struct restart_decision restart_decide(struct restart_history *history, const struct death *death, uint64_t retry_ms,
                                       uint32_t random);

#endif
