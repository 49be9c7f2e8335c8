/* SPDX-License-Identifier: MIT */
/* How an exchange ended, as a reason that code can act upon and a text that a person can: what happened, and with which
 * host and port. Never more of the URL than these two, for the rest of it may be a secret. libcurl's own words are used
 * only for TLS, where they say what is wrong with a certificate, and name nothing but the host and the CA file. */
#include "worker/http/http_internal.h"

#include "common/duration.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGIN_SIZE = 96 };

/* host:port of the URL. */
static const char *origin_of(const struct http_exchange *exchange, char out[ORIGIN_SIZE])
{
    const char *url = exchange->url;
    char *host = NULL;
    char *port = NULL;
    CURLU *parts = curl_url();
    if (!url)
        curl_easy_getinfo(exchange->curl->easy, CURLINFO_EFFECTIVE_URL, &url);
    bool known = parts && url && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                 curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (known)
        snprintf(out, ORIGIN_SIZE, "%.80s:%.5s", host, port);
    else
        snprintf(out, ORIGIN_SIZE, "the server");
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return out;
}

static void say(struct http_end *end, enum http_end_reason reason, const char *format, ...) PRINTF_LIKE(3, 4);

static void say(struct http_end *end, enum http_end_reason reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(end->text, sizeof end->text, format, arguments);
    va_end(arguments);
    end->reason = reason;
}

/* NULL: the final head is in. */
static const struct http_opening *opening_of(const struct http_exchange *exchange)
{
    return exchange->is_parked ? NULL : exchange->curl->opening;
}

/* Whether it was a proxy is known by the port only: libcurl does not say. */
static void describe_no_connect(const struct http_exchange *exchange, int error, const char *origin,
                                struct http_end *end)
{
    const struct http_opening *opening = opening_of(exchange);
    if (opening && !opening->opened && opening->socket_errno != 0) {
        say(end, HTTP_NO_RESOURCES, "no socket: %s", strerror(opening->socket_errno));
        return;
    }
    if (opening && !opening->opened && opening->forbidden[0]) {
        say(end, HTTP_FORBIDDEN, "%s", opening->forbidden);
        return;
    }
    const char *port = strrchr(origin, ':');
    bool proxied = opening && opening->opened && port && opening->port != strtoul(port + 1, NULL, 10);
    const char *whose = proxied ? "the proxy for " : "";
    if (error == ECONNREFUSED)
        say(end, HTTP_NO_CONNECT, "connection refused by %s%s", whose, origin);
    else if (error == ETIMEDOUT)
        say(end, HTTP_NO_CONNECT, "nobody answers at %s%s", whose, origin);
    else if (error != 0)
        say(end, HTTP_NO_CONNECT, "could not connect to %s%s: %s", whose, origin, strerror(error));
    else
        say(end, HTTP_NO_CONNECT, "could not connect to %s%s", whose, origin);
}

static void describe_no_tls(const struct http_exchange *exchange, CURLcode code, const char *origin,
                            struct http_end *end)
{
    const struct http_opening *opening = opening_of(exchange);
    bool said = opening && opening->tls_error[0];
    say(end, HTTP_NO_TLS, "no TLS with %s: %s", origin, said ? opening->tls_error : curl_easy_strerror(code));
    for (char *c = end->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = ' ';
}

static void describe_cut(const struct http_exchange *exchange, int error, const char *origin, struct http_end *end)
{
    long proxy_status = 0;
    bool is_opening = opening_of(exchange) != NULL;
    if (is_opening)
        curl_easy_getinfo(exchange->curl->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (is_opening && proxy_status >= 300)
        say(end, HTTP_NO_CONNECT, "the proxy does not connect to %s: status %ld", origin, proxy_status);
    else if (is_opening && error == 0)
        say(end, HTTP_CUT, "%s closed the connection without an answer", origin);
    else if (error == ECONNRESET)
        say(end, HTTP_CUT, "connection reset by %s", origin);
    else if (error == ETIMEDOUT)
        say(end, HTTP_CUT, "%s has vanished: nothing is acknowledged any more", origin);
    else
        say(end, HTTP_CUT, "connection cut by %s", origin);
}

enum http_tls http_failure_tls(CURLcode code)
{
    switch ((int)code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_TLS_UNVERIFIED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
        return HTTP_TLS_FAILED;
    default:
        return HTTP_TLS_NONE;
    }
}

void http_failure_describe(const struct http_exchange *exchange, CURLcode code, int os_error, struct http_end *end)
{
    const struct http_opening *opening = opening_of(exchange);
    char origin[ORIGIN_SIZE];
    long error = os_error;
    if (code == CURLE_OK && !opening) { /* as nearly all do, which therefore costs no parsed URL */
        say(end, HTTP_DONE, "done");
        return;
    }
    origin_of(exchange, origin);
    if (!exchange->is_parked)
        curl_easy_getinfo(exchange->curl->easy, CURLINFO_OS_ERRNO, &error);
    switch ((int)code) {
    case CURLE_OK:
        say(end, HTTP_BAD, "%s sent no complete head", origin);
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
        say(end, HTTP_NO_RESOLVE, "no address for the host of %s", origin);
        break;
    case CURLE_COULDNT_RESOLVE_PROXY:
        say(end, HTTP_NO_RESOLVE, "no address for the proxy's host");
        break;
    case CURLE_COULDNT_CONNECT:
        describe_no_connect(exchange, (int)error, origin, end);
        break;
    case CURLE_PROXY:
        say(end, HTTP_NO_CONNECT, "the proxy does not connect to %s", origin);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        say(end, HTTP_TIMED_OUT, "no answer from %s in time", origin);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_USE_SSL_FAILED:
        describe_no_tls(exchange, code, origin, end);
        break;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SEND_FAIL_REWIND:
        describe_cut(exchange, (int)error, origin, end);
        break;
    case CURLE_ABORTED_BY_CALLBACK: /* on_connected: a connection that another exchange had opened */
        say(end, HTTP_FORBIDDEN, "%s", opening ? opening->forbidden : "forbidden");
        break;
    case CURLE_WRITE_ERROR: /* ours, in on_header: nobody else refuses what comes */
        say(end, HTTP_TOO_LARGE, "the head of the response from %s is larger than %u bytes", origin,
            exchange->curl->head_max);
        break;
    case CURLE_OUT_OF_MEMORY:
        /* libcurl's word for one header of more than 100 KB, too. */
        if (opening && opening->connected)
            say(end, HTTP_TOO_LARGE, "a header of the response from %s is too large", origin);
        else
            say(end, HTTP_NO_RESOURCES, "out of memory");
        break;
    case CURLE_FAILED_INIT:
        say(end, HTTP_NO_RESOURCES, "%s", curl_easy_strerror(code));
        break;
    case CURLE_URL_MALFORMAT:
        say(end, HTTP_BAD, "not a URL");
        break;
    default:
        say(end, HTTP_BAD, "%s: %s", origin, curl_easy_strerror(code));
    }
}

void http_failure_timed_out(const struct http_exchange *exchange, struct http_end *end)
{
    char origin[ORIGIN_SIZE];
    char time[DURATION_TEXT_SIZE];
    origin_of(exchange, origin);
    const struct http_opening *opening = opening_of(exchange);
    uint64_t head_ms = opening ? http_exchange_head_timeout_ms(exchange) : 0;
    if (!opening)
        say(end, HTTP_TIMED_OUT, "the response from %s was not complete within %s", origin,
            duration_words(exchange->curl->total_timeout_ms, time));
    else if (!opening->connected && !opening->opened && !opening->forbidden[0])
        say(end, HTTP_TIMED_OUT, "no address for the host of %s within %s", origin, duration_words(head_ms, time));
    else if (!opening->connected)
        say(end, HTTP_TIMED_OUT, "no connection to %s within %s", origin, duration_words(head_ms, time));
    else
        say(end, HTTP_TIMED_OUT, "no answer from %s within %s", origin, duration_words(head_ms, time));
}

void http_failure_bomb(const struct http_exchange *exchange, unsigned ratio, struct http_end *end)
{
    char origin[ORIGIN_SIZE];
    say(end, HTTP_TOO_LARGE, "the answer from %s unpacks to more than %u times its size", origin_of(exchange, origin),
        ratio);
}

void http_failure_malformed(const struct http_exchange *exchange, struct http_end *end)
{
    char origin[ORIGIN_SIZE];
    say(end, HTTP_BAD, "the chunks of the stream from %s are malformed", origin_of(exchange, origin));
}
