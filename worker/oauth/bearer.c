/* SPDX-License-Identifier: MIT */
/* Between transfer and http, so that nobody above knows of tokens and nobody below of authorization.
 *
 *     start -> (the way to a token is known: wait for it) -> request -> head -> handed on
 *                                                           ^     `-> 401, 403: wait for another token -.
 *                                                           `--------------------------------------------'
 *
 * The request is kept until a head is handed on: a held stream is without it. */
#include "worker/oauth/bearer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is needed to make the request again. */
struct again {
    struct http_request request;
    char *token; /* of the last one, or NULL */
    char *url, *body;
    char **headers; /* the last place is for the token */
};

struct bearer {
    struct http *http;
    struct oauth_account *account;
    struct http_exchange *exchange;
    struct oauth_wait *wait;
    struct again *again; /* NULL: a head was handed on */
    const struct bearer_handlers *handlers;
    void *user;
    unsigned tries_401;
    bool
        is_second_hand; /* the token of the request under way is another worker's, and may have been refused long ago */
    bool retried_403;
};

enum { SECOND_HAND_MAX = 3 };

/* --- the kept request --- */

static void again_destroy(struct again *again)
{
    if (again == NULL)
        return;
    for (size_t i = 0; again->headers != NULL && i < again->request.header_count; i++)
        free(again->headers[i]);
    free(again->headers);
    free(again->token);
    free(again->url);
    free(again->body);
    free(again);
}

static struct again *again_create(const struct http_request *request)
{
    struct again *again = calloc(1, sizeof(*again));
    if (again == NULL)
        return NULL;
    again->request = *request;
    again->headers = calloc(request->header_count + 1, sizeof(*again->headers));
    again->url = strdup(request->url);
    bool failed = again->url == NULL || again->headers == NULL;
    if (request->body != NULL) {
        again->body = malloc(request->body_size);
        failed = failed || again->body == NULL;
        if (again->body != NULL)
            memcpy(again->body, request->body, request->body_size);
    }
    for (size_t i = 0; i < request->header_count && !failed; i++) {
        again->headers[i] = strdup(request->headers[i]);
        failed = again->headers[i] == NULL;
    }
    if (failed) {
        again_destroy(again);
        return NULL;
    }
    if (request->total_timeout_ms > 0) /* that of a stream is its owner's */
        again->request.url = again->url;
    again->request.body = again->body;
    return again;
}

/* --- ends --- */

static void destroy(struct bearer *bearer)
{
    http_cancel(bearer->exchange);
    oauth_wait_cancel(&bearer->wait);
    again_destroy(bearer->again);
    oauth_account_release(bearer->account);
    free(bearer);
}

void bearer_cancel(struct bearer **bearer)
{
    if (*bearer == NULL)
        return;
    struct bearer *old = *bearer;
    *bearer = NULL;
    destroy(old);
}

static void deny(struct bearer *bearer, const struct oauth_failure *failure)
{
    const struct bearer_handlers *handlers = bearer->handlers;
    void *user = bearer->user;
    destroy(bearer);
    handlers->on_denied(user, failure);
}

static void deny_for(struct bearer *bearer, int error)
{
    struct oauth_failure failure;
    oauth_failure_of_errno(&failure, "authorization", error);
    deny(bearer, &failure);
}

/* --- the exchange --- */

static const struct http_handlers HTTP_HANDLERS;

/* 0 or a negative errno. `token` NULL: without. */
static int request(struct bearer *bearer, const char *token)
{
    struct again *again = bearer->again;
    struct http_request http = again->request;
    size_t last = again->request.header_count;
    char *copy = NULL;
    char *line = NULL;
    int result = -ENOMEM;
    if (token != NULL) {
        copy = strdup(token);
        if (copy == NULL || asprintf(&line, "Authorization: Bearer %s", token) < 0)
            goto free_copy;
        again->headers[last] = line;
        http.header_count = last + 1;
    }
    http.headers = (const char *const *)again->headers;
    result = http_start(bearer->http, &http, &HTTP_HANDLERS, bearer, &bearer->exchange);
    again->headers[last] = NULL;
    free(line);
    bearer->is_second_hand = token != NULL && oauth_account_is_second_hand(bearer->account);
    if (result == 0) {
        free(again->token);
        again->token = copy;
        return 0;
    }
free_copy:
    free(copy);
    return result;
}

static void on_answer(void *user, const char *token, const struct oauth_failure *failure)
{
    struct bearer *bearer = user;
    bearer->wait = NULL;
    if (token == NULL) {
        deny(bearer, failure);
        return;
    }
    int result = request(bearer, token);
    if (result != 0)
        deny_for(bearer, result);
}

/* True when another token is to be asked for. */
static bool may_ask(const struct bearer *bearer, const struct http_head *head)
{
    bool may_try = head->status != 401
                       ? !bearer->retried_403
                       : bearer->tries_401 == 0 || (bearer->is_second_hand && bearer->tries_401 < SECOND_HAND_MAX);
    return may_try && strcmp(bearer->again->request.method, "DELETE") != 0 &&
           oauth_refusal_is_answerable(head->status, head->www_authenticate);
}

static void on_head(void *user, const struct http_head *head)
{
    struct bearer *bearer = user;
    if (!may_ask(bearer, head)) {
        again_destroy(bearer->again);
        bearer->again = NULL;
        bearer->handlers->http.on_head(bearer->user, head);
        return;
    }
    const struct oauth_refusal refusal = {
        .status = head->status, .www_authenticate = head->www_authenticate, .token = bearer->again->token};
    if (head->status == 401)
        bearer->tries_401++;
    else
        bearer->retried_403 = true;
    int result = oauth_wait_start(bearer->account, &refusal, on_answer, bearer, &bearer->wait);
    http_cancel(bearer->exchange); /* and with it the head */
    bearer->exchange = NULL;
    if (result != 0)
        deny_for(bearer, result);
}

static void on_body(void *user, const uint8_t *bytes, size_t size)
{
    const struct bearer *bearer = user;
    bearer->handlers->http.on_body(bearer->user, bytes, size);
}

static void on_end(void *user, const struct http_end *end)
{
    struct bearer *bearer = user;
    const struct bearer_handlers *handlers = bearer->handlers;
    void *owner = bearer->user;
    bearer->exchange = NULL;
    destroy(bearer);
    handlers->http.on_end(owner, end);
}

static const struct http_handlers HTTP_HANDLERS = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

int bearer_start(struct http *http, struct oauth_account *account, const struct http_request *http_request,
                 const struct bearer_handlers *handlers, void *user, struct bearer **out)
{
    struct bearer *bearer = calloc(1, sizeof(*bearer));
    if (bearer == NULL)
        return -ENOMEM;
    *bearer = (struct bearer){.http = http, .handlers = handlers, .user = user};
    bearer->account = oauth_account_hold(account);
    bearer->again = again_create(http_request);
    const char *token = oauth_account_token(account);
    int result = -ENOMEM;
    if (bearer->again != NULL && token == NULL && oauth_account_knows_way(account))
        result = oauth_wait_start(account, NULL, on_answer, bearer, &bearer->wait);
    else if (bearer->again != NULL)
        result = request(bearer, token);
    if (result != 0) {
        destroy(bearer);
        return result;
    }
    *out = bearer;
    return 0;
}
