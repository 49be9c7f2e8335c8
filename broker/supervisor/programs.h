/* SPDX-License-Identifier: MIT */
/* What a child is made of: its executable and its environment. */
#ifndef BROKER_SUPERVISOR_PROGRAMS_H
#define BROKER_SUPERVISOR_PROGRAMS_H

#include "common/compiler.h"
#include "common/problems.h"

#include <limits.h>

struct programs {
    char hub[PATH_MAX];
    char worker[PATH_MAX];
    char **hub_environment, **worker_environment; /* NULL-terminated; the texts are the process's own */
};

/* 0, or 1 with a problem for each that is missing. Free it with programs_fini in either case. */
MUST_CHECK int programs_init(struct programs *programs, struct problems *problems);
void programs_fini(struct programs *programs);

#endif
