/* SPDX-License-Identifier: MIT */
/* The directories and limits that a broker needs before its first fork. */
#ifndef BROKER_SUPERVISOR_RUN_DIR_H
#define BROKER_SUPERVISOR_RUN_DIR_H

#include "common/compiler.h"
#include "common/config.h"
#include "common/problems.h"

/* Makes the run directory and the state directory where they are missing. 0, or 1 with problems. */
MUST_CHECK int run_dir_make(const struct config *config, struct problems *problems);

/* The same, checks that they are ours and safe, and takes the lock of the run directory: *lock_fd holds it until it is closed. 0, or 1 with a problem for each thing wrong. */
MUST_CHECK int run_dir_open(const struct config *config, int *lock_fd, struct problems *problems);

/* Raises the soft limit of descriptors to the hard one, which the children inherit, and warns when that is too few for
 * --max-connections. */
void run_dir_raise_limits(const struct config *config);

#endif
