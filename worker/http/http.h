/* SPDX-License-Identifier: MIT */
/* HTTP exchanges on a libuv loop: the home of libcurl. One engine a worker: one multi handle driven by socket and timer
 * callbacks, one DNS cache, one set of TLS settings. An exchange is one request and its response, whose body may be a
 * stream that never ends. No curl type passes this line.
 *
 * Handlers run from the loop, never from inside http_start, and never after http_cancel or on_end. They may start and
 * cancel any exchange. (Calls into curl from inside its callbacks are forbidden; this file sees to it.)
 *
 * Set for all: http and https only, no redirect followed, `Expect:` off, no Origin, TCP keepalive and user time-out,
 * response headers bounded, HTTP/2 where TLS offers it. The guard is asked about the address of each socket before it
 * connects, and of each connection before it is used again for another exchange. Through a proxy that is the proxy's
 * address: where the proxy then goes, only the proxy can say. All of it on the loop's thread. */
#ifndef WORKER_HTTP_H
#define WORKER_HTTP_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct http;
struct http_exchange;

/* Says whether a connection may go to `address`: true, or false with the rule that forbids it in `why`. Pure. */
typedef bool (*http_guard)(const void *user, const struct sockaddr *address, char *why, size_t why_size);

enum { HTTP_HEAD_MAX = 64 * 1024 };

struct http_request {
    const char *method;         /* GET, POST, DELETE */
    const char *url;            /* outlives a stream; that of any other exchange is copied */
    const char *const *headers; /* "Name: value", header_count of them; copied */
    size_t header_count;
    const void *body; /* copied; NULL: none */
    size_t body_size;
    uint64_t headers_timeout_ms; /* until the response's headers are in; 0: none */
    uint64_t total_timeout_ms;   /* until its end; 0: none (a stream: small buffers, not compressed) */
    size_t head_max;             /* bytes of all heads: informational ones, the final one, trailers; 0: HTTP_HEAD_MAX */
    bool close_after;            /* nothing follows soon: the connection is not kept for the next request */
    const char *ca_file;         /* NULL: the system's */
    const char *proxy;           /* NULL: from the environment; "": none */
    http_guard guard;            /* NULL: anywhere; `guard_user` lives as long as the exchange */
    const void *guard_user;
};

/* What a listener wants to know of a response's head. Texts are borrowed for the call, "" when absent. */
struct http_head {
    int status;
    bool is_event_stream; /* the essence of Content-Type, whatever its case and parameters */
    bool is_json;
    bool is_garbled; /* of a stream, which is not asked to be compressed: it is, and can't be read */
    const char *content_type;
    const char *session_id;       /* Mcp-Session-Id, visible ASCII only, else "" */
    const char *www_authenticate; /* first 2 KB, several joined by ", " */
    const char *location;
    uint64_t retry_after_ms; /* Retry-After, seconds or date, at most a day; 0: none */
};

enum http_end_reason {
    HTTP_DONE,       /* the response ended as it should; on_head has run */
    HTTP_CUT,        /* it ended in the middle */
    HTTP_NO_RESOLVE, /* no address for the host */
    HTTP_NO_CONNECT, /* nobody answers there */
    HTTP_NO_TLS,     /* certificate or handshake */
    HTTP_TIMED_OUT,
    HTTP_FORBIDDEN,    /* by the guard; the text is its rule */
    HTTP_TOO_LARGE,    /* the head passed its bound */
    HTTP_BAD,          /* what came is no HTTP; or the URL is none */
    HTTP_NO_RESOURCES, /* descriptors, memory */
};

struct http_end {
    enum http_end_reason reason;
    char text[160]; /* for people; never a URL, a header's value or a secret */
};

struct http_handlers {
    /* Once, when the final head is in (not for 1xx). May be missing when the exchange fails before. */
    void (*on_head)(void *user, const struct http_head *head);
    /* Body bytes as they come, decoded. */
    void (*on_body)(void *user, const uint8_t *bytes, size_t size);
    /* Once, last; the exchange is gone. */
    void (*on_end)(void *user, const struct http_end *end);
};

MUST_CHECK int http_create(uv_loop_t *loop, struct http **out);
/* All exchanges must have ended or been cancelled; not from within a handler. The loop frees the memory in its next
 * turn. NULL does nothing. */
void http_destroy(struct http *http);

/* To be called when little is done: frees what is kept for exchanges to come. How much that was. */
size_t http_trim(struct http *http);

/* Whether the streams of exchanges that start from now on leave libcurl once their head is in, where they can: they
 * then cost a tenth of the memory. On at first. */
void http_set_parking(struct http *http, bool parks);

/* 0, or a negative errno; then no handler runs. `handlers` outlive the exchange; all that `request` points to is copied,
 * but `guard_user` and the URL of a stream. -EINVAL: a line break within a header. */
MUST_CHECK int http_start(struct http *http, const struct http_request *request, const struct http_handlers *handlers,
                          void *user, struct http_exchange **out);
/* Ends it at once, without on_end. NULL does nothing. */
void http_cancel(struct http_exchange *exchange);

/* Bytes of response bodies since the start. */
uint64_t http_bytes_received(const struct http *http);

/* In what the last response came: "HTTP/2". "" before the first one. */
const char *http_last_version(const struct http *http);

enum http_tls {
    HTTP_TLS_NONE,       /* not asked for, or it did not come to that */
    HTTP_TLS_VERIFIED,   /* without that nothing is sent */
    HTTP_TLS_UNVERIFIED, /* the certificate is not trusted, or another's */
    HTTP_TLS_FAILED,     /* what answers there speaks no TLS that is accepted here */
};

/* How TLS went the last time, with the server (or a proxy on the way). When it was verified also what was agreed upon, as
 * "TLSv1.3" and "TLS_AES_256_GCM_SHA384"; else, and when libcurl is built with another library than OpenSSL, "". */
struct http_last_tls {
    enum http_tls tls;
    const char *version, *cipher; /* literals */
};
struct http_last_tls http_last_tls(const struct http *http);

#endif
