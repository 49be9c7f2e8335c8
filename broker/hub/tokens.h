/* SPDX-License-Identifier: MIT */
/* Answers the workers' questions about bearer tokens on tokens.sock (common/token_lease.h), at once, and keeps refresh
 * tokens in the registry, the only place on disk where there are any. */
#ifndef HUB_TOKENS_H
#define HUB_TOKENS_H

#include "broker/hub/registry.h"
#include "broker/hub/roster.h"
#include "common/compiler.h"

#include <uv.h>

struct tokens_options {
    const char *run_dir;
    struct registry *registry;
    struct roster *roster;
};

struct tokens;

/* 0 or a negative errno, which has been logged. What `options` names lives longer. */
MUST_CHECK int tokens_open(uv_loop_t *loop, const struct tokens_options *options, struct tokens **out);

/* To be called once a second: forgets, now and then, what is over, and what no definition has any more. */
void tokens_tick(struct tokens *tokens);

/* NULL does nothing. */
void tokens_close(struct tokens *tokens);

#endif
