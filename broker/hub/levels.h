/* SPDX-License-Identifier: MIT */
/* Carries what the table knows of the servers' lists into the registry, for the day when the table is gone: every few
 * seconds what has changed since, in slices over turns of the loop. Loop thread only. */
#ifndef HUB_LEVELS_H
#define HUB_LEVELS_H

#include "broker/hub/registry.h"
#include "broker/hub/roster.h"
#include "common/compiler.h"
#include "common/table.h"

#include <uv.h>

enum levels_outcome { LEVELS_BUSY = 1 /* a row could not be read */ };

struct levels;

/* 0 or -ENOMEM. */
MUST_CHECK int levels_open(uv_loop_t *loop, struct table *table, struct roster *roster, struct registry *registry,
                           struct levels **out);

/* To be called once a second: begins a pass when one is due. */
void levels_tick(struct levels *levels);

/* Stores everything that has changed, before it returns: when the hub stops. 0, LEVELS_BUSY, or a negative errno. */
MUST_CHECK int levels_flush(struct levels *levels);

/* Gives back the memory of rows that are in no use. */
void levels_forget(struct levels *levels, uint32_t first, uint32_t end);

/* Stores nothing. NULL does nothing. */
void levels_close(struct levels *levels);

#endif
