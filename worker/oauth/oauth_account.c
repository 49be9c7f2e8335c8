/* SPDX-License-Identifier: MIT */
/* The way of an account to a token:
 *
 *     IDLE -> DISCOVERING -> ASKING a grant -> ANSWERING -> IDLE
 *          `-- the way is known --^   ^-- another scope is wanted meanwhile, or its token was refused
 *
 * Whoever asks meanwhile waits for the same answer. What a refusal teaches is kept: where the metadata is, which scope
 * is wanted. Each challenge of a 401 leads through discovery again, since the server may have moved to another
 * authorization server; but a refused token that is no longer ours is answered with the one that is.
 *
 * The scope is the definition's, else the challenge's, else the metadata's; and what a 403 asked for beside it, until
 * that is refused. */
#include "worker/oauth/oauth_internal.h"

#include "common/clock.h"
#include "worker/oauth/www_authenticate.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char AUTHORIZATION[] = "authorization";

void oauth_account_destroy(struct oauth_account *account)
{
    assert(account->waits == NULL);
    oauth_discovery_cancel(&account->discovery);
    if (account->grant != NULL) {
        oauth_grant_forget_asking(account->grant, account);
        oauth_grant_release(account->grant);
    }
    oauth_way_fini(&account->way);
    oauth_network_fini(&account->network);
    json_decref(account->auth);
    free(account->server_url);
    free(account->metadata_url);
    free(account->challenge_scope);
    free(account->more_scope);
    free(account);
}

const char *oauth_account_token(const struct oauth_account *account)
{
    return account->grant != NULL ? oauth_grant_token(account->grant) : NULL;
}

bool oauth_account_is_second_hand(const struct oauth_account *account)
{
    return account->grant != NULL && account->grant->is_second_hand;
}

bool oauth_account_knows_way(const struct oauth_account *account)
{
    return account->way.token_endpoint != NULL || json_object_get(account->auth, "tokenEndpoint") != NULL;
}

/* --- the work --- */

static void fail(struct oauth_account *account, const struct oauth_failure *failure)
{
    account->failure = *failure;
    account->failed_until_ms = clock_mono_ms() + OAUTH_REMEMBER_MS;
    oauth_answer_soon(account);
}

static void fail_without_memory(struct oauth_account *account)
{
    struct oauth_failure failure;
    oauth_failure_of_errno(&failure, AUTHORIZATION, -ENOMEM);
    fail(account, &failure);
}

static void get_scope(const struct oauth_account *account, char scope[OAUTH_SCOPE_SIZE])
{
    const char *base = json_string_value(json_object_get(account->auth, "scope"));
    if (base == NULL)
        base = account->challenge_scope != NULL ? account->challenge_scope : account->way.scope;
    snprintf(scope, OAUTH_SCOPE_SIZE, "%s", base != NULL ? base : "");
    if (account->more_scope != NULL && !oauth_metadata_add_scope(scope, account->more_scope))
        return; /* it has them all, or has no room: then as it is */
}

/* Asks the grant for the way and the scope as they are now. */
static void ask(struct oauth_account *account)
{
    char scope[OAUTH_SCOPE_SIZE];
    get_scope(account, scope);
    struct oauth_grant *grant = oauth_grant_get(account->oauth, account, scope);
    if (account->grant != NULL)
        oauth_grant_release(account->grant);
    account->grant = grant;
    if (grant == NULL) {
        fail_without_memory(account);
        return;
    }
    account->phase = ACCOUNT_ASKING;
    oauth_grant_ask(grant, account);
}

/* What an authorization server refuses that is only the next best is no last word: the way is looked for again. */
static void fail_for_grant(struct oauth_account *account, const struct oauth_failure *failure)
{
    struct oauth_failure later = *failure;
    if (account->way.is_second_best) {
        later.reason = later.reason == OAUTH_REFUSED ? OAUTH_OUTAGE : later.reason;
        oauth_way_fini(&account->way);
    }
    fail(account, &later);
}

void oauth_account_on_grant(struct oauth_account *account, const struct oauth_failure *failure)
{
    char scope[OAUTH_SCOPE_SIZE];
    get_scope(account, scope);
    if (strcmp(scope, account->grant->way.scope) != 0) {
        ask(account);
    } else if (failure != NULL) {
        free(account->more_scope);
        account->more_scope = NULL;
        fail_for_grant(account, failure);
    } else {
        account->failure.reason = 0;
        oauth_answer_soon(account);
    }
}

static void on_discovered(void *user, struct oauth_way *way, const struct oauth_failure *failure)
{
    struct oauth_account *account = user;
    account->discovery = NULL;
    if (failure != NULL) {
        fail(account, failure);
        return;
    }
    oauth_way_fini(&account->way);
    account->way = *way;
    ask(account);
}

static void discover(struct oauth_account *account)
{
    struct oauth_way way;
    if (oauth_way_from_auth(account->auth, account->server_url, &way)) {
        on_discovered(account, &way, NULL);
        return;
    }
    account->phase = ACCOUNT_DISCOVERING;
    int result = oauth_discovery_start(&account->network, account->server_url, account->auth,
                                       account->metadata_url != NULL ? account->metadata_url : "", on_discovered,
                                       account, &account->discovery);
    if (result != 0) {
        struct oauth_failure failure;
        oauth_failure_of_errno(&failure, AUTHORIZATION, result);
        fail(account, &failure);
    }
}

/* Begins, unless there is something under way, or an answer already. */
static void work(struct oauth_account *account, bool again_from_start)
{
    if (account->phase != ACCOUNT_IDLE)
        return;
    bool has_token = oauth_account_token(account) != NULL;
    if (has_token || clock_mono_ms() >= account->failed_until_ms)
        account->failure.reason = 0;
    if (has_token || account->failure.reason != 0)
        oauth_answer_soon(account);
    else if (again_from_start || account->way.token_endpoint == NULL)
        discover(account);
    else
        ask(account);
}

/* --- refusals --- */

bool oauth_refusal_is_answerable(int status, const char *www_authenticate)
{
    struct www_authenticate challenge;
    if (status != 403)
        return status == 401;
    www_authenticate_parse(www_authenticate, &challenge);
    return strcmp(challenge.error, "insufficient_scope") == 0 && challenge.scope[0] != '\0';
}

/* Replaces a text by a copy of one that is not empty. False without memory. */
static bool remember(char **text, const char *news)
{
    char *copy = strdup(news);
    if (copy == NULL)
        return false;
    free(*text);
    *text = copy;
    return true;
}

/* What the challenge of a 401 teaches. False without memory. */
static bool learn(struct oauth_account *account, const struct www_authenticate *challenge)
{
    return (challenge->resource_metadata[0] == '\0' ||
            remember(&account->metadata_url, challenge->resource_metadata)) &&
           (challenge->scope[0] == '\0' || remember(&account->challenge_scope, challenge->scope));
}

/* Adds the scopes that a 403 asks for. False when they have been asked for already, or there is no room. */
static bool step_up(struct oauth_account *account, const struct www_authenticate *challenge)
{
    char scope[OAUTH_SCOPE_SIZE];
    char more[OAUTH_SCOPE_SIZE] = "";
    get_scope(account, scope);
    if (!oauth_metadata_add_scope(scope, challenge->scope))
        return false;
    if (account->more_scope != NULL)
        snprintf(more, sizeof(more), "%s", account->more_scope);
    return oauth_metadata_add_scope(more, challenge->scope) && remember(&account->more_scope, more);
}

static void on_refusal(struct oauth_account *account, const struct oauth_refusal *refusal)
{
    struct www_authenticate challenge;
    const char *token = oauth_account_token(account);
    www_authenticate_parse(refusal->www_authenticate, &challenge);
    if (token != NULL && !oauth_same_text(token, refusal->token)) {
        work(account, false); /* there is another one already */
    } else if (refusal->status == 401) {
        if (token != NULL)
            oauth_grant_drop_token(account->grant);
        if (!learn(account, &challenge) && account->phase == ACCOUNT_IDLE)
            fail_without_memory(account);
        else
            work(account, true);
    } else if (account->phase != ACCOUNT_IDLE) {
        (void)step_up(account, &challenge); /* if there is nothing to add, the server will say so again */
    } else if (step_up(account, &challenge)) {
        if (account->way.token_endpoint == NULL)
            work(account, true);
        else
            ask(account);
    } else {
        struct oauth_failure failure;
        oauth_failure_set(&failure, OAUTH_REFUSED, "the server wants scopes that the token has been asked with");
        fail(account, &failure);
    }
}

/* --- those who wait --- */

int oauth_wait_start(struct oauth_account *account, const struct oauth_refusal *refusal,
                     void (*on_answer)(void *user, const char *token, const struct oauth_failure *failure), void *user,
                     struct oauth_wait **out)
{
    struct oauth_wait *wait = malloc(sizeof(*wait));
    if (wait == NULL)
        return -ENOMEM;
    *wait = (struct oauth_wait){.next = account->waits, .link = &account->waits, .on_answer = on_answer, .user = user};
    if (wait->next != NULL)
        wait->next->link = &wait->next;
    account->waits = wait;
    *out = wait;
    if (refusal != NULL)
        on_refusal(account, refusal);
    else
        work(account, false);
    return 0;
}

static void unlink_wait(struct oauth_wait *wait)
{
    *wait->link = wait->next;
    if (wait->next != NULL)
        wait->next->link = wait->link;
}

void oauth_wait_cancel(struct oauth_wait **wait)
{
    if (*wait == NULL)
        return;
    unlink_wait(*wait);
    free(*wait);
    *wait = NULL;
}

void oauth_account_answer(struct oauth_account *account)
{
    struct oauth_failure failure = account->failure;
    const char *current = oauth_account_token(account);
    account->phase = ACCOUNT_IDLE;
    if (failure.reason == 0 && current == NULL) { /* refused, or expired, since it came */
        ask(account);
        return;
    }
    char *token = failure.reason == 0 ? strdup(current) : NULL;
    if (failure.reason == 0 && token == NULL)
        oauth_failure_of_errno(&failure, AUTHORIZATION, -ENOMEM);
    /* From here on the account may be released by whoever is told: only this list is looked at. */
    struct oauth_wait *waits = account->waits;
    account->waits = NULL;
    if (waits != NULL)
        waits->link = &waits;
    while (waits != NULL) {
        struct oauth_wait *wait = waits;
        unlink_wait(wait); /* NOLINT(clang-analyzer-unix.Malloc): moves `waits` on, through wait->link */
        wait->on_answer(wait->user, token, token != NULL ? NULL : &failure);
        free(wait);
    }
    free(token);
}
