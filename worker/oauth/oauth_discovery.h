/* SPDX-License-Identifier: MIT */
/* Finds out where a token for an MCP server can be had, in the order of the specification:
 *
 *     resource metadata     where the challenge says -> /.well-known/…/<path> -> /.well-known/…
 *     issuer's metadata     of each authorization server named there, three well-known places, until one can be used
 *     neither               the server's origin is the issuer, `/token` there the endpoint (2025-03-26)
 *
 * An `issuer` in the definition's auth takes the place of the first step, a `tokenEndpoint` that of all. Loop thread
 * only. */
#ifndef WORKER_OAUTH_DISCOVERY_H
#define WORKER_OAUTH_DISCOVERY_H

#include "common/compiler.h"
#include "worker/oauth/oauth_failure.h"
#include "worker/oauth/oauth_fetch.h"

#include <jansson.h>
#include <stdbool.h>

/* Where, from whom, and what for. Each text is the owner's. */
struct oauth_way {
    char *token_endpoint;
    char *audience; /* the issuer */
    char *resource;
    char *scope; /* that the resource names; "": none */
    bool secret_in_body;
    bool is_second_best; /* an authorization server that is named before it could not be asked just now */
};

void oauth_way_fini(struct oauth_way *way);

/* True when `auth` says it all, and *way is set; false when it must be discovered, or there is no memory. */
MUST_CHECK bool oauth_way_from_auth(const json_t *auth, const char *server_url, struct oauth_way *way);

struct oauth_discovery;

/* `server_url` and `auth` live longer; `metadata_url` is the challenge's (copied), or "". `on_end` runs once, from the
 * loop, the discovery is gone by then: either `way`, whose texts it takes, or `failure` is not NULL. 0 or a negative
 * errno. */
MUST_CHECK int oauth_discovery_start(const struct oauth_network *network, const char *server_url, const json_t *auth,
                                     const char *metadata_url,
                                     void (*on_end)(void *user, struct oauth_way *way,
                                                    const struct oauth_failure *failure),
                                     void *user, struct oauth_discovery **out);

/* Ends it without the callback, and sets *discovery to NULL. NULL in *discovery does nothing. */
void oauth_discovery_cancel(struct oauth_discovery **discovery);

#endif
