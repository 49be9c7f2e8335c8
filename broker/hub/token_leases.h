/* SPDX-License-Identifier: MIT */
/* The bearer tokens of all workers, and who is getting one: common/token_lease.h as decisions. Tokens are in memory only;
 * what must outlive it (refresh tokens) is told to the caller, who keeps it. Bounded: beyond that, workers get their
 * tokens by themselves. Times are of one monotonic clock, never 0. Pure. */
#ifndef HUB_TOKEN_LEASES_H
#define HUB_TOKEN_LEASES_H

#include "common/compiler.h"
#include "common/token_lease.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOKEN_LEASES_MAX = 16384,         /* grants, and chains */
    TOKEN_LEASES_LEASE_MS = 15000,    /* longer than a token request may take */
    TOKEN_LEASES_REMEMBER_MS = 2000,  /* a failure */
    TOKEN_LEASES_UNTOLD_MS = 3600000, /* a token that came without a lifetime */
};

struct token_leases;

MUST_CHECK struct token_leases *token_leases_create(void);
/* NULL does nothing. */
void token_leases_destroy(struct token_leases *leases);

/* What was kept of a chain; without memory or room it is left out. */
void token_leases_load(struct token_leases *leases, const char *chain, const char *refresh_token);

/* The answer to any question; its texts are borrowed until the next call. True when the chain's refresh token is another
 * one now, which token_leases_refresh_token says. */
MUST_CHECK bool token_leases_answer(struct token_leases *leases, const struct token_lease_question *question,
                                    uint64_t now_ms, struct token_lease_answer *answer);

/* NULL: the definition's is to be used. Borrowed until the next call. */
const char *token_leases_refresh_token(const struct token_leases *leases, const char *chain);

/* Forgets what is over. */
void token_leases_sweep(struct token_leases *leases, uint64_t now_ms);

/* Chains with a refresh token. */
size_t token_leases_chains(const struct token_leases *leases);
/* Forgets those of which `keeps` is false, after which it may not change anything here. */
void token_leases_forget(struct token_leases *leases, bool (*keeps)(void *user, const char *chain), void *user);

#endif
