/* SPDX-License-Identifier: MIT */
/* The configuration for people: what was set, as they would write it. */
#ifndef COMMON_CONFIG_VIEW_H
#define COMMON_CONFIG_VIEW_H

#include "common/compiler.h"
#include "common/config.h"

#include <jansson.h>

/* {"workers":4,"connect-timeout":"20s","redis":"redis://host:6379",…}: the settings whose value is not the default, by
 * their flags' names. Never a password. A new reference, or NULL without memory. */
MUST_CHECK json_t *config_view(const struct config *config);

#endif
