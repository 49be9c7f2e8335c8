/* SPDX-License-Identifier: MIT */
/* Keeps the service manager's watchdog quiet for as long as the broker is well ($WATCHDOG_USEC). */
#ifndef BROKER_SUPERVISOR_WATCHDOG_H
#define BROKER_SUPERVISOR_WATCHDOG_H

#include "common/compiler.h"

#include <stdbool.h>
#include <uv.h>

struct watchdog;

/* Asks `is_well` twice in each of the watchdog's periods, and tells the service manager when it is. Without a watchdog
 * that watches this process nothing is asked. NULL without memory. */
MUST_CHECK struct watchdog *watchdog_open(uv_loop_t *loop, bool (*is_well)(void *user), void *user);

/* is_well is not called any more; the memory goes when the loop has closed its handle. NULL is fine. */
void watchdog_close(struct watchdog *watchdog);

#endif
