/* SPDX-License-Identifier: MIT */
/* One JSON document by HTTP, in the name of authorization: GET of metadata, POST of a form to a token endpoint. Bounded
 * in size and time. Loop thread only. */
#ifndef WORKER_OAUTH_FETCH_H
#define WORKER_OAUTH_FETCH_H

#include "common/compiler.h"
#include "worker/http/http.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { OAUTH_FETCH_SIZE_MAX = 64 * 1024, OAUTH_FETCH_MS = 10000 };

/* How connections are made: as those to the MCP server itself. Borrowed. */
struct oauth_network {
    struct http *http;
    http_guard guard;
    const void *guard_user;
    const char *ca_file;
    const char *proxy;
};

/* What came. */
struct oauth_document {
    int status;           /* 0: none */
    const json_t *object; /* NULL: it is no JSON object, or none came */
    bool is_too_large;
    uint64_t retry_after_ms;
    const struct http_end *failure; /* NULL: the exchange ended as it should, or is_too_large */
};

struct oauth_fetch;

/* `form` NULL: a GET; `authorization` is a header's line, or NULL. Both are copied. `on_document` runs once, from the
 * loop; the fetch is gone by then, and what `document` points at lives for the call. 0 or a negative errno. */
MUST_CHECK int oauth_fetch_start(const struct oauth_network *network, const char *url, const char *form,
                                 const char *authorization,
                                 void (*on_document)(void *user, const struct oauth_document *document), void *user,
                                 struct oauth_fetch **out);

/* Ends it without the callback, and sets *fetch to NULL. NULL in *fetch does nothing. */
void oauth_fetch_cancel(struct oauth_fetch **fetch);

#endif
