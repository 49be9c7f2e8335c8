/* SPDX-License-Identifier: MIT */
/* What the files of the token engine share, and nobody else includes:
 *
 *   oauth.c           the engine: accounts by what they are for, how long they are kept, who is answered
 *   oauth_account.c   what an account does to get a token: discover, ask a grant, answer those who wait
 *   oauth_grant.c     a token: asked for, kept, renewed
 *
 * Grants tell accounts, and accounts tell those who wait. The latter may do anything, so they are told from the engine's
 * idle handle, with nothing of the engine on the stack. */
#ifndef WORKER_OAUTH_INTERNAL_H
#define WORKER_OAUTH_INTERNAL_H

#include "common/compiler.h"
#include "worker/http/delay.h"
#include "worker/oauth/oauth.h"
#include "worker/oauth/oauth_discovery.h"
#include "worker/oauth/oauth_metadata.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    OAUTH_BUCKETS = 256,
    OAUTH_IDLE_MAX = 1024,         /* accounts that nobody holds */
    OAUTH_IDLE_MS = 5 * 60 * 1000, /* how long they are kept */
    OAUTH_REMEMBER_MS = 2000,      /* a failure */
    OAUTH_LIFETIME_MIN_MS = 2000,  /* of a token, whatever its server says: what bounds the requests */
};

struct oauth {
    uv_loop_t *loop;
    struct http *http;
    struct tokens *tokens; /* NULL: not shared */
    unsigned refreshing;   /* requests under way with a refresh token */
    struct oauth_account *accounts[OAUTH_BUCKETS];
    struct oauth_grant *grants[OAUTH_BUCKETS];
    struct oauth_account *idle_first, *idle_last; /* nobody holds them; those for longest first */
    size_t idle_count;
    struct oauth_account *answering, **answering_end;
    uv_idle_t idle; /* active while somebody is to be answered */
};

struct oauth_wait {
    struct oauth_wait *next, **link;
    void (*on_answer)(void *user, const char *token, const struct oauth_failure *failure);
    void *user;
};

struct oauth_account {
    struct oauth_account *next; /* of its bucket */
    struct oauth *oauth;
    uint32_t hash;
    unsigned holders;
    struct oauth_account *idle_previous, *idle_next;
    uint64_t idle_since_ms;
    /* What it is for. */
    char *server_url;
    bool is_runtime;
    json_t *auth;
    struct oauth_network network; /* its texts are its own */
    /* What it does. */
    enum { ACCOUNT_IDLE, ACCOUNT_DISCOVERING, ACCOUNT_ASKING, ACCOUNT_ANSWERING } phase;
    struct oauth_discovery *discovery;
    struct oauth_account *asking_next;    /* of its grant's list */
    struct oauth_account *answering_next; /* of the engine's list */
    struct oauth_wait *waits, **waits_end;
    /* What it knows. */
    struct oauth_way way; /* token_endpoint NULL: not yet */
    char *metadata_url;   /* of the last challenge, or NULL */
    char *challenge_scope;
    char *more_scope; /* that a 403 asked for */
    struct oauth_grant *grant;
    struct oauth_failure failure; /* reason 0: none */
    uint64_t failed_until_ms;
};

struct oauth_grant {
    struct oauth_grant *next; /* of its bucket */
    struct oauth *oauth;
    uint32_t hash;
    unsigned users; /* accounts */
    json_t *auth;
    struct oauth_network network; /* its texts are its own */
    struct oauth_way way;         /* its scope is the one asked for */
    char *key, *chain; /* what the hub knows it by (common/token_lease.h); NULL: not shared, no refresh token */
    struct oauth_account *asking;
    struct tokens_wait *wait; /* for the hub's answer */
    struct oauth_fetch *fetch;
    struct delay *renewal;
    char *refresh_token; /* that replaced the definition's, or NULL */
    char *token;
    char *refused;       /* the token that a server has refused last, or NULL */
    bool is_second_hand; /* the token: of another worker */
    uint64_t usable_until_ms;
    struct oauth_failure failure; /* reason 0: none */
    uint64_t failed_until_ms;
};

/* --- oauth.c --- */

/* FNV-1a, of one text after the other; NULL is another text than "". */
uint32_t oauth_hash(uint32_t hash, const char *text);
bool oauth_same_text(const char *a, const char *b);

/* Has the engine call oauth_account_answer, from the loop. */
void oauth_answer_soon(struct oauth_account *account);

/* Forgets accounts that nobody has held for long. */
void oauth_forget_idle(struct oauth *oauth);

MUST_CHECK bool oauth_network_init(struct oauth_network *network, const struct oauth_network *other);
void oauth_network_fini(struct oauth_network *network);
bool oauth_network_equal(const struct oauth_network *a, const struct oauth_network *b);

/* --- oauth_account.c --- */

void oauth_account_destroy(struct oauth_account *account);

/* Its grant has a token, or (`failure` not NULL) none. */
void oauth_account_on_grant(struct oauth_account *account, const struct oauth_failure *failure);

/* Tells all who wait. */
void oauth_account_answer(struct oauth_account *account);

/* --- oauth_grant.c --- */

/* The grant for a way and a scope, used once more; NULL without memory. */
struct oauth_grant *oauth_grant_get(struct oauth *oauth, const struct oauth_account *account, const char *scope);
void oauth_grant_release(struct oauth_grant *grant);

/* The account wants a token that is good: oauth_account_on_grant follows, at once or from the loop. */
void oauth_grant_ask(struct oauth_grant *grant, struct oauth_account *account);

/* It must not be told any more. */
void oauth_grant_forget_asking(struct oauth_grant *grant, const struct oauth_account *account);

/* NULL: none that is good. */
const char *oauth_grant_token(const struct oauth_grant *grant);

/* A server has refused its token. */
void oauth_grant_drop_token(struct oauth_grant *grant);

#endif
