/* SPDX-License-Identifier: MIT */
/* The supervisor: one hub and some workers, kept running until it is told to stop. */
#ifndef BROKER_SUPERVISOR_SUPERVISOR_H
#define BROKER_SUPERVISOR_SUPERVISOR_H

#include "broker/supervisor/programs.h"
#include "common/compiler.h"
#include "common/config.h"

/* Borrowed for the call. */
struct supervisor_options {
    struct config *config; /* replaced in place by a reload */
    int argc;              /* the command line, read again by a reload */
    char *const *argv;
    const struct programs *programs;
    const char *files;    /* common/named_files.h, as far as it is known at the start */
    unsigned workers_max; /* slots of the table */
};

/* Starts all and returns when all have stopped: 0 when that was in order, 1 when something had to be killed or nothing
 * could be started. */
MUST_CHECK int supervisor_run(const struct supervisor_options *options);

#endif
