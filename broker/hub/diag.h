/* SPDX-License-Identifier: MIT */
/* The diagnostics socket: answers operators' and platforms' questions (common/question.h) and carries out what they ask
 * for. Runs on the loop. */
#ifndef HUB_DIAG_H
#define HUB_DIAG_H

#include "broker/hub/audit.h"
#include "broker/hub/diag_view.h"
#include "broker/hub/roster.h"
#include "broker/hub/watchlist.h"
#include "common/compiler.h"
#include "common/config.h"
#include "common/table.h"

#include <stdint.h>
#include <uv.h>

struct diag_options {
    const char *run_dir;
    struct table *table;
    struct roster *roster;
    struct watchlist *watchlist;
    /* What `status` tells beside the table. */
    void (*get_facts)(void *user, struct diag_facts *out);
    const struct config *config; /* as it is at the moment of a question */
    /* Says it over the link; 0 or a negative errno. */
    int (*ask_supervisor)(void *user, const char *word, const char *argument);
    void *user;
};

struct diag;

/* 0 or a negative errno, which has been logged. What `options` names lives longer. */
MUST_CHECK int diag_open(uv_loop_t *loop, const struct diag_options *options, struct diag **out);

/* The state of the server at `row` may have changed. */
void diag_state_changed(struct diag *diag, uint32_t row);

/* Clients that were turned away: there were too many. */
uint64_t diag_refused(const struct diag *diag);

/* From now on nothing is changed any more; those who wait are told. */
void diag_stop(struct diag *diag);

/* NULL does nothing. */
void diag_close(struct diag *diag);

#endif
