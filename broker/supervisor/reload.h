/* SPDX-License-Identifier: MIT */
/* A second reading of the configuration, while children run on the first. */
#ifndef BROKER_SUPERVISOR_RELOAD_H
#define BROKER_SUPERVISOR_RELOAD_H

#include "common/compiler.h"
#include "common/config.h"

/* Reads flags and file again and puts the result in place of `config`. Settings that a running broker cannot change keep
 * their values, with a warning. 0; or 1 when something is wrong: it is logged, and `config` is as it was. */
MUST_CHECK int reload_config(struct config *config, int argc, char *const argv[]);

#endif
