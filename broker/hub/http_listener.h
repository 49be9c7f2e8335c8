/* SPDX-License-Identifier: MIT */
/* A small HTTP server for machines that look: GET only, a few fixed paths, every answer made at once and the connection
 * closed behind it. Runs on the loop. The home of libmicrohttpd. */
#ifndef HUB_HTTP_LISTENER_H
#define HUB_HTTP_LISTENER_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/listen_address.h"

#include <stddef.h>
#include <uv.h>

/* A path, and what is there. `answer` appends the body and gives the status; it may not close the listener. */
struct http_listener_route {
    const char *path;
    const char *content_type;
    unsigned (*answer)(void *user, struct buf *body);
};

struct http_listener_options {
    const char *address;                      /* ADDR:PORT */
    const char *token_file;                   /* NULL: nobody is asked who they are, and it must be loopback */
    const struct http_listener_route *routes; /* live longer */
    size_t route_count;
    size_t body_max;
    void *user;
};

enum http_listener_outcome { HTTP_LISTENER_MISCONFIGURED = 1 };

struct http_listener;

/* 0, HTTP_LISTENER_MISCONFIGURED (address or token; nobody else can listen there) or a negative errno; logged. */
MUST_CHECK int http_listener_open(uv_loop_t *loop, const struct http_listener_options *options,
                                  struct http_listener **out);

/* Reads the token file again; one that is wrong is logged, and the token of before stays. */
void http_listener_reload(struct http_listener *listener);

/* NULL does nothing, here and above. */
void http_listener_close(struct http_listener *listener);

#endif
