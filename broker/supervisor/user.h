/* SPDX-License-Identifier: MIT */
/* --user: the broker started by root, and being somebody else from then on. */
#ifndef BROKER_SUPERVISOR_USER_H
#define BROKER_SUPERVISOR_USER_H

#include "common/compiler.h"
#include "common/config.h"
#include "common/problems.h"

#include <stdbool.h>

/* Becomes the user of the configuration, for good; nothing without one, or when it is that one already. Before that, when
 * `makes_dirs`, makes run and state directory and gives them to the user, with what an earlier broker of root left in
 * them; a directory that holds anything else is not touched. 0, or 1 with a problem. */
MUST_CHECK int user_become(const struct config *config, bool makes_dirs, struct problems *problems);

#endif
