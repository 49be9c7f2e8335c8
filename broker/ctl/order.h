/* SPDX-License-Identifier: MIT */
/* Servers in another order than the table's. Pure. */
#ifndef CTL_ORDER_H
#define CTL_ORDER_H

#include "common/compiler.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Whether there is an order of this name. */
bool order_is_known(const char *name);

/* Writes all names, with a blank before each. */
void order_write_names(FILE *out);

/* The servers in the order of this name, which is known; a new reference, or NULL without memory. */
MUST_CHECK json_t *order_sorted(const json_t *servers, const char *name);

#endif
