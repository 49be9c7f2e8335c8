/* SPDX-License-Identifier: MIT */
/* Processes of a broker whose supervisor was killed. */
#ifndef BROKER_SUPERVISOR_LEFTOVERS_H
#define BROKER_SUPERVISOR_LEFTOVERS_H

#include "broker/supervisor/programs.h"
#include "common/compiler.h"
#include "common/problems.h"

/* Waits until none of them may write the table of `run_dir` any more, and kills those that do not leave. Only for who
 * holds the lock of the run directory. 0, or 1 with a problem. */
MUST_CHECK int leftovers_wait(const char *run_dir, const struct programs *programs, struct problems *problems);

#endif
