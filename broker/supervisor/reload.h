/* SPDX-License-Identifier: MIT */
/* A second reading of the configuration, while children run on the first; and what `status` tells of the readings:
 * {"readAt": ms, "path": the --config file or null, "error": what was wrong at the last reading or null,
 * "waiting": [flags whose change waits for a restart]}. */
#ifndef BROKER_SUPERVISOR_RELOAD_H
#define BROKER_SUPERVISOR_RELOAD_H

#include "common/compiler.h"
#include "common/config.h"

#include <jansson.h>

/* Of a configuration just read. A new reference, or NULL without memory, which all of this copes with. */
json_t *reload_report(int argc, char *const argv[]);

/* Reads flags and file again and puts the result in place of `config`. Settings that a running broker cannot change keep
 * their values, with a warning. 0; or 1 when something is wrong: it is logged, and `config` is as it was. Either is noted
 * in `report`. */
MUST_CHECK int reload_config(struct config *config, int argc, char *const argv[], json_t *report);

#endif
