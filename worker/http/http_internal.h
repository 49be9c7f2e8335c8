/* SPDX-License-Identifier: MIT */
/* What the files of the HTTP engine share, and nobody else includes:
 *
 *   http_exchange.c   one exchange: start, handlers, deadline, end
 *   http_easy.c       a request as a libcurl handle: options, sockets, guard
 *   http_failure.c    a libcurl code as a reason and a text for people
 *   http_head.c       the head of a response, pure
 *   http_parked.c     a stream that has left libcurl: its socket in the park
 *   http.c            the engine: libcurl's multi handle on the loop
 *
 * libcurl must not be called from within its own callbacks, where handlers run, too. So starting and cancelling call
 * nothing of the multi handle: they put the exchange on the engine's list of pending work, which is worked off after
 * libcurl has returned, or in the loop's next turn. */
#ifndef WORKER_HTTP_INTERNAL_H
#define WORKER_HTTP_INTERNAL_H

#include "worker/http/chunked.h"
#include "worker/http/http.h"
#include "worker/http/http_head.h"
#include "worker/http/park.h"
#include "worker/http/park_tls.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Few do: what ends is soon begun again. And when many are freed after a wave, their pieces lie between others that stay. */
enum { HTTP_SPARES_MAX = 8 };

struct http {
    uv_loop_t *loop;
    CURLM *multi;
    int sockets;                   /* an epoll set: those that libcurl wants watched */
    size_t watched;                /* how many */
    uv_poll_t poll;                /* of the set; active while there are any */
    uv_timer_t timer;              /* when libcurl wants to be called without a socket's event */
    uv_idle_t idle;                /* active while there is pending work */
    struct http_exchange *pending; /* to be added to, or removed from, the multi handle; in order */
    struct http_exchange **pending_end;
    const char *ca_file;           /* the system's, or NULL: as libcurl was built */
    size_t in_flight;              /* exchanges in the multi handle */
    CURL *spares[HTTP_SPARES_MAX]; /* handles that are between two exchanges: one is as dear to make as to set up */
    size_t spare_count;
    struct park *park;
    bool parks; /* streams leave libcurl where they can */
    uint64_t bytes_received;
    long last_version; /* libcurl's number; 0: no response yet */
    struct http_last_tls last_tls;
};

/* What is needed only until the final head is in: a held stream is without it. */
struct http_opening {
    struct http_head_reader head;
    char tls_error[CURL_ERROR_SIZE];      /* libcurl's own words */
    char forbidden[160];                  /* the guard's, about the last address it refused */
    int socket_errno;                     /* why there was no socket */
    unsigned port;                        /* that the last socket was to connect to: a proxy's, maybe */
    struct park_tls_authority *authority; /* that TLS may share; only set where it may */
    http_guard guard;
    const void *guard_user;
    uint64_t headers_timeout_ms;
    uint64_t started_ms; /* of the loop's clock */
    bool is_brief;       /* the connection is closed after the response */
    bool opened;         /* there was a socket to connect: some address was allowed */
    bool secured;        /* TLS was set up for it, once or more */
    bool connected;      /* and TLS is through */
};

/* What is needed only while libcurl has the exchange: a parked stream is without it. */
struct http_curl {
    struct http_exchange *pending_next;
    CURL *easy;
    CURLU *url; /* parsed; libcurl does it anew at each transfer, and writes it anew, unless it is given that */
    struct curl_slist *headers;
    struct http_opening *opening; /* NULL: the final head is in */
    uv_timer_t *deadline;         /* NULL: none armed */
    uint64_t total_timeout_ms;
    curl_socket_t socket; /* that is watched; CURL_SOCKET_BAD: none */
    uint32_t unpacked;    /* bytes of a body so far, unpacked; not of a stream */
    uint32_t head_size;   /* bytes of heads and trailers, at most: */
    uint32_t head_max;
    bool is_pending; /* on the engine's list */
    bool added;      /* in the multi handle */
    bool may_park;
    bool leaves; /* for the park, once the engine has the time */
};

/* Kept small: each held stream has one. */
struct http_exchange {
    struct http *http;
    const struct http_handlers *handlers;
    void *user;
    const char *url; /* of a stream; else NULL */
    union {
        struct http_curl *curl;
        struct park_place place; /* once it is parked */
    };
    struct chunked chunked; /* streams are decoded here, not in libcurl */
    bool is_chunked;        /* a stream whose bytes come as chunks */
    bool is_parked;         /* it has left libcurl */
    bool is_told;           /* parked, and a handler runs, which may end it */
    bool gone;              /* ended or cancelled: no handler runs any more; freed by the engine, or once it is told */
};
static_assert(sizeof(struct http_exchange) <= 64, "each held stream has one");

/* --- http.c --- */

/* Has the engine add the exchange, which is not parked; or park it, or remove and free it when it is gone. */
void http_pend(struct http_exchange *exchange);

/* --- http_exchange.c, called by the engine --- */

/* libcurl, or the park, is through with it. `os_error`: an errno of the park's, or 0. */
void http_exchange_done(struct http_exchange *exchange, CURLcode code, int os_error);
void http_exchange_destroy(struct http_exchange *exchange);

/* Until the head must be in, as long as it is not: the time for it, or that for the whole if it is shorter; 0: none. */
uint64_t http_exchange_head_timeout_ms(const struct http_exchange *exchange);

/* --- http_easy.c --- */

/* Makes `easy`, `url` and `headers` of exchange->curl. 0, -ENOMEM or -EINVAL. */
MUST_CHECK int http_easy_create(struct http_exchange *exchange, const struct http_request *request);

/* Keeps the handle, which is not in the multi handle, for another exchange, or frees it. */
void http_easy_release(struct http *http, CURL *easy);

/* The TLS of the connection that a response comes on. */
void http_easy_get_tls(CURL *easy, struct http_last_tls *tls);

/* --- http_failure.c --- */

/* Says how it ended: for a code of libcurl, for a deadline of ours, and for chunks that are none. */
void http_failure_describe(const struct http_exchange *exchange, CURLcode code, int os_error, struct http_end *end);
void http_failure_timed_out(const struct http_exchange *exchange, struct http_end *end);
/* What that code says of TLS. */
enum http_tls http_failure_tls(CURLcode code);
void http_failure_bomb(const struct http_exchange *exchange, unsigned ratio, struct http_end *end);
void http_failure_malformed(const struct http_exchange *exchange, struct http_end *end);

/* What libcurl needed; it is not in the multi handle. */
void http_curl_destroy(struct http *http, struct http_curl *curl);

/* libcurl watches `socket` for the exchange of `easy`, or (CURL_POLL_REMOVE) no longer does. */
void http_exchange_on_watched(CURL *easy, curl_socket_t socket, int what);

/* Bytes of the body as they came. False when the exchange did not survive it. */
bool http_exchange_give_raw(struct http_exchange *exchange, const uint8_t *bytes, size_t size);

/* --- http_parked.c --- */

/* Has libcurl make its TLS connection so that it is cheap to park, for this exchange or a later one on it. False: no memory. */
MUST_CHECK bool http_parked_prepare(struct http_exchange *exchange, const struct http_request *request);

/* Whether the response may turn out to be one for the park; and, its head being there, whether it is. */
bool http_parked_may(const struct http *http, const struct http_request *request);
bool http_parked_fits(const struct http_exchange *exchange, const struct http_head *head);

/* Has the park read the exchange's socket, which libcurl then must not read any more; exchange->curl is the caller's then.
 * False: all is as before. */
MUST_CHECK bool http_parked_enter(struct http_exchange *exchange);
void http_parked_leave(struct http_exchange *exchange);

extern const struct park_handlers http_parked_handlers;

/* --- libcurl's callbacks for one exchange, in http_exchange.c --- */
size_t http_exchange_on_header(char *bytes, size_t size, size_t count, void *user);
size_t http_exchange_on_body(char *bytes, size_t size, size_t count, void *user);

#endif
