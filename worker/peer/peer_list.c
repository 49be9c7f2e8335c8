/* SPDX-License-Identifier: MIT */
/* Fetches lists, page by page, for every era: one fetch of a kind at a time, within a time and the catalog's bounds. A
 * server that no longer knows its own cursor has changed its list meanwhile: the fetch begins again, once.
 *
 * A fetch that fails tells so and nothing else: whoever asked keeps what it had. */
#include "worker/peer/peer_internal.h"

#include "common/duration.h"
#include "worker/peer/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const CATALOG_PROBLEMS[] = {
    [CATALOG_MALFORMED] = "not a list of items with names",
    [CATALOG_TOO_LARGE] =
        "more than --max-list-pages, --max-list-items or --max-list-size, or a name longer than 4096 bytes",
    [CATALOG_LOOPS] = "its cursors go round in a circle",
    [CATALOG_NO_MEMORY] = "no memory",
};

/* A large page, and the catalog that it is added to, which nobody else touches meanwhile. */
struct peer_page {
    struct peer_listing *listing; /* NULL: nobody waits for it any more */
    struct catalog *catalog;
    json_t *result;
    char *cursor;
    int outcome;
};

/* Frees a listing that the peer no longer has. */
static void destroy(struct peer_listing *listing)
{
    call_cancel(&listing->call);
    delay_cancel(&listing->limit);
    if (listing->page != NULL)
        listing->page->listing = NULL;
    else
        catalog_destroy(listing->catalog);
    free(listing);
}

static struct peer_listing *first_of(struct peer_task *tasks)
{
    return (struct peer_listing *)peer_task_find(tasks, PEER_LISTING);
}

void peer_lists_cancel(struct peer *peer)
{
    struct peer_listing *listing;
    while ((listing = first_of(peer->tasks)) != NULL) {
        peer_task_remove(peer, &listing->task);
        destroy(listing);
    }
}

static struct peer_listing *find(const struct peer *peer, enum kind kind)
{
    struct peer_listing *listing = first_of(peer->tasks);
    while (listing != NULL && listing->kind != kind)
        listing = first_of(listing->task.next);
    return listing;
}

static MUST_CHECK int start(struct peer *peer, enum kind kind);
static void on_limit(void *user);

void peer_lists_fail(struct peer *peer, const char *error)
{
    for (struct peer_listing *listing = first_of(peer->tasks); listing != NULL;
         listing = first_of(listing->task.next)) {
        struct delay *at_once;
        if (delay_start(peer->env->loop, 0, on_limit, listing, &at_once) != 0)
            continue; /* its own limit ends it */
        delay_cancel(&listing->limit);
        listing->limit = at_once;
        listing->failed = error;
    }
}

/* Tells how it ended (`error` NULL: well) after it has made way for the next. Runs a handler. */
static void complete(struct peer_listing *listing, const char *error)
{
    struct peer *peer = listing->peer;
    enum kind kind = listing->kind;
    delay_cancel(&listing->limit);
    peer_task_remove(peer, &listing->task);
    if (listing->again && start(peer, kind) != 0)
        error = CATALOG_PROBLEMS[CATALOG_NO_MEMORY]; /* this list is an old one, and there will be no other */
    const struct peer_fetched fetched = {.list = error == NULL ? listing->catalog : NULL,
                                         .error = error,
                                         .server_info = listing->server_info[0] != '\0' ? listing->server_info : NULL};
    peer->env->handlers->on_list(peer->user, kind, &fetched);
    destroy(listing);
}

static void on_limit(void *user)
{
    struct peer_listing *listing = user;
    char limit[DURATION_TEXT_SIZE], text[64];
    listing->limit = NULL;
    if (listing->failed != NULL) {
        complete(listing, listing->failed);
        return;
    }
    limits_hit(listing->peer->env->limits, COUNTER_LIMIT_LIST_TIME);
    call_cancel(&listing->call);
    if (listing->peer->era->cancels)
        peer_post(listing->peer, mcp_cancelled(listing->id, "timeout"));
    snprintf(text, sizeof(text), "timed out after %s", duration_format(listing->peer->env->limits->list_ms, limit));
    complete(listing, text);
}

static const struct call_handlers CALL_HANDLERS;

/* 0 or a negative errno. */
static int ask_page(struct peer_listing *listing, const char *cursor)
{
    struct peer *peer = listing->peer;
    listing->id = peer_new_id(peer);
    listing->paged = cursor != NULL;
    char *body = mcp_list(listing->id, listing->kind, cursor, peer->era->era, peer->def);
    if (body == NULL)
        return -ENOMEM;
    const struct call_request request = {
        .rpc_method = mcp_list_method(listing->kind),
        .id = peer->era->replies_on_stream ? 0 : listing->id,
        .body = body,
        .timeout_ms = peer->env->limits->list_ms,
        .close_after =
            cursor == NULL, /* most lists have one page, and a kept connection would stay beside the stream */
    };
    int result = peer_call(peer, &request, &CALL_HANDLERS, listing, &listing->call);
    free(body);
    return result;
}

/* Begins from the first page. 0 or a negative errno. */
static int ask_first(struct peer_listing *listing)
{
    catalog_destroy(listing->catalog);
    listing->catalog = catalog_create(listing->kind, listing->peer->env->limits);
    if (listing->catalog == NULL || (listing->peer->env->keeps_items && catalog_keep_items(listing->catalog) != 0))
        return -ENOMEM;
    return ask_page(listing, NULL);
}

static int start(struct peer *peer, enum kind kind)
{
    struct peer_listing *listing = calloc(1, sizeof(*listing));
    if (listing == NULL)
        return -ENOMEM;
    listing->peer = peer;
    listing->kind = kind;
    int result = ask_first(listing);
    if (result != 0)
        listing->failed = uv_strerror(result);
    if (delay_start(peer->env->loop, result == 0 ? peer->env->limits->list_ms : 0, on_limit, listing,
                    &listing->limit) != 0) {
        destroy(listing);
        return -ENOMEM;
    }
    peer_task_add(peer, &listing->task, PEER_LISTING);
    return 0;
}

int peer_list(struct peer *peer, enum kind kind)
{
    if (!peer->is_listening && !peer->is_unsupported)
        return 0;
    struct peer_listing *listing = find(peer, kind);
    if (listing == NULL)
        return start(peer, kind);
    listing->again = true;
    return 0;
}

/* Goes on to the next page. Runs a handler. */
static void on_page(struct peer_listing *listing, int outcome, const char *cursor)
{
    if (outcome == CATALOG_TOO_LARGE)
        limits_hit(listing->peer->env->limits, COUNTER_LIMIT_LIST);
    if (outcome != 0) {
        complete(listing, CATALOG_PROBLEMS[outcome]);
    } else if (cursor != NULL) {
        int failure = ask_page(listing, cursor);
        if (failure != 0)
            complete(listing, uv_strerror(failure));
    } else {
        complete(listing, NULL);
    }
}

static int add_to(struct catalog *catalog, const json_t *result, const char **cursor)
{
    int outcome = catalog_add_page(catalog, result, cursor);
    if (outcome == 0 && *cursor == NULL)
        catalog_finish(catalog);
    return outcome;
}

/* In another thread. */
static void add_beside(void *user)
{
    struct peer_page *page = user;
    const char *cursor = NULL;
    page->outcome = add_to(page->catalog, page->result, &cursor);
    if (page->outcome == 0 && cursor != NULL) {
        page->cursor = strdup(cursor);
        page->outcome = page->cursor != NULL ? 0 : CATALOG_NO_MEMORY;
    }
    json_decref(page->result);
}

static void on_added(void *user)
{
    struct peer_page *page = user;
    struct peer_listing *listing = page->listing;
    if (listing != NULL) {
        listing->page = NULL;
        on_page(listing, page->outcome, page->cursor);
    } else {
        catalog_destroy(page->catalog);
    }
    free(page->cursor);
    free(page);
}

/* Runs no handler. 0 or a negative errno. */
static int begin_adding(struct peer_listing *listing, json_t *result)
{
    struct peer_page *page = calloc(1, sizeof(*page));
    if (page == NULL)
        return -ENOMEM;
    *page = (struct peer_page){.listing = listing, .catalog = listing->catalog, .result = json_incref(result)};
    int failure = document_run_beside(listing->peer->env->loop, add_beside, on_added, page);
    if (failure == 0) {
        listing->page = page;
    } else {
        json_decref(result);
        free(page);
    }
    return failure;
}

/* Adds a page. Runs a handler. */
static void add_page(struct peer_listing *listing, const struct call_reply *reply)
{
    if (listing->peer->era->era == ERA_STATELESS) {
        if (!mcp_is_complete(reply->result)) {
            complete(listing, "an incomplete result, which lists must not have");
            return;
        }
        (void)mcp_read_server_info(reply->result, listing->server_info);
    }
    if (reply->is_large && begin_adding(listing, reply->result) == 0)
        return;
    const char *cursor = NULL;
    int outcome = add_to(listing->catalog, reply->result, &cursor);
    on_page(listing, outcome, cursor);
}

/* Runs a handler. */
static void take_reply(struct peer_listing *listing, const struct call_reply *reply)
{
    if (reply->verdict == CALL_RESULT) {
        add_page(listing, reply);
        return;
    }
    if (reply->code == JSONRPC_INVALID_PARAMS && listing->paged && !listing->restarted) {
        listing->restarted = true;
        int failure = ask_first(listing);
        if (failure != 0)
            complete(listing, uv_strerror(failure));
        return;
    }
    if (reply->http != NULL && reply->http->reason == HTTP_TIMED_OUT)
        limits_hit(listing->peer->env->limits, COUNTER_LIMIT_LIST_TIME);
    char text[ROW_ERROR_SIZE];
    peer_reply_text(reply, text);
    complete(listing, text);
}

static void on_heard(void *user)
{
    const struct peer_listing *listing = user;
    peer_on_heard(listing->peer);
}

static void on_message(void *user, const struct jsonrpc_message *message)
{
    const struct peer_listing *listing = user;
    peer_on_message(listing->peer, message);
}

static void on_reply(void *user, const struct call_reply *reply)
{
    struct peer_listing *listing = user;
    const struct peer_era *era = listing->peer->era;
    listing->call = NULL;
    if (era->replies_on_stream && reply->verdict == CALL_RESULT)
        return;
    if (era->check_lost != NULL && era->check_lost(listing->peer, reply))
        return;
    take_reply(listing, reply);
}

static const struct call_handlers CALL_HANDLERS = {
    .on_heard = on_heard, .on_message = on_message, .on_reply = on_reply};

bool peer_list_on_reply(struct peer *peer, const struct jsonrpc_message *message)
{
    for (struct peer_listing *listing = first_of(peer->tasks); listing != NULL;
         listing = first_of(listing->task.next)) {
        if (listing->page != NULL || !jsonrpc_is_id(listing->id, message->id))
            continue;
        call_cancel(&listing->call); /* it may not have been told that its POST was accepted */
        const struct call_reply reply = call_reply_from_message(message);
        take_reply(listing, &reply);
        return true;
    }
    return false;
}
