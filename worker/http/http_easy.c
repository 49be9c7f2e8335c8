/* SPDX-License-Identifier: MIT */
/* A request as a libcurl handle. All the options that make a request safe and small stand here, each with its reason;
 * so does the opening of sockets, where the guard is asked.
 *
 * The guard is asked twice. Before a socket connects, about the very address that libcurl has resolved: nothing is
 * sent to a forbidden one. And before a request goes out, about the address of the connection it goes on: that one may
 * have been opened for another exchange, with a guard that allows more. */
#include "worker/http/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

/* Below the 5 s after which many servers close an idle connection: reusing one that is about to close costs a try. */
enum { CONNECTION_IDLE_S = 4 };

enum { STREAM_BUFFER_SIZE = 1024, BUFFER_SIZE = 16 * 1024, UPLOAD_BUFFER_SIZE = 16 * 1024 };

/* A peer that has vanished is noticed after two minutes, whether or not there is something to send: the time-out counts for
 * probes, too, whose number then does not. What is brief has its deadline. */
enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTERVAL_S = 15, USER_TIMEOUT_MS = 115 * 1000 };

/* Best effort: a connection without them works. */
static void watch_peer(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } OPTIONS[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(OPTIONS); i++)
        (void)setsockopt(fd, OPTIONS[i].level, OPTIONS[i].name, &OPTIONS[i].value, sizeof OPTIONS[i].value);
}

static bool allowed(struct http_exchange *exchange, const struct sockaddr *address)
{
    struct http_opening *opening = exchange->curl->opening;
    return !opening->guard ||
           opening->guard(opening->guard_user, address, opening->forbidden, sizeof opening->forbidden);
}

static unsigned port_of(const struct sockaddr *address)
{
    const void *any = address;
    const struct sockaddr_in *in = any;
    const struct sockaddr_in6 *in6 = any;
    return ntohs(address->sa_family == AF_INET6 ? in6->sin6_port : in->sin_port);
}

/* libcurl's callback: a socket for an address. */
static curl_socket_t on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_exchange *exchange = user;
    (void)purpose; /* there is but one */
    if (exchange->gone || !allowed(exchange, &address->addr))
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        exchange->curl->opening->socket_errno = errno;
        return CURL_SOCKET_BAD;
    }
    exchange->curl->opening->opened = true;
    exchange->curl->opening->port = port_of(&address->addr);
    if (!exchange->curl->opening->is_brief)
        watch_peer(fd);
    return fd;
}

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static bool parse_address(const char *text, union address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1)
        out->any.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1)
        out->any.sa_family = AF_INET6;
    else
        return false;
    return true;
}

/* libcurl's callback: there is a connection, new or used before, and the request is about to be sent on it. */
static int on_connected(void *user, char *peer_address, char *own_address, int peer_port, int own_port)
{
    struct http_exchange *exchange = user;
    (void)own_address;
    (void)peer_port;
    (void)own_port;
    union address address;
    if (exchange->gone || !parse_address(peer_address, &address) || !allowed(exchange, &address.any))
        return CURL_PREREQFUNC_ABORT;
    exchange->curl->opening->connected = true;
    return CURL_PREREQFUNC_OK;
}

static MUST_CHECK int add_header(struct http_exchange *exchange, const char *header)
{
    if (strpbrk(header, "\r\n"))
        return -EINVAL;
    struct curl_slist *list = curl_slist_append(exchange->curl->headers, header);
    if (!list)
        return -ENOMEM;
    exchange->curl->headers = list;
    return 0;
}

static MUST_CHECK int set_headers(struct http_exchange *exchange, const struct http_request *request)
{
    int result = add_header(exchange, "Expect:");
    for (size_t i = 0; i < request->header_count && result == 0; i++)
        result = add_header(exchange, request->headers[i]);
    return result;
}

/* Collects whether any option failed: for all of them that means no memory. */
#define SET(option, value) (failed |= curl_easy_setopt(easy, (option), (value)) != CURLE_OK)

static MUST_CHECK bool set_method(CURL *easy, const struct http_request *request)
{
    bool failed = false;
    if (request->body || strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        SET(CURLOPT_COPYPOSTFIELDS, request->body ? request->body : "");
    }
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "POST") != 0)
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    return !failed;
}

/* CAPATH is unset because libcurl shares one parsed CA store among connections only without it. Sessions would be kept with
 * the handle, for whoever has it next. */
static MUST_CHECK bool set_tls(CURL *easy, const char *ca_file)
{
    bool failed = false;
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_PROXY_CAPATH, NULL);
    if (ca_file) {
        SET(CURLOPT_CAINFO, ca_file);
        SET(CURLOPT_PROXY_CAINFO, ca_file);
    }
    SET(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    return !failed;
}

/* DNS: libcurl's cache is searched from end to end for what is old at each transfer's end, which with thousands of
 * held streams costs more than asking the resolver again. QUICK_EXIT: a look-up that is cancelled is left to its
 * thread, instead of waiting for it here with the loop standing still. */
static MUST_CHECK bool set_connection(CURL *easy, struct http_exchange *exchange, const struct http_request *request)
{
    bool failed = false;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_IDLE_S);
    SET(CURLOPT_FORBID_REUSE, request->close_after ? 1L : 0L);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, exchange);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, exchange);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (request->proxy)
        SET(CURLOPT_PROXY, request->proxy);
    return !failed;
}

/* What is no URL to the parser is for libcurl to refuse. */
static MUST_CHECK bool set_url(CURL *easy, struct http_curl *curl, const char *url)
{
    bool failed = false;
    SET(CURLOPT_URL, url);
    curl->url = curl_url();
    if (curl_url_set(curl->url, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        SET(CURLOPT_CURLU, curl->url);
    return !failed && curl->url;
}

static MUST_CHECK bool set_transfer(CURL *easy, struct http_exchange *exchange, const struct http_request *request)
{
    bool is_stream = request->total_timeout_ms == 0;
    bool failed = false;
    SET(CURLOPT_PRIVATE, exchange);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_USERAGENT, "mcp-broker/" MCP_BROKER_VERSION);
    SET(CURLOPT_HTTPHEADER, exchange->curl->headers);
    SET(CURLOPT_BUFFERSIZE, (long)(is_stream ? STREAM_BUFFER_SIZE : BUFFER_SIZE));
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_SIZE);
    if (is_stream)
        SET(CURLOPT_HTTP_TRANSFER_DECODING, 0L); /* it is undone by ours */
    else
        SET(CURLOPT_ACCEPT_ENCODING, ""); /* all that libcurl can undo */
    SET(CURLOPT_HEADERFUNCTION, http_exchange_on_header);
    SET(CURLOPT_HEADERDATA, exchange);
    SET(CURLOPT_WRITEFUNCTION, http_exchange_on_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_ERRORBUFFER, exchange->curl->opening->tls_error);
    return !failed;
}

#undef SET

static CURL *take_easy(struct http *http)
{
    return http->spare_count > 0 ? http->spares[--http->spare_count] : curl_easy_init();
}

/* A reset forgets all options, and with them all that is particular to one server; sessions of TLS there are none. It does
 * not forget an error of the system's, nor the buffer that some broken transfers keep, whose size then is not to be set. */
static bool is_as_new(CURL *easy)
{
    long error = 0;
    if (curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error) != CURLE_OK || error != 0)
        return false;
    curl_easy_reset(easy);
    return curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE) == CURLE_OK;
}

void http_easy_release(struct http *http, CURL *easy)
{
    if (http->spare_count < HTTP_SPARES_MAX && is_as_new(easy))
        http->spares[http->spare_count++] = easy;
    else
        curl_easy_cleanup(easy);
}

int http_easy_create(struct http_exchange *exchange, const struct http_request *request)
{
    int result = set_headers(exchange, request);
    if (result != 0)
        return result;
    CURL *easy = take_easy(exchange->http);
    if (!easy)
        return -ENOMEM;
    exchange->curl->easy = easy;
    const char *ca_file = request->ca_file ? request->ca_file : exchange->http->ca_file;
    bool set = set_method(easy, request) && set_url(easy, exchange->curl, request->url) && set_tls(easy, ca_file) &&
               set_connection(easy, exchange, request) && set_transfer(easy, exchange, request) &&
               http_parked_prepare(exchange, request);
    return set ? 0 : -ENOMEM;
}

void http_easy_get_tls(CURL *easy, struct http_last_tls *tls)
{
    struct curl_tlssessioninfo *info = NULL;
    *tls = (struct http_last_tls){.tls = HTTP_TLS_NONE, .version = "", .cipher = ""};
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info || !info->internals)
        return;
    tls->tls = HTTP_TLS_VERIFIED;
    if (info->backend != CURLSSLBACKEND_OPENSSL)
        return;
    const SSL *session = info->internals;
    tls->version = SSL_get_version(session);
    tls->cipher = SSL_get_cipher_name(session);
}
