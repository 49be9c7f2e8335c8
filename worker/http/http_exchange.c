/* SPDX-License-Identifier: MIT */
/* One exchange, from http_start to its end. It exists for its owner until on_end or http_cancel; its memory lives on
 * until the engine has taken it out of libcurl, for either may happen within one of libcurl's callbacks, or, of a parked
 * one, until the handler that ended it is through. From `gone` on no handler runs.
 *
 * Bytes reach the owner through give_body alone, wherever they were read. A response that goes on for days keeps only
 * this struct and what libcurl holds: the reader of the head, the texts for errors, and the timer are given back once
 * the final head is in. */
#include "worker/http/http_internal.h"

#include "common/clock.h"
#include "common/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { UNPACKED_FREE = 1024 * 1024, UNPACKED_RATIO = 200 };

static void on_deadline_closed(uv_handle_t *handle)
{
    free(handle);
}

static void deadline_stop(struct http_curl *curl)
{
    if (!curl->deadline)
        return;
    curl->deadline->data = NULL;
    uv_close((uv_handle_t *)curl->deadline, on_deadline_closed);
    curl->deadline = NULL;
}

/* From here on no handler runs. */
static void retire(struct http_exchange *exchange)
{
    assert(!exchange->gone);
    exchange->gone = true;
    if (exchange->is_parked) {
        http_parked_leave(exchange);
    } else {
        deadline_stop(exchange->curl);
        http_pend(exchange);
    }
}

/* The exchange is over for its owner, who may do anything in on_end: nothing of it is touched afterwards. */
static void finish(struct http_exchange *exchange, const struct http_end *end)
{
    const struct http_handlers *handlers = exchange->handlers;
    void *user = exchange->user;
    retire(exchange);
    handlers->on_end(user, end);
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_exchange *exchange = timer->data;
    struct http_end end;
    http_failure_timed_out(exchange, &end);
    finish(exchange, &end);
}

static MUST_CHECK int deadline_start(struct http_exchange *exchange, uint64_t ms)
{
    if (!exchange->curl->deadline) {
        exchange->curl->deadline = calloc(1, sizeof *exchange->curl->deadline);
        if (!exchange->curl->deadline)
            return -ENOMEM;
        uv_timer_init(exchange->http->loop, exchange->curl->deadline);
        exchange->curl->deadline->data = exchange;
    }
    return uv_timer_start(exchange->curl->deadline, on_deadline, ms, 0);
}

uint64_t http_exchange_head_timeout_ms(const struct http_exchange *exchange)
{
    uint64_t head_ms = exchange->curl->opening->headers_timeout_ms;
    uint64_t total_ms = exchange->curl->total_timeout_ms;
    return head_ms == 0 || (total_ms > 0 && total_ms < head_ms) ? total_ms : head_ms;
}

/* The head is in: what is left of the time for the whole, or no deadline at all. */
static void deadline_go_on(struct http_exchange *exchange)
{
    uint64_t passed_ms = uv_now(exchange->http->loop) - exchange->curl->opening->started_ms;
    uint64_t total_ms = exchange->curl->total_timeout_ms;
    if (total_ms == 0) {
        deadline_stop(exchange->curl);
    } else if (exchange->curl->deadline) {
        uint64_t left_ms = passed_ms < total_ms ? total_ms - passed_ms : 0;
        uv_timer_start(exchange->curl->deadline, on_deadline, left_ms, 0);
    }
}

/* Most of it is room for texts, which need not be cleared. */
static struct http_opening *opening_create(const struct http *http, const struct http_request *request)
{
    struct http_opening *opening = malloc(sizeof *opening);
    if (!opening)
        return NULL;
    http_head_init(&opening->head);
    opening->tls_error[0] = opening->forbidden[0] = '\0';
    opening->guard = request->guard;
    opening->guard_user = request->guard_user;
    opening->headers_timeout_ms = request->headers_timeout_ms;
    opening->started_ms = uv_now(http->loop);
    opening->is_brief = request->close_after;
    opening->socket_errno = 0;
    opening->port = 0;
    opening->opened = opening->secured = opening->connected = false;
    return opening;
}

static MUST_CHECK int curl_create(struct http_exchange *exchange, const struct http_request *request)
{
    struct http_curl *curl = calloc(1, sizeof *curl);
    if (!curl)
        return -ENOMEM;
    curl->total_timeout_ms = request->total_timeout_ms;
    curl->head_max = request->head_max > 0 ? (uint32_t)request->head_max : HTTP_HEAD_MAX;
    curl->socket = CURL_SOCKET_BAD;
    curl->may_park = http_parked_may(exchange->http, request);
    exchange->curl = curl;
    curl->opening = opening_create(exchange->http, request);
    return curl->opening ? http_easy_create(exchange, request) : -ENOMEM;
}

int http_start(struct http *http, const struct http_request *request, const struct http_handlers *handlers, void *user,
               struct http_exchange **out)
{
    struct http_exchange *exchange = slab_take(&slab_held, sizeof(struct http_exchange));
    if (!exchange)
        return -ENOMEM;
    *exchange = (struct http_exchange){
        .http = http,
        .handlers = handlers,
        .user = user,
        .url = request->total_timeout_ms == 0 ? request->url : NULL,
    };
    int result = curl_create(exchange, request);
    uint64_t head_timeout_ms = result == 0 ? http_exchange_head_timeout_ms(exchange) : 0;
    if (head_timeout_ms > 0)
        result = deadline_start(exchange, head_timeout_ms);
    if (result != 0)
        goto destroy;
    http_pend(exchange);
    *out = exchange;
    return 0;
destroy:
    http_exchange_destroy(exchange);
    return result;
}

void http_cancel(struct http_exchange *exchange)
{
    if (exchange)
        retire(exchange);
}

void http_curl_destroy(struct http *http, struct http_curl *curl)
{
    if (!curl)
        return;
    deadline_stop(curl);
    if (curl->easy)
        http_easy_release(http, curl->easy);
    curl_url_cleanup(curl->url);
    curl_slist_free_all(curl->headers);
    free(curl->opening);
    free(curl);
}

void http_exchange_on_watched(CURL *easy, curl_socket_t socket, int what)
{
    struct http_exchange *exchange = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &exchange);
    if (!exchange)
        return;
    if (what != CURL_POLL_REMOVE)
        exchange->curl->socket = socket;
    else if (exchange->curl->socket == socket)
        exchange->curl->socket = CURL_SOCKET_BAD;
}

void http_exchange_destroy(struct http_exchange *exchange)
{
    if (!exchange->is_parked)
        http_curl_destroy(exchange->http, exchange->curl);
    slab_give(&slab_held, exchange, sizeof(*exchange));
}

void http_exchange_done(struct http_exchange *exchange, CURLcode code, int os_error)
{
    if (exchange->gone)
        return;
    struct http_end end;
    enum http_tls tls = http_failure_tls(code);
    if (tls != HTTP_TLS_NONE)
        exchange->http->last_tls = (struct http_last_tls){.tls = tls, .version = "", .cipher = ""};
    http_failure_describe(exchange, code, os_error, &end);
    finish(exchange, &end);
}

/* False when the exchange did not survive it. */
static bool give_head(struct http_exchange *exchange)
{
    struct http_head head;
    http_head_get(&exchange->curl->opening->head, clock_wall_ms(), &head);
    head.is_garbled = exchange->url && exchange->curl->opening->head.is_encoded; /* libcurl undoes it for all others */
    curl_easy_getinfo(exchange->curl->easy, CURLINFO_HTTP_VERSION, &exchange->http->last_version);
    http_easy_get_tls(exchange->curl->easy, &exchange->http->last_tls);
    deadline_go_on(exchange);
    exchange->is_chunked = exchange->url && exchange->curl->opening->head.is_chunked;
    exchange->curl->leaves = http_parked_fits(exchange, &head);
    exchange->handlers->on_head(exchange->user, &head);
    if (exchange->gone)
        return false;
    if (exchange->curl->leaves)
        http_pend(exchange);
    curl_easy_setopt(exchange->curl->easy, CURLOPT_ERRORBUFFER, NULL);
    free(exchange->curl->opening);
    exchange->curl->opening = NULL;
    return true;
}

/* False when the exchange did not survive it. */
static bool give_body(struct http_exchange *exchange, const uint8_t *bytes, size_t size)
{
    exchange->http->bytes_received += size;
    exchange->handlers->on_body(exchange->user, bytes, size);
    return !exchange->gone;
}

bool http_exchange_give_raw(struct http_exchange *exchange, const uint8_t *bytes, size_t size)
{
    if (!exchange->is_chunked)
        return give_body(exchange, bytes, size);
    const uint8_t *end = bytes + size;
    const uint8_t *data;
    size_t data_size;
    int outcome;
    while ((outcome = chunked_next(&exchange->chunked, &bytes, end, &data, &data_size)) == CHUNKED_DATA)
        if (!give_body(exchange, data, data_size))
            return false;
    if (outcome == CHUNKED_BAD) {
        struct http_end bad;
        http_failure_malformed(exchange, &bad);
        finish(exchange, &bad);
    } else if (outcome == CHUNKED_END && exchange->is_parked) { /* else libcurl will tell */
        http_exchange_done(exchange, CURLE_OK, 0);
    }
    return !exchange->gone;
}

size_t http_exchange_on_header(char *bytes, size_t size, size_t count, void *user)
{
    struct http_exchange *exchange = user;
    (void)size; /* always 1 */
    if (exchange->gone || count > exchange->curl->head_max - exchange->curl->head_size)
        return CURL_WRITEFUNC_ERROR;
    exchange->curl->head_size += (uint32_t)count;
    if (!exchange->curl->opening || !http_head_feed(&exchange->curl->opening->head, bytes, count))
        return count; /* of trailers nothing is wanted */
    return give_head(exchange) ? count : CURL_WRITEFUNC_ERROR;
}

/* A few KB that unpack to all that memory allows would hold the loop up for as long as libcurl is at it. Text of lists is
 * rarely packed to less than a fiftieth. */
static bool is_bomb(struct http_exchange *exchange, size_t more)
{
    curl_off_t packed = 0;
    if (exchange->curl->total_timeout_ms == 0)
        return false; /* a stream, which is not packed */
    exchange->curl->unpacked += (uint32_t)more;
    if (exchange->curl->unpacked < UNPACKED_FREE)
        return false;
    curl_easy_getinfo(exchange->curl->easy, CURLINFO_SIZE_DOWNLOAD_T, &packed);
    return exchange->curl->unpacked / UNPACKED_RATIO > packed;
}

size_t http_exchange_on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct http_exchange *exchange = user;
    (void)size; /* always 1 */
    if (exchange->gone)
        return CURL_WRITEFUNC_ERROR;
    if (is_bomb(exchange, count)) {
        struct http_end end;
        http_failure_bomb(exchange, UNPACKED_RATIO, &end);
        finish(exchange, &end);
    }
    return !exchange->gone && http_exchange_give_raw(exchange, (const uint8_t *)bytes, count) ? count
                                                                                              : CURL_WRITEFUNC_ERROR;
}
