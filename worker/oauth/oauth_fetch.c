/* SPDX-License-Identifier: MIT */
/* The metadata and token requests know nothing of HTTP but this. No redirect is followed (http.h), so what was checked
 * of a URL holds for the answer; and the connection is closed after it, for there will be no other soon. */
#include "worker/oauth/oauth_fetch.h"

#include "common/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct oauth_fetch {
    struct http_exchange *exchange;
    void (*on_document)(void *user, const struct oauth_document *document);
    void *user;
    struct buf body;
    int status;
    uint64_t retry_after_ms;
};

static void destroy(struct oauth_fetch *fetch)
{
    http_cancel(fetch->exchange);
    buf_fini(&fetch->body);
    free(fetch);
}

void oauth_fetch_cancel(struct oauth_fetch **fetch)
{
    if (*fetch == NULL)
        return;
    struct oauth_fetch *old = *fetch;
    *fetch = NULL;
    destroy(old);
}

/* Tells what came, after the fetch has gone. */
static void give(struct oauth_fetch *fetch, const struct http_end *failure, bool is_too_large)
{
    struct oauth_document document = {
        .status = fetch->status,
        .is_too_large = is_too_large,
        .retry_after_ms = fetch->retry_after_ms,
        .failure = failure,
    };
    void (*on_document)(void *user, const struct oauth_document *document) = fetch->on_document;
    void *user = fetch->user;
    json_t *root = NULL;
    if (failure == NULL && !is_too_large)
        root = json_loadb(buf_text(&fetch->body), fetch->body.size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root))
        document.object = root;
    destroy(fetch);
    on_document(user, &document);
    json_decref(root);
}

static void on_head(void *user, const struct http_head *head)
{
    struct oauth_fetch *fetch = user;
    fetch->status = head->status;
    fetch->retry_after_ms = head->retry_after_ms;
}

static void on_body(void *user, const uint8_t *bytes, size_t size)
{
    struct oauth_fetch *fetch = user;
    if (buf_append(&fetch->body, bytes, size) != 0)
        give(fetch, NULL, true);
}

static void on_end(void *user, const struct http_end *end)
{
    struct oauth_fetch *fetch = user;
    fetch->exchange = NULL;
    give(fetch, end->reason == HTTP_DONE ? NULL : end, false);
}

static const struct http_handlers HTTP_HANDLERS = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

int oauth_fetch_start(const struct oauth_network *network, const char *url, const char *form, const char *authorization,
                      void (*on_document)(void *user, const struct oauth_document *document), void *user,
                      struct oauth_fetch **out)
{
    struct oauth_fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL)
        return -ENOMEM;
    fetch->on_document = on_document;
    fetch->user = user;
    buf_init(&fetch->body, OAUTH_FETCH_SIZE_MAX);
    const char *headers[3] = {"Accept: application/json"};
    size_t count = 1;
    if (form != NULL)
        headers[count++] = "Content-Type: application/x-www-form-urlencoded";
    if (authorization != NULL)
        headers[count++] = authorization;
    const struct http_request request = {
        .method = form != NULL ? "POST" : "GET",
        .url = url,
        .headers = headers,
        .header_count = count,
        .body = form,
        .body_size = form != NULL ? strlen(form) : 0,
        .total_timeout_ms = OAUTH_FETCH_MS,
        .close_after = true,
        .ca_file = network->ca_file,
        .proxy = network->proxy,
        .guard = network->guard,
        .guard_user = network->guard_user,
    };
    int result = http_start(network->http, &request, &HTTP_HANDLERS, fetch, &fetch->exchange);
    if (result != 0) {
        destroy(fetch);
        return result;
    }
    *out = fetch;
    return 0;
}
