/* SPDX-License-Identifier: MIT */
/* Streams that have left libcurl. A held easy handle with its buffers and its connection costs some 13 KB; the socket
 * alone, read by the park, a few hundred bytes. libcurl does what it is good at, up to the head of the response; from
 * there on an event stream over HTTP/1.1 needs no more than chunked.c.
 *
 * The socket is taken over by a duplicate of its descriptor: libcurl then closes its own with the connection, and the
 * TCP connection lives on, with all its options. Without TLS, libcurl holds back no byte that it has read. So what the
 * duplicate reads is what follows. With TLS, the connection's keys travel along (park_tls.c).
 *
 * What is not so simple stays where it is: TLS within a proxy's TLS, HTTP/2, a body of known length. So does a stream for
 * which there is no descriptor. Owners can't tell the difference but for `--no-park`. */
#include "worker/http/http_internal.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* Where libcurl looks for a proxy, when it is not told of one. */
static const char *const PROXY_VARIABLES[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

static bool is_secure(const char *url)
{
    return url && strncasecmp(url, "https:", 6) == 0;
}

/* Whether the way there may be secured itself. */
static bool proxy_is_secure(const struct http_request *request)
{
    if (request->proxy)
        return is_secure(request->proxy);
    for (size_t i = 0; i < ARRAY_LENGTH(PROXY_VARIABLES); i++)
        if (is_secure(getenv(PROXY_VARIABLES[i])))
            return true;
    return false;
}

bool http_parked_may(const struct http *http, const struct http_request *request)
{
    return http->parks && request->total_timeout_ms == 0 && !proxy_is_secure(request) &&
           (!is_secure(request->url) || park_tls_can());
}

/* libcurl's callback. Should the exchange need a second connection, that may have other settings: libcurl leaves HTTP/2
 * for a server that says so. */
static CURLcode on_tls_context(CURL *easy, void *context, void *user)
{
    struct http_exchange *exchange = user;
    (void)easy;
    if (!exchange->gone && exchange->curl->opening && !exchange->curl->opening->secured) {
        exchange->curl->opening->secured = true;
        park_tls_share(context, exchange->curl->opening->authority);
    }
    return CURLE_OK;
}

bool http_parked_prepare(struct http_exchange *exchange, const struct http_request *request)
{
    const char *ca_file = request->ca_file ? request->ca_file : exchange->http->ca_file;
    if (!exchange->http->parks || !is_secure(request->url) || proxy_is_secure(request) || !park_tls_can())
        return true;
    exchange->curl->opening->authority = park_tls_authority(ca_file);
    if (!exchange->curl->opening->authority)
        return true;
    return curl_easy_setopt(exchange->curl->easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context) == CURLE_OK &&
           curl_easy_setopt(exchange->curl->easy, CURLOPT_SSL_CTX_DATA, exchange) == CURLE_OK;
}

/* NULL: there is none, or it is not OpenSSL's. */
static struct ssl_st *tls_of(const struct http_exchange *exchange)
{
    struct curl_tlssessioninfo *info = NULL;
    if (curl_easy_getinfo(exchange->curl->easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info)
        return NULL;
    return info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : NULL;
}

bool http_parked_fits(const struct http_exchange *exchange, const struct http_head *head)
{
    long version = 0;
    curl_off_t to_send = 0, sent = 0;
    if (!exchange->curl->may_park || head->status != 200 || !head->is_event_stream ||
        exchange->curl->opening->head.has_length)
        return false;
    curl_easy_getinfo(exchange->curl->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(exchange->curl->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &to_send);
    curl_easy_getinfo(exchange->curl->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return (version == CURL_HTTP_VERSION_1_1 || version == CURL_HTTP_VERSION_1_0) && sent >= to_send;
}

static struct http_exchange *exchange_at(struct park_place *place)
{
    char *at = (char *)place - offsetof(struct http_exchange, place);
    return (struct http_exchange *)(void *)at;
}

/* A handler has run. */
static void after(struct http_exchange *exchange)
{
    exchange->is_told = false;
    if (exchange->gone)
        http_exchange_destroy(exchange);
}

static void on_bytes(struct park_place *place, const uint8_t *bytes, size_t size)
{
    struct http_exchange *exchange = exchange_at(place);
    exchange->is_told = true;
    (void)http_exchange_give_raw(exchange, bytes, size);
    after(exchange);
}

static void on_end(struct park_place *place, int error)
{
    struct http_exchange *exchange = exchange_at(place);
    exchange->is_told = true;
    http_exchange_done(exchange,
                       error != 0             ? CURLE_RECV_ERROR
                       : exchange->is_chunked ? CURLE_PARTIAL_FILE
                                              : CURLE_OK,
                       error);
    after(exchange);
}

const struct park_handlers http_parked_handlers = {.on_bytes = on_bytes, .on_end = on_end};

bool http_parked_enter(struct http_exchange *exchange)
{
    int fd = exchange->curl->socket >= 0 ? fcntl(exchange->curl->socket, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return false;
    struct ssl_st *tls = tls_of(exchange);
    if ((!tls && is_secure(exchange->url)) || park_enter(exchange->http->park, &exchange->place, fd, tls) != 0) {
        close(fd);
        return false;
    }
    exchange->is_parked = true;
    return true;
}

void http_parked_leave(struct http_exchange *exchange)
{
    park_leave(exchange->http->park, &exchange->place);
    if (!exchange->is_told)
        http_exchange_destroy(exchange);
}
