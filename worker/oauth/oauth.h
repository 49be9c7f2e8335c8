/* SPDX-License-Identifier: MIT */
/* Bearer tokens for servers whose definition has `auth` (common/server_def_auth.h). One engine a worker.
 *
 *     account   a server's URL and auth: knows the way to a token, which it discovers when the server asks for one
 *     grant     what is asked for at a token endpoint, and the token; shared by all accounts that ask for the same
 *
 * Connections to one server share an account, and accounts of one authorization server share a grant if client,
 * resource and scope are the same: one token request serves all, also those of other workers, by way of the hub
 * (oauth_share). A token is renewed before it expires for as long as
 * there is an account that uses it. An account that nobody holds is kept for some minutes, for the next attempt.
 *
 * A failure is remembered for a moment, so that many who share a grant don't ask in vain one after another; when to try
 * again is the callers' business. Loop thread only. */
#ifndef WORKER_OAUTH_H
#define WORKER_OAUTH_H

#include "common/compiler.h"
#include "common/server_def.h"
#include "worker/http/http.h"
#include "worker/oauth/oauth_failure.h"
#include "worker/oauth/tokens.h"

#include <stdbool.h>
#include <uv.h>

struct oauth;
struct oauth_account;
struct oauth_wait;

/* `http` lives longer. 0 or a negative errno. */
MUST_CHECK int oauth_create(uv_loop_t *loop, struct http *http, struct oauth **out);
/* All accounts must have been released; not from within a callback. The loop frees the memory in its next turn. NULL
 * does nothing. */
void oauth_destroy(struct oauth *oauth);

/* Shares tokens with the other workers; before the first account is opened. `tokens` lives longer. */
void oauth_share(struct oauth *oauth, struct tokens *tokens);

/* A refresh token is on its way to be replaced, or its successor to be told: who leaves should wait a moment. */
bool oauth_is_busy(const struct oauth *oauth);

/* The account for a definition with `auth`; it asks where `guard` lets it (`guard_user` outlives the engine). Release
 * it. 0 or -ENOMEM. */
MUST_CHECK int oauth_account_open(struct oauth *oauth, const struct server_def *def, http_guard guard,
                                  const void *guard_user, struct oauth_account **out);
/* Returns `account`; release it once more. */
struct oauth_account *oauth_account_hold(struct oauth_account *account);
void oauth_account_release(struct oauth_account *account);

/* A token that is good as far as is known, or NULL. Borrowed: copy it at once. */
const char *oauth_account_token(const struct oauth_account *account);

/* True when that token was not got by this worker. */
bool oauth_account_is_second_hand(const struct oauth_account *account);

/* True when a token can be had without the server's having asked for one. */
bool oauth_account_knows_way(const struct oauth_account *account);

/* How a server refused a request. */
struct oauth_refusal {
    int status;
    const char *www_authenticate;
    const char *token; /* that the request had; NULL: none */
};

/* True when another token may help: a 401, or a 403 that asks for scopes. */
bool oauth_refusal_is_answerable(int status, const char *www_authenticate);

/* Wants a token: another one than that which was refused, when `refusal` is given (else NULL). `on_answer` runs once,
 * from the loop, with either a token (for the call), or why there is none; the wait is gone by then. 0 or a negative
 * errno. */
MUST_CHECK int oauth_wait_start(struct oauth_account *account, const struct oauth_refusal *refusal,
                                void (*on_answer)(void *user, const char *token, const struct oauth_failure *failure),
                                void *user, struct oauth_wait **out);
/* Ends it without the callback, and sets *wait to NULL. What was begun goes on, for the next who asks. NULL in *wait
 * does nothing. */
void oauth_wait_cancel(struct oauth_wait **wait);

#endif
