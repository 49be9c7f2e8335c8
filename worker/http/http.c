/* SPDX-License-Identifier: MIT */
/* The engine: libcurl's multi handle on a libuv loop. libcurl says which sockets to watch and when it wants to be
 * woken; the loop's events go back to it; finished transfers are handed to their exchanges.
 *
 * One turn, always in this order: libcurl is called; what it says is done is told to the exchanges, whose handlers may
 * start and cancel others; then the pending work is done: new transfers added, dead ones removed. Nothing else calls
 * the multi handle, so it is never called from within its own callbacks.
 *
 * Connections that are kept for the next request are few: a held stream must not leave a second socket beside it. So
 * the maximum that libcurl is given follows the number in flight; a fixed one below that number would make it close
 * and reopen connections of requests that follow one another.
 *
 * The sockets that libcurl wants watched are in an epoll set of our own, which the loop watches: libuv would take a socket
 * out of its set and put it back each time that libcurl changes its mind, ten calls for one request instead of four. */
#include "worker/http/http.h"

#include "worker/http/http_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Connections kept idle, all servers together. */
enum { IDLE_MAX = 32 };

/* Sockets that are told of in one turn of the loop. */
enum { EVENTS_MAX = 256 };

static void tell_done(struct http *http)
{
    int left;
    for (CURLMsg *message = curl_multi_info_read(http->multi, &left); message;
         message = curl_multi_info_read(http->multi, &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        struct http_exchange *exchange = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        http_exchange_done(exchange, code, 0);
    }
}

static void add(struct http_exchange *exchange)
{
    struct http *http = exchange->http;
    if (curl_multi_add_handle(http->multi, exchange->curl->easy) != CURLM_OK) {
        http_exchange_done(exchange, CURLE_OUT_OF_MEMORY, 0);
        return;
    }
    exchange->curl->added = true;
    http->in_flight++;
}

static void drop(struct http_exchange *exchange)
{
    struct http *http = exchange->http;
    if (exchange->curl->added) {
        curl_multi_remove_handle(http->multi, exchange->curl->easy);
        http->in_flight--;
    }
    http_exchange_destroy(exchange);
}

/* libcurl keeps the stream, if there is no place for it in the park. */
static void park(struct http_exchange *exchange)
{
    struct http *http = exchange->http;
    struct http_curl *curl = exchange->curl;
    curl->leaves = false;
    if (!http_parked_enter(exchange))
        return;
    curl_easy_setopt(curl->easy, CURLOPT_PRIVATE, NULL);
    curl_multi_remove_handle(http->multi, curl->easy); /* and closes its own descriptor of the connection */
    http->in_flight--;
    http_curl_destroy(http, curl);
}

/* Handlers that run in between may add to the list. */
static void do_pending(struct http *http)
{
    if (!http->pending)
        return;
    while (http->pending) {
        struct http_exchange *exchange = http->pending;
        http->pending = exchange->curl->pending_next;
        if (!http->pending)
            http->pending_end = &http->pending;
        exchange->curl->is_pending = false;
        if (exchange->gone)
            drop(exchange);
        else if (exchange->curl->leaves)
            park(exchange);
        else
            add(exchange);
    }
    uv_idle_stop(&http->idle);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)(http->in_flight + IDLE_MAX));
}

static void on_idle(uv_idle_t *handle)
{
    do_pending(handle->data);
}

void http_pend(struct http_exchange *exchange)
{
    struct http *http = exchange->http;
    if (exchange->curl->is_pending)
        return;
    exchange->curl->is_pending = true;
    exchange->curl->pending_next = NULL;
    *http->pending_end = exchange;
    http->pending_end = &exchange->curl->pending_next;
    uv_idle_start(&http->idle, on_idle);
}

static void turn(struct http *http, curl_socket_t socket, int events)
{
    int running;
    curl_multi_socket_action(http->multi, socket, events, &running);
    tell_done(http);
    do_pending(http);
}

/* An event may name a socket that an event before it has led to be closed, or by now its successor. libcurl does not mind:
 * it knows which sockets it has, and finds that there is nothing to read. */
static void on_events(uv_poll_t *poll, int status, int loop_events)
{
    struct http *http = poll->data;
    struct epoll_event events[EVENTS_MAX];
    (void)status;
    (void)loop_events;
    int count = epoll_wait(http->sockets, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        uint32_t what = events[i].events;
        int flags = what & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
        if (what & EPOLLIN)
            flags |= CURL_CSELECT_IN;
        if (what & EPOLLOUT)
            flags |= CURL_CSELECT_OUT;
        turn(http, events[i].data.fd, flags);
    }
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl's callback: what it wants to know of a socket. It leaves the set before libcurl closes the descriptor, so
 * that its number may come back at once. It never says that it failed: libcurl would abort every transfer there is.
 * Without memory one socket stays unwatched, and its exchange ends at its deadline. */
static int on_want_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *is_watched)
{
    struct http *http = user;
    http_exchange_on_watched(easy, socket, what);
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(http->sockets, EPOLL_CTL_DEL, socket, NULL);
        if (is_watched && --http->watched == 0)
            uv_poll_stop(&http->poll);
        return 0;
    }
    struct epoll_event event = {.data.fd = socket};
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (epoll_ctl(http->sockets, is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event) != 0 || is_watched)
        return 0;
    curl_multi_assign(http->multi, socket, http); /* which is `is_watched` the next time */
    if (http->watched++ == 0)
        uv_poll_start(&http->poll, UV_READABLE, on_events);
    return 0;
}

/* libcurl's callback: when to call it. A time of 0 means soon, and not from here. */
static int on_want_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    struct http *http = user;
    if (timeout_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

int http_create(uv_loop_t *loop, struct http **out)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        goto cleanup_curl;
    http->multi = curl_multi_init();
    if (!http->multi)
        goto free_http;
    http->sockets = epoll_create1(EPOLL_CLOEXEC);
    if (http->sockets < 0)
        goto cleanup_multi;
    if (park_create(loop, &http_parked_handlers, &http->park) != 0)
        goto close_sockets;
    if (uv_poll_init(loop, &http->poll, http->sockets) != 0)
        goto destroy_park;
    http->parks = true;
    http->loop = loop;
    http->pending_end = &http->pending;
    http->last_tls = (struct http_last_tls){.version = "", .cipher = ""};
    http->ca_file = curl_version_info(CURLVERSION_NOW)->cainfo;
    uv_timer_init(loop, &http->timer);
    uv_idle_init(loop, &http->idle);
    http->timer.data = http->idle.data = http->poll.data = http;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_want_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
    *out = http;
    return 0;
destroy_park:
    park_destroy(http->park);
close_sockets:
    close(http->sockets);
cleanup_multi:
    curl_multi_cleanup(http->multi);
free_http:
    free(http);
cleanup_curl:
    curl_global_cleanup();
    return -ENOMEM;
}

static void on_idle_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;
    close(http->sockets);
    uv_close((uv_handle_t *)&http->idle, on_idle_closed);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;
    uv_close((uv_handle_t *)&http->poll, on_poll_closed);
}

void http_destroy(struct http *http)
{
    if (!http)
        return;
    do_pending(http);
    assert(http->in_flight == 0);
    (void)http_trim(http);
    curl_multi_cleanup(http->multi); /* closes idle connections, by the callbacks above */
    curl_global_cleanup();
    park_destroy(http->park);
    uv_close((uv_handle_t *)&http->timer, on_timer_closed);
}

size_t http_trim(struct http *http)
{
    size_t count = http->spare_count;
    while (http->spare_count > 0)
        curl_easy_cleanup(http->spares[--http->spare_count]);
    return count;
}

void http_set_parking(struct http *http, bool parks)
{
    http->parks = parks;
}

uint64_t http_bytes_received(const struct http *http)
{
    return http->bytes_received;
}

struct http_last_tls http_last_tls(const struct http *http)
{
    return http->last_tls;
}

const char *http_last_version(const struct http *http)
{
    switch (http->last_version) {
    case 0:
        return "";
    case CURL_HTTP_VERSION_1_0:
        return "HTTP/1.0";
    case CURL_HTTP_VERSION_1_1:
        return "HTTP/1.1";
    default: /* newer ones are not asked for */
        return "HTTP/2";
    }
}
