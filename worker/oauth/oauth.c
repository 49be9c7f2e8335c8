/* SPDX-License-Identifier: MIT */
/* The engine: which accounts there are, and for how long.
 *
 * An attempt to connect lasts seconds, and a token minutes or hours: so an account outlives those who hold it, and a
 * server that is tried again and again does not cost a token request each time. What nobody holds is bounded in number
 * and time; it is looked through whenever accounts come and go, and when tokens are renewed, which needs no timer. */
#include "worker/oauth/oauth_internal.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- texts --- */

uint32_t oauth_hash(uint32_t hash, const char *text)
{
    const uint32_t prime = 16777619;
    if (text == NULL)
        return (hash ^ 0x100U) * prime;
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * prime;
    return hash * prime;
}

bool oauth_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool oauth_network_init(struct oauth_network *network, const struct oauth_network *other)
{
    *network = *other;
    network->ca_file = other->ca_file != NULL ? strdup(other->ca_file) : NULL;
    network->proxy = other->proxy != NULL ? strdup(other->proxy) : NULL;
    if ((network->ca_file == NULL) == (other->ca_file == NULL) && (network->proxy == NULL) == (other->proxy == NULL))
        return true;
    oauth_network_fini(network);
    return false;
}

void oauth_network_fini(struct oauth_network *network)
{
    free((char *)(uintptr_t)network->ca_file); /* const for everybody else */
    free((char *)(uintptr_t)network->proxy);
    network->ca_file = network->proxy = NULL;
}

bool oauth_network_equal(const struct oauth_network *a, const struct oauth_network *b)
{
    return a->guard == b->guard && a->guard_user == b->guard_user && oauth_same_text(a->ca_file, b->ca_file) &&
           oauth_same_text(a->proxy, b->proxy);
}

/* --- accounts that nobody holds --- */

static void add_idle(struct oauth_account *account)
{
    struct oauth *oauth = account->oauth;
    account->idle_since_ms = clock_mono_ms();
    account->idle_previous = oauth->idle_last;
    account->idle_next = NULL;
    if (oauth->idle_last != NULL)
        oauth->idle_last->idle_next = account;
    else
        oauth->idle_first = account;
    oauth->idle_last = account;
    oauth->idle_count++;
}

static void remove_idle(struct oauth_account *account)
{
    struct oauth *oauth = account->oauth;
    if (account->idle_previous != NULL)
        account->idle_previous->idle_next = account->idle_next;
    else
        oauth->idle_first = account->idle_next;
    if (account->idle_next != NULL)
        account->idle_next->idle_previous = account->idle_previous;
    else
        oauth->idle_last = account->idle_previous;
    oauth->idle_count--;
}

/* Takes it out of everything, and frees it. */
static void forget(struct oauth_account *account)
{
    struct oauth_account **link = &account->oauth->accounts[account->hash % OAUTH_BUCKETS];
    while (*link != account)
        link = &(*link)->next;
    *link = account->next;
    remove_idle(account);
    oauth_account_destroy(account);
}

/* What is under way is soon over, and will be looked at again. */
void oauth_forget_idle(struct oauth *oauth)
{
    uint64_t now_ms = clock_mono_ms();
    for (;;) {
        struct oauth_account *account = oauth->idle_first;
        if (account == NULL || account->phase != ACCOUNT_IDLE)
            return;
        if (oauth->idle_count <= OAUTH_IDLE_MAX && now_ms - account->idle_since_ms < OAUTH_IDLE_MS)
            return;
        forget(account);
    }
}

/* --- accounts --- */

static struct oauth_account *find(const struct oauth *oauth, const struct server_def *def,
                                  const struct oauth_network *network, uint32_t hash)
{
    struct oauth_account *account = oauth->accounts[hash % OAUTH_BUCKETS];
    while (account != NULL &&
           (account->hash != hash || strcmp(account->server_url, def->url) != 0 ||
            !oauth_network_equal(&account->network, network) || !json_equal(account->auth, def->extras->auth)))
        account = account->next;
    return account;
}

static struct oauth_account *create(struct oauth *oauth, const struct server_def *def,
                                    const struct oauth_network *network, uint32_t hash)
{
    struct oauth_account *account = calloc(1, sizeof(*account));
    if (account == NULL)
        return NULL;
    account->oauth = oauth;
    account->hash = hash;
    account->waits_end = &account->waits;
    account->is_runtime = def->source == SOURCE_RUNTIME;
    account->auth = json_incref(def->extras->auth);
    account->server_url = strdup(def->url);
    if (account->server_url == NULL || !oauth_network_init(&account->network, network)) {
        oauth_account_destroy(account);
        return NULL;
    }
    account->next = oauth->accounts[hash % OAUTH_BUCKETS];
    oauth->accounts[hash % OAUTH_BUCKETS] = account;
    return account;
}

int oauth_account_open(struct oauth *oauth, const struct server_def *def, http_guard guard, const void *guard_user,
                       struct oauth_account **out)
{
    const struct oauth_network network = {.http = oauth->http,
                                          .guard = guard,
                                          .guard_user = guard_user,
                                          .ca_file = def->extras->ca_file,
                                          .proxy = def->extras->proxy};
    uint32_t hash =
        oauth_hash(oauth_hash(0, def->url), json_string_value(json_object_get(def->extras->auth, "clientId")));
    struct oauth_account *account = find(oauth, def, &network, hash);
    if (account == NULL)
        account = create(oauth, def, &network, hash);
    else if (account->holders == 0)
        remove_idle(account);
    if (account == NULL)
        return -ENOMEM;
    account->holders++;
    oauth_forget_idle(oauth);
    *out = account;
    return 0;
}

struct oauth_account *oauth_account_hold(struct oauth_account *account)
{
    account->holders++;
    return account;
}

void oauth_account_release(struct oauth_account *account)
{
    assert(account->holders > 0);
    if (--account->holders > 0)
        return;
    add_idle(account);
    oauth_forget_idle(account->oauth);
}

/* --- answers --- */

static void on_idle(uv_idle_t *idle)
{
    struct oauth *oauth = idle->data;
    struct oauth_account *account = oauth->answering;
    uv_idle_stop(idle);
    oauth->answering = NULL;
    oauth->answering_end = &oauth->answering;
    while (account != NULL) { /* none of them is forgotten while it is answering */
        struct oauth_account *next = account->answering_next;
        oauth_account_answer(account);
        account = next;
    }
}

void oauth_answer_soon(struct oauth_account *account)
{
    struct oauth *oauth = account->oauth;
    assert(account->phase != ACCOUNT_ANSWERING);
    account->phase = ACCOUNT_ANSWERING;
    account->answering_next = NULL;
    *oauth->answering_end = account;
    oauth->answering_end = &account->answering_next;
    uv_idle_start(&oauth->idle, on_idle);
}

/* --- the engine --- */

int oauth_create(uv_loop_t *loop, struct http *http, struct oauth **out)
{
    struct oauth *oauth = calloc(1, sizeof(*oauth));
    if (oauth == NULL)
        return -ENOMEM;
    oauth->loop = loop;
    oauth->http = http;
    oauth->answering_end = &oauth->answering;
    uv_idle_init(loop, &oauth->idle);
    oauth->idle.data = oauth;
    *out = oauth;
    return 0;
}

void oauth_share(struct oauth *oauth, struct tokens *tokens)
{
    oauth->tokens = tokens;
}

bool oauth_is_busy(const struct oauth *oauth)
{
    return oauth->refreshing > 0 || (oauth->tokens != NULL && tokens_is_busy(oauth->tokens));
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void oauth_destroy(struct oauth *oauth)
{
    if (oauth == NULL)
        return;
    while (oauth->idle_first != NULL)
        forget(oauth->idle_first);
    for (size_t i = 0; i < OAUTH_BUCKETS; i++)
        assert(oauth->accounts[i] == NULL && oauth->grants[i] == NULL);
    uv_close((uv_handle_t *)&oauth->idle, on_closed);
}
