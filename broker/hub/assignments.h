/* SPDX-License-Identifier: MIT */
/* Answers the workers' questions on assignments.sock (common/assignment.h draws them): at once when there is something
 * to tell, otherwise when there is. */
#ifndef HUB_ASSIGNMENTS_H
#define HUB_ASSIGNMENTS_H

#include "broker/hub/assign.h"
#include "broker/hub/roster.h"
#include "common/compiler.h"

#include <uv.h>

struct assignments_options {
    const char *run_dir;
    struct table *table;
    struct assign *assign;
    struct roster *roster;
};

struct assignments;

/* 0 or a negative errno, which has been logged. Both `assign` and `roster` live longer. */
MUST_CHECK int assignments_open(uv_loop_t *loop, const struct assignments_options *options, struct assignments **out);

/* NULL does nothing. */
void assignments_close(struct assignments *assignments);

#endif
