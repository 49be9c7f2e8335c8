/* SPDX-License-Identifier: MIT */
/* What hub and workers are told of the configuration and of each other, as messages on their links. Loop thread only. */
#ifndef BROKER_SUPERVISOR_ORDERS_H
#define BROKER_SUPERVISOR_ORDERS_H

#include "broker/supervisor/child.h"
#include "common/buf.h"
#include "common/config.h"

#include <jansson.h>
#include <stdbool.h>

enum { ORDERS_SLOTS_MAX = 4096 };

/* `word` with `head` and the configuration behind it; an empty head leaves the line break. */
void orders_send_config(struct child *child, const char *word, const char *head, const struct config *config);

/* Tells the hub which of the first `wanted` slots are in service and which are not, if that is not what *told has, or in any
 * case; *told then has it. */
void orders_send_slots(struct child *hub, struct child *const *workers, unsigned wanted, bool in_any_case,
                       struct buf *told);

/* Tells the hub what has become of reading the configuration. */
void orders_send_report(struct child *hub, const json_t *report);

#endif
