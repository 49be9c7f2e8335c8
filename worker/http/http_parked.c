/* SPDX-License-Identifier: MIT */
/* Streams that have left libcurl. A held easy handle with its buffers and its connection costs some 13 KB; the socket
 * alone, read by the park, a few hundred bytes. libcurl does what it is good at, up to the head of the response; from
 * there on an event stream over HTTP/1.1 needs no more than chunked.c.
 *
 * The socket is taken over by a duplicate of its descriptor: libcurl then closes its own with the connection, and the
 * TCP connection lives on, with all its options. Without TLS, libcurl holds back no byte that it has read. So what the
 * duplicate reads is what follows.
 *
 * What is not so simple stays where it is: TLS (the connection's keys are libcurl's), HTTP/2, a body of known length. So
 * does a stream for which there is no descriptor. Owners can't tell the difference but for `--no-park`. */
#include "worker/http/http_internal.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* What libcurl takes for a proxy of http URLs, when it is not told. */
static const char *const PROXY_VARIABLES[] = {"http_proxy", "all_proxy", "ALL_PROXY"};

static const char *proxy_of(const struct http_request *request)
{
    const char *proxy = request->proxy;
    for (size_t i = 0; !proxy && i < ARRAY_LENGTH(PROXY_VARIABLES); i++)
        proxy = getenv(PROXY_VARIABLES[i]);
    return proxy ? proxy : "";
}

bool http_parked_may(const struct http *http, const struct http_request *request)
{
    return http->parks && request->total_timeout_ms == 0 && strncasecmp(request->url, "http://", 7) == 0 &&
           strncasecmp(proxy_of(request), "https:", 6) != 0;
}

bool http_parked_fits(const struct http_exchange *exchange, const struct http_head *head)
{
    long version = 0;
    curl_off_t to_send = 0, sent = 0;
    if (!exchange->may_park || head->status != 200 || !head->is_event_stream || exchange->opening->head.has_length)
        return false;
    curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &to_send);
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return (version == CURL_HTTP_VERSION_1_1 || version == CURL_HTTP_VERSION_1_0) && sent >= to_send;
}

static struct http_exchange *exchange_at(struct park_place *place)
{
    char *at = (char *)place - offsetof(struct http_exchange, place);
    return (struct http_exchange *)(void *)at;
}

static void on_bytes(struct park_place *place, const uint8_t *bytes, size_t size)
{
    (void)http_exchange_give_raw(exchange_at(place), bytes, size);
}

static void on_end(struct park_place *place, int error)
{
    struct http_exchange *exchange = exchange_at(place);
    exchange->os_error = error;
    http_exchange_done(exchange, error != 0 ? CURLE_RECV_ERROR : exchange->is_chunked ? CURLE_PARTIAL_FILE : CURLE_OK);
}

const struct park_handlers http_parked_handlers = {.on_bytes = on_bytes, .on_end = on_end};

bool http_parked_enter(struct http_exchange *exchange)
{
    int fd = exchange->socket >= 0 ? fcntl(exchange->socket, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return false;
    if (park_enter(exchange->http->park, &exchange->place, fd) == 0)
        return true;
    close(fd);
    return false;
}
