/* SPDX-License-Identifier: MIT */
/* What is to be seen over HTTP: /metrics, /healthz (the hub is alive) and /readyz (the broker does its work; 503 when it
 * does not), the latter two as JSON with a reason for each part. */
#ifndef HUB_HTTP_PAGES_H
#define HUB_HTTP_PAGES_H

#include "broker/hub/diag_view.h"
#include "broker/hub/roster.h"
#include "common/compiler.h"
#include "common/table.h"

#include <stdbool.h>
#include <uv.h>

struct http_pages_options {
    const char *address;    /* ADDR:PORT */
    const char *token_file; /* or NULL */
    const struct table *table;
    const struct roster *roster;
    void (*get_facts)(void *user, struct diag_facts *out);
    bool (*is_stopping)(void *user);
    void *user;
};

struct http_pages;

/* 0, HTTP_LISTENER_MISCONFIGURED, or a negative errno; logged. What `options` names lives longer. */
MUST_CHECK int http_pages_open(uv_loop_t *loop, const struct http_pages_options *options, struct http_pages **out);

/* The configuration was read again. */
void http_pages_reload(struct http_pages *pages);

/* NULL does nothing, here and above. */
void http_pages_close(struct http_pages *pages);

#endif
