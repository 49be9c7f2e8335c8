/* SPDX-License-Identifier: MIT */
/* A place for each grant and for each chain, found by its text. A place has a lease, and
 *
 *   grant   the token that came last, or why there is none; the lease, if it has no chain
 *   chain   the refresh token that came last; the lease of all its grants
 *
 * A lease ends with what its holder tells, with the holder's successor, or with time: so a worker that dies or hangs in
 * the middle costs the others a pause. A token is handed out while more than a tenth of its life is left (at most ten
 * seconds): that is when workers stop using it. Who knows it already wants another one: it is being renewed, and
 * whoever asks first gets the lease while the others go on with the old one. */
#include "broker/hub/token_leases.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, MARGIN_MAX_MS = 10000, NO_SLOT = -1 };

struct place {
    struct place *next;
    char *key;
    int slot; /* that has the lease, or NO_SLOT */
    uint64_t start_count;
    uint64_t leased_until_ms;
    char *secret; /* a grant's token, a chain's refresh token, or NULL */
    uint64_t life_ms, until_ms;
    int reason; /* of the last failure; 0: none */
    char *text;
    uint64_t retry_after_ms, failed_until_ms;
};

struct shelf {
    struct place *buckets[BUCKETS];
    size_t count;
};

struct token_leases {
    struct shelf grants, chains;
};

/* --- places --- */

static struct place **find(struct shelf *shelf, const char *key)
{
    uint32_t hash = 2166136261U;
    for (const char *c = key; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619U;
    struct place **link = &shelf->buckets[hash % BUCKETS];
    while (*link != NULL && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    return link;
}

static const struct place *look(const struct shelf *shelf, const char *key)
{
    return *find((struct shelf *)(uintptr_t)shelf, key); /* which it leaves as it is */
}

/* NULL without memory or room. */
static struct place *get(struct shelf *shelf, const char *key)
{
    struct place **link = find(shelf, key);
    if (*link != NULL || shelf->count == TOKEN_LEASES_MAX)
        return *link;
    struct place *place = calloc(1, sizeof(*place));
    if (place == NULL)
        return NULL;
    place->slot = NO_SLOT;
    place->key = strdup(key);
    if (place->key == NULL) {
        free(place);
        return NULL;
    }
    shelf->count++;
    *link = place;
    return place;
}

/* Takes it off the shelf, and frees it. */
static void drop(struct shelf *shelf, struct place **link)
{
    struct place *place = *link;
    *link = place->next;
    shelf->count--;
    free(place->key);
    free(place->secret);
    free(place->text);
    free(place);
}

static void clear(struct shelf *shelf)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (shelf->buckets[i] != NULL)
            drop(shelf, &shelf->buckets[i]);
}

/* False without memory: then it is as before. */
static bool set_text(char **text, const char *news)
{
    char *copy = news != NULL ? strdup(news) : NULL;
    if (news != NULL && copy == NULL)
        return false;
    free(*text);
    *text = copy;
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* --- leases --- */

static bool is_leased(const struct place *place, uint64_t now_ms)
{
    return place->slot != NO_SLOT && now_ms < place->leased_until_ms;
}

/* False when somebody has it. The next start of a worker takes over what the one before had. */
static bool lease(struct place *place, const struct token_lease_question *question, uint64_t now_ms)
{
    if (is_leased(place, now_ms) && (place->slot != question->slot || place->start_count == question->start_count))
        return false;
    place->slot = question->slot;
    place->start_count = question->start_count;
    place->leased_until_ms = now_ms + TOKEN_LEASES_LEASE_MS;
    return true;
}

static void give_back(struct place *place, const struct token_lease_question *question)
{
    if (place != NULL && place->slot == question->slot)
        place->slot = NO_SLOT;
}

/* --- tokens --- */

static uint64_t margin_of(uint64_t life_ms)
{
    return life_ms / 10 < MARGIN_MAX_MS ? life_ms / 10 : MARGIN_MAX_MS;
}

static bool is_usable(const struct place *grant, uint64_t now_ms)
{
    return grant->secret != NULL && now_ms + margin_of(grant->life_ms) < grant->until_ms;
}

static void ask(struct token_leases *leases, const struct token_lease_question *question, uint64_t now_ms,
                struct token_lease_answer *answer)
{
    struct place *grant = get(&leases->grants, question->grant);
    struct place *chain = question->chain != NULL ? get(&leases->chains, question->chain) : NULL;
    struct place *leased = question->chain != NULL ? chain : grant;
    *answer = (struct token_lease_answer){.verdict = TOKEN_LEASE_LEASE,
                                          .refresh_token = chain != NULL ? chain->secret : NULL};
    if (grant == NULL || leased == NULL)
        return;
    bool is_known = question->known != NULL && same_text(question->known, grant->secret);
    if (is_known && question->refused)
        (void)set_text(&grant->secret, NULL);
    if (is_usable(grant, now_ms) && !is_known)
        *answer = (struct token_lease_answer){
            .verdict = TOKEN_LEASE_TOKEN, .token = grant->secret, .lifetime_ms = grant->until_ms - now_ms};
    else if (now_ms < grant->failed_until_ms)
        *answer = (struct token_lease_answer){.verdict = TOKEN_LEASE_FAILED,
                                              .reason = grant->reason,
                                              .text = grant->text,
                                              .retry_after_ms = grant->retry_after_ms};
    else if (!lease(leased, question, now_ms))
        *answer = (struct token_lease_answer){.verdict = TOKEN_LEASE_WAIT};
}

/* True when the chain's refresh token has become another one. */
static bool give(struct token_leases *leases, const struct token_lease_question *question, uint64_t now_ms)
{
    struct place *grant = get(&leases->grants, question->grant);
    struct place *chain = question->chain != NULL ? get(&leases->chains, question->chain) : NULL;
    give_back(grant, question);
    give_back(chain, question);
    if (grant != NULL && set_text(&grant->secret, question->token)) {
        grant->life_ms = question->lifetime_ms > 0 ? question->lifetime_ms : TOKEN_LEASES_UNTOLD_MS;
        grant->until_ms = now_ms + grant->life_ms;
        grant->failed_until_ms = 0;
    }
    return chain != NULL && !same_text(chain->secret, question->refresh_token) &&
           set_text(&chain->secret, question->refresh_token);
}

static void fail(struct token_leases *leases, const struct token_lease_question *question, uint64_t now_ms)
{
    struct place *grant = get(&leases->grants, question->grant);
    if (question->chain != NULL)
        give_back(*find(&leases->chains, question->chain), question);
    give_back(grant, question);
    if (grant == NULL || question->reason == 0 || !set_text(&grant->text, question->text))
        return;
    grant->reason = question->reason;
    grant->retry_after_ms = question->retry_after_ms;
    grant->failed_until_ms = now_ms + TOKEN_LEASES_REMEMBER_MS;
}

bool token_leases_answer(struct token_leases *leases, const struct token_lease_question *question, uint64_t now_ms,
                         struct token_lease_answer *answer)
{
    *answer = (struct token_lease_answer){.verdict = TOKEN_LEASE_NOTED};
    switch (question->act) {
    case TOKEN_LEASE_ASK:
        ask(leases, question, now_ms, answer);
        break;
    case TOKEN_LEASE_GIVE:
        return give(leases, question, now_ms);
    case TOKEN_LEASE_FAIL:
        fail(leases, question, now_ms);
        break;
    }
    return false;
}

/* --- chains --- */

void token_leases_load(struct token_leases *leases, const char *chain, const char *refresh_token)
{
    struct place *place = get(&leases->chains, chain);
    if (place != NULL)
        (void)set_text(&place->secret, refresh_token);
}

const char *token_leases_refresh_token(const struct token_leases *leases, const char *chain)
{
    const struct place *place = look(&leases->chains, chain);
    return place != NULL ? place->secret : NULL;
}

size_t token_leases_chains(const struct token_leases *leases)
{
    size_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct place *place = leases->chains.buckets[i]; place != NULL; place = place->next)
            count += place->secret != NULL ? 1 : 0;
    return count;
}

void token_leases_forget(struct token_leases *leases, bool (*keeps)(void *user, const char *chain), void *user)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct place **link = &leases->chains.buckets[i];
        while (*link != NULL) {
            if ((*link)->secret == NULL || keeps(user, (*link)->key))
                link = &(*link)->next;
            else
                drop(&leases->chains, link);
        }
    }
}

/* --- all of it --- */

static void sweep(struct shelf *shelf, uint64_t now_ms, bool secrets_end)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct place **link = &shelf->buckets[i];
        while (*link != NULL) {
            const struct place *place = *link;
            bool is_kept = place->secret != NULL && (!secrets_end || now_ms < place->until_ms);
            if (is_kept || is_leased(place, now_ms) || now_ms < place->failed_until_ms)
                link = &(*link)->next;
            else
                drop(shelf, link);
        }
    }
}

void token_leases_sweep(struct token_leases *leases, uint64_t now_ms)
{
    sweep(&leases->grants, now_ms, true);
    sweep(&leases->chains, now_ms, false);
}

struct token_leases *token_leases_create(void)
{
    return calloc(1, sizeof(struct token_leases));
}

void token_leases_destroy(struct token_leases *leases)
{
    if (leases == NULL)
        return;
    clear(&leases->grants);
    clear(&leases->chains);
    free(leases);
}
