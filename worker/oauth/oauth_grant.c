/* SPDX-License-Identifier: MIT */
/* A token, from the request to its end. One request is under way at most, whoever wants it.
 *
 * Renewed at about four fifths of its life: early enough for some tries before it ends, and not by all grants of a
 * worker at the same moment. A token counts as good until a little before its end, for it is still under way then. A
 * failed renewal costs nothing while the old token is good; after that the next who asks is told.
 *
 * Before a request the hub is asked, who may have the token from another worker, or says that this one is to get it.
 *
 * An authorization server may replace a refresh token each time it is used. The hub keeps the new one, beyond its own
 * end; so who has one to use does not use it while there is no hub. One that is no good any more gives way to that of the
 * definition, once: it may have been let live on. */
#include "worker/oauth/oauth_internal.h"

#include "common/clock.h"
#include "worker/oauth/token_request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN_MAX_MS = 10000, RENEWAL_RETRY_MIN_MS = 1000 };

static const char TOKEN_ENDPOINT[] = "token endpoint";

/* --- which there are --- */

static bool copy_way(struct oauth_way *way, const struct oauth_way *other, const char *scope)
{
    *way = (struct oauth_way){
        .token_endpoint = strdup(other->token_endpoint),
        .audience = strdup(other->audience),
        .resource = strdup(other->resource),
        .scope = strdup(scope),
        .secret_in_body = other->secret_in_body,
    };
    return way->token_endpoint != NULL && way->audience != NULL && way->resource != NULL && way->scope != NULL;
}

static bool is_for(const struct oauth_grant *grant, const struct oauth_account *account, const char *scope)
{
    return strcmp(grant->way.token_endpoint, account->way.token_endpoint) == 0 &&
           strcmp(grant->way.audience, account->way.audience) == 0 &&
           strcmp(grant->way.resource, account->way.resource) == 0 && strcmp(grant->way.scope, scope) == 0 &&
           grant->way.secret_in_body == account->way.secret_in_body &&
           oauth_network_equal(&grant->network, &account->network) && json_equal(grant->auth, account->auth);
}

/* What the hub and the other workers know it by: all that makes up its request. The chain ends with the definition's
 * refresh token (broker/hub/tokens.c). False without memory. */
static bool make_names(struct oauth_grant *grant, bool is_runtime)
{
    const char *refresh_token = json_string_value(json_object_get(grant->auth, "refreshToken"));
    const struct oauth_way *way = &grant->way;
    json_t *key =
        json_pack("[s, s, s, s, b, b, s?, s?, O]", way->token_endpoint, way->audience, way->resource, way->scope,
                  way->secret_in_body, is_runtime, grant->network.ca_file, grant->network.proxy, grant->auth);
    json_t *chain =
        json_pack("[s, O?, s?]", way->token_endpoint, json_object_get(grant->auth, "clientId"), refresh_token);
    grant->key = key != NULL ? json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    grant->chain = chain != NULL && refresh_token != NULL ? json_dumps(chain, JSON_COMPACT) : NULL;
    json_decref(key);
    json_decref(chain);
    return grant->key != NULL && (grant->chain != NULL) == (refresh_token != NULL);
}

static void end_fetch(struct oauth_grant *grant)
{
    if (grant->fetch != NULL && grant->chain != NULL)
        grant->oauth->refreshing--;
    grant->fetch = NULL;
}

static void tell_hub(const struct oauth_grant *grant, const struct token_lease_question *news)
{
    struct token_lease_question question = *news;
    question.grant = grant->key;
    question.chain = grant->chain;
    if (grant->oauth->tokens != NULL)
        tokens_tell(grant->oauth->tokens, &question);
}

static void destroy(struct oauth_grant *grant)
{
    struct oauth_fetch *fetch = grant->fetch;
    end_fetch(grant);
    if (fetch != NULL)
        tell_hub(grant, &(struct token_lease_question){.act = TOKEN_LEASE_FAIL});
    oauth_fetch_cancel(&fetch);
    tokens_cancel(&grant->wait);
    delay_cancel(&grant->renewal);
    oauth_way_fini(&grant->way);
    oauth_network_fini(&grant->network);
    json_decref(grant->auth);
    free(grant->key);
    free(grant->chain);
    free(grant->refresh_token);
    free(grant->token);
    free(grant->refused);
    free(grant);
}

static struct oauth_grant *create(struct oauth *oauth, const struct oauth_account *account, const char *scope,
                                  uint32_t hash)
{
    struct oauth_grant *grant = calloc(1, sizeof(*grant));
    if (grant == NULL)
        return NULL;
    grant->oauth = oauth;
    grant->hash = hash;
    grant->auth = json_incref(account->auth);
    if (!copy_way(&grant->way, &account->way, scope) || !oauth_network_init(&grant->network, &account->network) ||
        !make_names(grant, account->is_runtime)) {
        destroy(grant);
        return NULL;
    }
    grant->next = oauth->grants[hash % OAUTH_BUCKETS];
    oauth->grants[hash % OAUTH_BUCKETS] = grant;
    return grant;
}

struct oauth_grant *oauth_grant_get(struct oauth *oauth, const struct oauth_account *account, const char *scope)
{
    uint32_t hash = oauth_hash(oauth_hash(oauth_hash(0, account->way.token_endpoint), account->way.resource), scope);
    hash = oauth_hash(hash, json_string_value(json_object_get(account->auth, "clientId")));
    struct oauth_grant *grant = oauth->grants[hash % OAUTH_BUCKETS];
    while (grant != NULL && (grant->hash != hash || !is_for(grant, account, scope)))
        grant = grant->next;
    if (grant == NULL)
        grant = create(oauth, account, scope, hash);
    if (grant != NULL)
        grant->users++;
    return grant;
}

void oauth_grant_release(struct oauth_grant *grant)
{
    assert(grant->users > 0);
    if (--grant->users > 0)
        return;
    assert(grant->asking == NULL);
    struct oauth_grant **link = &grant->oauth->grants[grant->hash % OAUTH_BUCKETS];
    while (*link != grant)
        link = &(*link)->next;
    *link = grant->next;
    destroy(grant);
}

/* --- its token --- */

const char *oauth_grant_token(const struct oauth_grant *grant)
{
    return grant->token != NULL && clock_mono_ms() < grant->usable_until_ms ? grant->token : NULL;
}

void oauth_grant_drop_token(struct oauth_grant *grant)
{
    free(grant->refused);
    grant->refused = grant->token;
    grant->token = NULL;
    delay_cancel(&grant->renewal);
}

static void on_document(void *user, const struct oauth_document *document);

/* Makes the request. 0; or *failure is set. */
static int request(struct oauth_grant *grant, struct oauth_failure *failure)
{
    const char *given = json_string_value(json_object_get(grant->auth, "refreshToken"));
    const struct token_request_values values = {
        .auth = grant->auth,
        .audience = grant->way.audience,
        .resource = grant->way.resource,
        .scope = grant->way.scope,
        .refresh_token = grant->refresh_token != NULL ? grant->refresh_token : given,
        .secret_in_body = grant->way.secret_in_body,
    };
    struct token_request made;
    const char *problem;
    int result = token_request_init(&made, &values, &problem);
    if (result > 0) {
        oauth_failure_set(failure, OAUTH_REFUSED, "auth: %s", problem);
        return -EINVAL;
    }
    if (result == 0) {
        result = oauth_fetch_start(&grant->network, grant->way.token_endpoint, made.body, made.authorization,
                                   on_document, grant, &grant->fetch);
        token_request_fini(&made);
    }
    if (result != 0)
        oauth_failure_of_errno(failure, TOKEN_ENDPOINT, result);
    else if (grant->chain != NULL)
        grant->oauth->refreshing++;
    return result;
}

/* --- sharing --- */

static void fail(struct oauth_grant *grant, const struct oauth_failure *failure);
static void keep(struct oauth_grant *grant, uint64_t life_ms, char *token);
static void tell(struct oauth_grant *grant, const struct oauth_failure *failure);

/* This worker is the one that got none. */
static void fail_for_all(struct oauth_grant *grant, const struct oauth_failure *failure)
{
    tell_hub(grant, &(struct token_lease_question){.act = TOKEN_LEASE_FAIL,
                                                   .reason = (int)failure->reason,
                                                   .text = failure->text,
                                                   .retry_after_ms = failure->retry_after_ms});
    fail(grant, failure);
}

static void request_or_fail(struct oauth_grant *grant)
{
    struct oauth_failure failure;
    if (request(grant, &failure) != 0)
        fail_for_all(grant, &failure);
}

static bool is_reason(int reason)
{
    return reason >= OAUTH_REFUSED && reason <= OAUTH_NO_RESOURCES;
}

/* Another worker has got one, or none. */
static void take_over(struct oauth_grant *grant, const struct token_lease_answer *answer)
{
    struct oauth_failure failure;
    char *token = answer->verdict == TOKEN_LEASE_TOKEN ? strdup(answer->token) : NULL;
    if (token != NULL) {
        keep(grant, answer->lifetime_ms, token);
        grant->is_second_hand = true;
        tell(grant, NULL);
        return;
    }
    if (answer->verdict == TOKEN_LEASE_TOKEN) {
        oauth_failure_of_errno(&failure, TOKEN_ENDPOINT, -ENOMEM);
    } else {
        enum oauth_reason reason = is_reason(answer->reason) ? (enum oauth_reason)answer->reason : OAUTH_OUTAGE;
        oauth_failure_set(&failure, reason, "%s", answer->text != NULL ? answer->text : TOKEN_ENDPOINT);
        failure.retry_after_ms = answer->retry_after_ms;
    }
    fail(grant, &failure);
}

static void on_hub_answer(void *user, const struct token_lease_answer *answer)
{
    struct oauth_grant *grant = user;
    struct oauth_failure failure;
    grant->wait = NULL;
    if (answer != NULL && answer->verdict != TOKEN_LEASE_LEASE) {
        take_over(grant, answer);
    } else if (answer == NULL && grant->chain != NULL) {
        oauth_failure_set(&failure, OAUTH_OUTAGE, "the refresh token cannot be looked up: the broker's hub is away");
        fail(grant, &failure);
    } else {
        free(grant->refresh_token);
        grant->refresh_token = answer != NULL && answer->refresh_token != NULL ? strdup(answer->refresh_token) : NULL;
        request_or_fail(grant);
    }
}

static bool is_under_way(const struct oauth_grant *grant)
{
    return grant->fetch != NULL || grant->wait != NULL;
}

/* Gets another token than there is. It may fail at once. */
static void get_token(struct oauth_grant *grant)
{
    const struct token_lease_question question = {
        .act = TOKEN_LEASE_ASK,
        .grant = grant->key,
        .chain = grant->chain,
        .known = grant->token != NULL ? grant->token : grant->refused,
        .refused = grant->token == NULL,
    };
    if (grant->oauth->tokens == NULL ||
        tokens_ask(grant->oauth->tokens, &question, on_hub_answer, grant, &grant->wait) != 0)
        request_or_fail(grant);
}

/* --- renewal --- */

/* Of a grant whose accounts are forgotten now no request is made, which would be broken off. */
static void on_renewal(void *user)
{
    struct oauth_grant *grant = user;
    grant->renewal = NULL;
    grant->users++;
    oauth_forget_idle(grant->oauth);
    if (grant->users > 1 && !is_under_way(grant))
        get_token(grant);
    oauth_grant_release(grant);
}

/* Without memory for a timer the token ends, and the next who asks waits for another. */
static void renew_in(struct oauth_grant *grant, uint64_t ms)
{
    delay_cancel(&grant->renewal);
    if (delay_start(grant->oauth->loop, ms, on_renewal, grant, &grant->renewal) != 0)
        grant->renewal = NULL;
}

static void retry_renewal(struct oauth_grant *grant)
{
    uint64_t now_ms = clock_mono_ms();
    if (grant->token == NULL || now_ms + UINT64_C(2) * RENEWAL_RETRY_MIN_MS > grant->usable_until_ms)
        return;
    renew_in(grant, (grant->usable_until_ms - now_ms) / 2);
}

/* --- the answer --- */

/* Tells all who asked. The last thing that is done with a grant: they may leave it for another. */
static void tell(struct oauth_grant *grant, const struct oauth_failure *failure)
{
    grant->users++; /* until all have been told */
    while (grant->asking != NULL) {
        struct oauth_account *account = grant->asking;
        grant->asking = account->asking_next;
        oauth_account_on_grant(account, failure);
    }
    oauth_grant_release(grant);
}

static void fail(struct oauth_grant *grant, const struct oauth_failure *failure)
{
    grant->failure = *failure;
    grant->failed_until_ms = clock_mono_ms() + OAUTH_REMEMBER_MS;
    if (failure->reason == OAUTH_OUTAGE)
        retry_renewal(grant);
    tell(grant, failure);
}

static void keep(struct oauth_grant *grant, uint64_t life_ms, char *token)
{
    free(grant->token);
    grant->token = token;
    grant->is_second_hand = false;
    grant->usable_until_ms = UINT64_MAX;
    grant->failed_until_ms = 0;
    delay_cancel(&grant->renewal);
    if (life_ms == 0)
        return; /* until a server refuses it */
    if (life_ms < OAUTH_LIFETIME_MIN_MS)
        life_ms = OAUTH_LIFETIME_MIN_MS;
    uint64_t margin_ms = life_ms / 10 < MARGIN_MAX_MS ? life_ms / 10 : MARGIN_MAX_MS;
    grant->usable_until_ms = clock_mono_ms() + life_ms - margin_ms;
    renew_in(grant, life_ms / 100 * (75 + uv_hrtime() % 8));
}

/* What came is kept, here and by the hub. */
static void keep_for_all(struct oauth_grant *grant, const struct token_answer *answer, char *token)
{
    char *refresh_token = answer->refresh_token != NULL ? strdup(answer->refresh_token) : NULL;
    if (refresh_token != NULL && grant->chain != NULL) {
        free(grant->refresh_token);
        grant->refresh_token = refresh_token;
    } else {
        free(refresh_token);
    }
    keep(grant, answer->lifetime_ms, token);
    tell_hub(grant, &(struct token_lease_question){.act = TOKEN_LEASE_GIVE,
                                                   .token = token,
                                                   .lifetime_ms = answer->lifetime_ms,
                                                   .refresh_token = grant->refresh_token});
}

/* Whether it was the refresh token, and there is another one to try. */
static bool may_begin_anew(const struct oauth_grant *grant, const struct oauth_document *document)
{
    const char *error = json_string_value(json_object_get(document->object, "error"));
    return grant->refresh_token != NULL && error != NULL && strcmp(error, "invalid_grant") == 0;
}

static void on_document(void *user, const struct oauth_document *document)
{
    struct oauth_grant *grant = user;
    struct oauth_failure failure = {.reason = OAUTH_REFUSED};
    struct token_answer answer;
    bool is_good =
        document->failure == NULL && !document->is_too_large && document->status >= 200 && document->status < 300;
    end_fetch(grant);
    if (!is_good && may_begin_anew(grant, document)) {
        free(grant->refresh_token);
        grant->refresh_token = NULL;
        request_or_fail(grant);
        return;
    }
    if (!is_good) {
        oauth_failure_of_document(&failure, TOKEN_ENDPOINT, document);
        fail_for_all(grant, &failure);
        return;
    }
    const char *problem =
        document->object != NULL ? token_request_read(document->object, &answer) : "the answer is no JSON object";
    char *token = problem == NULL ? strdup(answer.access_token) : NULL;
    if (token != NULL) {
        keep_for_all(grant, &answer, token);
        tell(grant, NULL);
        return;
    }
    if (problem != NULL)
        oauth_failure_set(&failure, OAUTH_REFUSED, "%s: %s", TOKEN_ENDPOINT, problem);
    else
        oauth_failure_of_errno(&failure, TOKEN_ENDPOINT, -ENOMEM);
    fail_for_all(grant, &failure);
}

/* --- those who ask --- */

void oauth_grant_ask(struct oauth_grant *grant, struct oauth_account *account)
{
    account->asking_next = grant->asking;
    grant->asking = account;
    if (oauth_grant_token(grant) != NULL)
        tell(grant, NULL);
    else if (is_under_way(grant))
        return;
    else if (clock_mono_ms() < grant->failed_until_ms)
        tell(grant, &grant->failure);
    else
        get_token(grant);
}

void oauth_grant_forget_asking(struct oauth_grant *grant, const struct oauth_account *account)
{
    struct oauth_account **link = &grant->asking;
    while (*link != NULL && *link != account)
        link = &(*link)->asking_next;
    if (*link != NULL)
        *link = account->asking_next;
}
