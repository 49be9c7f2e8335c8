/* SPDX-License-Identifier: MIT */
/* The hub's heartbeat: once a second it tells the table that the loop turns, and how long its longest turn was. */
#ifndef HUB_PULSE_H
#define HUB_PULSE_H

#include "common/compiler.h"
#include "common/table.h"

#include <stdint.h>
#include <uv.h>

struct pulse;

/* Takes the hub's slot; `on_second` runs after each beat. 0 or -ENOMEM. */
MUST_CHECK int pulse_start(uv_loop_t *loop, struct table *table, uint64_t start_count, void (*on_second)(void *user),
                           void *user, struct pulse **out);

/* Gives the slot back. NULL does nothing. */
void pulse_cancel(struct pulse *pulse);

#endif
