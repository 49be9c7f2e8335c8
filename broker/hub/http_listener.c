/* SPDX-License-Identifier: MIT */
/* HTTP for scrapers and probes. libmicrohttpd works in its own epoll set, without a thread: the loop watches that set's
 * descriptor and keeps its timer, so a request is answered between two other turns of the hub.
 *
 * Who may ask: on loopback, whoever names it by a name of loopback in Host, so that a page in somebody's browser whose
 * name was made to point here (DNS rebinding) gets nothing; anywhere else, and wherever a token file is given, whoever
 * shows the token. Nothing here changes anything, and no request's body is read: the answer is queued as soon as the head
 * is there, which makes libmicrohttpd close the connection behind it.
 *
 * Connections are few, short and small: their number, their head and their time are bounded, and a peer that is slow to
 * read its answer costs that answer's memory until the time is over.
 */
#include "broker/hub/http_listener.h"

#include "common/log.h"
#include "common/token_file.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, TIME_OUT_S = 10, LOOK_MS = 1000, HEAD_MAX = 16 * 1024, HANDLES = 2, MESSAGE_SIZE = 128 };
static const char HTTP_PORT[] = ":80";

struct http_listener {
    struct http_listener_options options;
    char *token_file; /* NULL: none */
    struct token token;
    bool loopback;
    char bound[LISTEN_ADDRESS_TEXT_SIZE];
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
};

/* --- who may ask --- */

/* `Host` names loopback, and the port; without a port it is 80. */
static bool is_host_local(const struct http_listener *listener, const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *port = strrchr(listener->bound, ':');
    size_t bound_name = (size_t)(port - listener->bound);
    for (size_t i = 0; i <= ARRAY_LENGTH(names); i++) {
        const char *name = i < ARRAY_LENGTH(names) ? names[i] : listener->bound;
        size_t size = i < ARRAY_LENGTH(names) ? strlen(name) : bound_name;
        if (strncasecmp(host, name, size) != 0)
            continue;
        if (strcmp(host + size, port) == 0 || (host[size] == '\0' && strcmp(port, HTTP_PORT) == 0))
            return true;
    }
    return false;
}

static bool has_token(const struct http_listener *listener, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    return authorization && strncasecmp(authorization, scheme, strlen(scheme)) == 0 &&
           token_matches(&listener->token, authorization + strlen(scheme));
}

/* 0, or the status that refuses. */
static unsigned check(const struct http_listener *listener, struct MHD_Connection *connection, const char *method)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    const char *authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (listener->loopback && (!host || !is_host_local(listener, host)))
        return MHD_HTTP_MISDIRECTED_REQUEST;
    if (listener->token_file && !has_token(listener, authorization))
        return MHD_HTTP_UNAUTHORIZED;
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ? 0 : MHD_HTTP_METHOD_NOT_ALLOWED;
}

/* --- answers --- */

static enum MHD_Result send_bytes(struct MHD_Connection *connection, unsigned status, const char *content_type,
                                  struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status)
{
    char text[MESSAGE_SIZE];
    const char *why = status == MHD_HTTP_MISDIRECTED_REQUEST  ? "ask for localhost or 127.0.0.1, with the port"
                      : status == MHD_HTTP_UNAUTHORIZED       ? "Authorization: Bearer, with the token"
                      : status == MHD_HTTP_METHOD_NOT_ALLOWED ? "GET only"
                      : status == MHD_HTTP_NOT_FOUND          ? "there are /metrics, /healthz and /readyz"
                                                              : "out of memory";
    int size = snprintf(text, sizeof(text), "%s\n", why);
    return send_bytes(connection, status, "text/plain; charset=utf-8",
                      MHD_create_response_from_buffer((size_t)size, text, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result answer(const struct http_listener *listener, struct MHD_Connection *connection,
                              const struct http_listener_route *route)
{
    struct buf body;
    buf_init(&body, listener->options.body_max);
    unsigned status = route->answer(listener->options.user, &body);
    size_t size = body.size;
    void *bytes = buf_take(&body);
    if (!bytes)
        return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR);
    struct MHD_Response *response = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(bytes);
    return send_bytes(connection, status, route->content_type, response);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload_data, size_t *upload_data_size,
                                  void **connection_user)
{
    (void)version, (void)upload_data, (void)upload_data_size, (void)connection_user;
    const struct http_listener *listener = user;
    unsigned refused = check(listener, connection, method);
    if (refused)
        return refuse(connection, refused);
    for (size_t i = 0; i < listener->options.route_count; i++) {
        if (strcmp(listener->options.routes[i].path, url) == 0)
            return answer(listener, connection, &listener->options.routes[i]);
    }
    return refuse(connection, MHD_HTTP_NOT_FOUND);
}

/* What libmicrohttpd complains of comes from peers: it is of no use to an operator, unless they look for it. */
static void on_complaint(void *user, const char *format, va_list arguments) PRINTF_LIKE(2, 0);
static void on_complaint(void *user, const char *format, va_list arguments)
{
    (void)user;
    char text[MESSAGE_SIZE];
    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http.complaint", LOG_TEXT("text", text));
}

/* --- the loop --- */

static void on_timer(uv_timer_t *timer);

/* With as many connections as there may be libmicrohttpd stops listening, and goes on in the run after the one in which some have
 * ended: which nothing need bring about, when those were all. So it is run now and then in any case. */
static void turn(struct http_listener *listener)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(listener->daemon);
    if (MHD_get_timeout(listener->daemon, &wait_ms) != MHD_YES || wait_ms > LOOK_MS)
        wait_ms = LOOK_MS;
    uv_timer_start(&listener->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    turn(poll->data);
}

/* --- begin and end --- */

static int read_token(struct http_listener *listener)
{
    char why[TOKEN_FILE_WHY_SIZE];
    struct token token;
    if (!listener->token_file)
        return 0;
    if (token_file_read(listener->token_file, &token, why) != 0) {
        log_error("http.token", LOG_TEXT("flag", "--http-token-file"), LOG_TEXT("error", why));
        return HTTP_LISTENER_MISCONFIGURED;
    }
    listener->token = token;
    return 0;
}

/* The listening socket in *fd. */
static int listen_at(struct http_listener *listener, int *fd)
{
    struct listen_address address;
    char why[LISTEN_ADDRESS_WHY_SIZE];
    const char *text = listener->options.address;
    if (listen_address_parse(text, &address, why) != 0) {
        log_error("http.address", LOG_TEXT("flag", "--http"), LOG_TEXT("error", why));
        return HTTP_LISTENER_MISCONFIGURED;
    }
    if (!address.loopback && !listener->token_file) {
        log_error("http.address", LOG_TEXT("flag", "--http"),
                  LOG_TEXT("error", "other machines can reach it: name a --http-token-file"));
        return HTTP_LISTENER_MISCONFIGURED;
    }
    int result = listen_address_open(&address, fd);
    if (result != 0) {
        log_error("http.address", LOG_TEXT("flag", "--http"), LOG_TEXT("address", text),
                  LOG_TEXT("error", strerror(-result)));
        return HTTP_LISTENER_MISCONFIGURED;
    }
    listener->loopback = address.loopback;
    listen_address_text(*fd, listener->bound);
    return 0;
}

/* The daemon takes the socket over. */
static int start_daemon(struct http_listener *listener, int fd)
{
    listener->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, listener, //
                                        MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL,                         //
                                        MHD_OPTION_LISTEN_SOCKET, fd,                                           //
                                        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,                 //
                                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIME_OUT_S,                    //
                                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MAX, MHD_OPTION_END);
    if (listener->daemon)
        return 0;
    log_error("http.daemon", LOG_TEXT("error", "libmicrohttpd does not start"));
    close(fd);
    return -ENOMEM;
}

static int watch_daemon(uv_loop_t *loop, struct http_listener *listener)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int result = info ? uv_poll_init(loop, &listener->poll, info->epoll_fd) : -ENOTSUP;
    if (result != 0) {
        log_error("http.loop", LOG_TEXT("error", strerror(-result)));
        return result;
    }
    uv_timer_init(loop, &listener->timer);
    listener->open_handles = HANDLES;
    listener->poll.data = listener->timer.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, on_poll);
    return 0;
}

static void destroy(struct http_listener *listener)
{
    explicit_bzero(&listener->token, sizeof(listener->token));
    free(listener->token_file);
    free(listener);
}

int http_listener_open(uv_loop_t *loop, const struct http_listener_options *options, struct http_listener **out)
{
    int fd;
    struct http_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->options = *options;
    listener->token_file = options->token_file ? strdup(options->token_file) : NULL;
    int result = options->token_file && !listener->token_file ? -ENOMEM : read_token(listener);
    if (result == 0)
        result = listen_at(listener, &fd);
    if (result == 0)
        result = start_daemon(listener, fd);
    if (result == 0)
        result = watch_daemon(loop, listener);
    if (result != 0) {
        if (listener->daemon)
            MHD_stop_daemon(listener->daemon);
        destroy(listener);
        return result;
    }
    log_info("http.open", LOG_TEXT("address", listener->bound), LOG_TEXT("token", listener->token_file ? "yes" : "no"));
    *out = listener;
    return 0;
}

void http_listener_reload(struct http_listener *listener)
{
    if (listener)
        (void)!read_token(listener);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_listener *listener = handle->data;
    if (--listener->open_handles == 0)
        destroy(listener);
}

void http_listener_close(struct http_listener *listener)
{
    if (!listener)
        return;
    /* The loop lets go of the descriptor before it is closed. */
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    uv_close((uv_handle_t *)&listener->timer, on_closed);
    MHD_stop_daemon(listener->daemon);
}
