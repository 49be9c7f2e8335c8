/* SPDX-License-Identifier: MIT */
/* The socket, and what has to outlive the hub. A refresh token that an authorization server has replaced is worth as
 * much as the password that it once came from, and is nowhere else: it is on the disk before the worker is answered. It
 * is kept as long as there is a server whose definition has the refresh token with which it all began; another one in the
 * configuration begins another chain.
 *
 * Nothing of what is said here gets into a log, the table or an answer of the diagnostics socket. */
#include "broker/hub/tokens.h"

#include "broker/hub/token_leases.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { MODE = 0600, HELD_MAX = 16, SWEEP_S = 60 };

struct tokens {
    struct tokens_options options;
    struct token_leases *leases;
    struct bus_rep *rep;
    unsigned seconds; /* since the last sweep */
};

/* --- what is kept --- */

static void on_kept(void *user, const char *chain, const char *refresh_token)
{
    struct tokens *tokens = user;
    token_leases_load(tokens->leases, chain, refresh_token);
}

/* A failure is logged by the registry; until the hub's end the token is known all the same. */
static void keep(struct tokens *tokens, const char *chain)
{
    const char *refresh_token = token_leases_refresh_token(tokens->leases, chain);
    int result = refresh_token != NULL ? registry_put_token(tokens->options.registry, chain, refresh_token)
                                       : registry_remove_token(tokens->options.registry, chain);
    if (result != 0)
        log_error("tokens.not_kept", LOG_TEXT("then", "after a restart a server may want another refresh token"));
}

/* --- what is not wanted any more --- */

struct wanted {
    struct tokens *tokens;
    const char **refresh_tokens; /* of definitions, sorted */
    size_t count;
};

static int compare(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return strcmp(*a, *b);
}

/* The chain's last text is the refresh token of the definition with which it began (worker/oauth/oauth_grant.c). */
static bool keeps(void *user, const char *chain)
{
    const struct wanted *wanted = user;
    json_t *parts = json_loads(chain, 0, NULL);
    const char *first = json_string_value(json_array_get(parts, json_array_size(parts) - 1));
    bool kept = first != NULL && wanted->count > 0 &&
                bsearch(&first, wanted->refresh_tokens, wanted->count, sizeof(first), compare) != NULL;
    json_decref(parts);
    if (!kept && registry_remove_token(wanted->tokens->options.registry, chain) != 0)
        return true; /* the next time */
    return kept;
}

static void forget_unwanted(struct tokens *tokens)
{
    const struct roster *roster = tokens->options.roster;
    struct wanted wanted = {.tokens = tokens};
    wanted.refresh_tokens = calloc(roster_count(roster) + 1, sizeof(*wanted.refresh_tokens));
    if (wanted.refresh_tokens == NULL)
        return;
    for (uint32_t row = 0; row < roster_end(roster); row++) {
        const struct server_def *def = roster_def(roster, row);
        const json_t *text = def != NULL ? json_object_get(def->extras->auth, "refreshToken") : NULL;
        if (json_is_string(text))
            wanted.refresh_tokens[wanted.count++] = json_string_value(text);
    }
    qsort(wanted.refresh_tokens, wanted.count, sizeof(*wanted.refresh_tokens), compare);
    token_leases_forget(tokens->leases, keeps, &wanted);
    free(wanted.refresh_tokens);
}

static void sweep(struct tokens *tokens)
{
    token_leases_sweep(tokens->leases, clock_mono_ms());
    if (token_leases_chains(tokens->leases) > 0)
        forget_unwanted(tokens);
}

void tokens_tick(struct tokens *tokens)
{
    if (++tokens->seconds < SWEEP_S)
        return;
    tokens->seconds = 0;
    sweep(tokens);
}

/* --- questions --- */

static bool may_ask(const struct bus_question *question)
{
    struct bus_peer peer;
    return bus_question_peer(question, &peer) == 0 && peer.uid == geteuid();
}

/* False without memory. */
static bool answer(struct bus_question *question, const struct token_lease_answer *answer)
{
    struct buf bytes;
    json_t *message = token_lease_answer_write(answer);
    buf_init(&bytes, TOKEN_LEASE_BYTES_MAX);
    bool written = message != NULL && pack_write(&bytes, message) == 0;
    if (written)
        bus_question_answer(question, bytes.bytes, bytes.size);
    buf_fini(&bytes);
    json_decref(message);
    return written;
}

static void on_question(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    struct tokens *tokens = user;
    struct token_lease_question asked;
    struct token_lease_answer given;
    json_t *message = may_ask(question) ? pack_read(bytes, size) : NULL;
    bool answered = false;
    if (message != NULL && token_lease_question_read(message, &asked) == 0) {
        if (token_leases_answer(tokens->leases, &asked, clock_mono_ms(), &given))
            keep(tokens, asked.chain);
        answered = answer(question, &given);
    } else {
        log_warn("tokens.malformed", LOG_U64("bytes", size));
    }
    if (!answered)
        bus_question_drop(question);
    json_decref(message);
}

int tokens_open(uv_loop_t *loop, const struct tokens_options *options, struct tokens **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct tokens *tokens = calloc(1, sizeof(*tokens));
    int result = -ENOMEM;
    if (tokens == NULL)
        goto fail;
    tokens->options = *options;
    tokens->leases = token_leases_create();
    if (tokens->leases == NULL)
        goto fail;
    result = registry_each_token(options->registry, on_kept, tokens);
    if (result == 0)
        result = paths_join(path, sizeof(path), options->run_dir, PATHS_TOKENS);
    if (result != 0)
        goto fail;
    const struct bus_rep_options rep = {.path = path, .mode = MODE, .max = TOKEN_LEASE_BYTES_MAX, .held_max = HELD_MAX};
    result = bus_rep_open(loop, &rep, on_question, tokens, &tokens->rep);
    if (result != 0)
        goto fail;
    sweep(tokens);
    *out = tokens;
    return 0;

fail:
    log_error("tokens.open", LOG_TEXT("socket", PATHS_TOKENS), LOG_TEXT("error", strerror(-result)));
    if (tokens != NULL)
        token_leases_destroy(tokens->leases);
    free(tokens);
    return result;
}

void tokens_close(struct tokens *tokens)
{
    if (tokens == NULL)
        return;
    bus_rep_close(tokens->rep);
    token_leases_destroy(tokens->leases);
    free(tokens);
}
