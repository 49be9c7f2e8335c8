/* SPDX-License-Identifier: MIT */
/* Where a token for an MCP server can be had: the well-known URLs in the order in which they are tried, and what the
 * documents there say (RFC 9728: protected resource metadata; RFC 8414 and OpenID Connect: authorization server
 * metadata). Every document is a peer's: nothing is taken over that was not checked. Pure. */
#ifndef WORKER_OAUTH_METADATA_H
#define WORKER_OAUTH_METADATA_H

#include "common/compiler.h"

#include <jansson.h>
#include <stdbool.h>

enum { OAUTH_URL_SIZE = 2048 + 64, OAUTH_SCOPE_SIZE = 1024 + 1, OAUTH_ISSUERS_MAX = 4 };

/* Of the resource: the server's identifier for itself, its authorization servers that may be asked, in its order (none
 * when it names none, and at most so many), scopes (or ""). */
struct oauth_resource {
    char resource[OAUTH_URL_SIZE];
    char issuers[OAUTH_ISSUERS_MAX][OAUTH_URL_SIZE];
    unsigned issuer_count;
    char scope[OAUTH_SCOPE_SIZE];
};

/* Of the authorization server. */
struct oauth_issuer {
    char issuer[OAUTH_URL_SIZE];
    char token_endpoint[OAUTH_URL_SIZE];
    bool secret_in_body; /* client_secret_post is offered, client_secret_basic is not */
};

/* True when a URL that a peer names may be asked: https, without user-info and fragment; http only between a server
 * and an authorization server that are both on a loopback address. */
bool oauth_metadata_may_ask(const char *url, const char *server_url);

/* The server's identifier when it names none: its URL without user-info, query and fragment. Its origin. False when
 * `server_url` is too long, or is none. */
MUST_CHECK bool oauth_metadata_default_resource(const char *server_url, char out[OAUTH_URL_SIZE]);
MUST_CHECK bool oauth_metadata_origin(const char *server_url, char out[OAUTH_URL_SIZE]);

/* The URL to try as number `index` (from 0) for metadata; false when all have been tried. */
MUST_CHECK bool oauth_metadata_resource_url(const char *server_url, unsigned index, char out[OAUTH_URL_SIZE]);
MUST_CHECK bool oauth_metadata_issuer_url(const char *issuer, unsigned index, char out[OAUTH_URL_SIZE]);

/* Read a document. NULL, or what is wrong with it: a literal, for people. The resource must cover the URL of the
 * server: be of its origin, and the same or a parent of its path. The issuer must be the one that was asked for. */
MUST_CHECK const char *oauth_metadata_read_resource(const json_t *document, const char *server_url,
                                                    struct oauth_resource *out);
MUST_CHECK const char *oauth_metadata_read_issuer(const json_t *document, const char *issuer, const char *server_url,
                                                  struct oauth_issuer *out);

/* `scope` with the names of `more` that it does not have yet. False, and nothing changed, when there is no room, or
 * nothing new. */
MUST_CHECK bool oauth_metadata_add_scope(char scope[OAUTH_SCOPE_SIZE], const char *more);

#endif
