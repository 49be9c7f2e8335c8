/* SPDX-License-Identifier: MIT */
/* Exchanges with a small server on a loopback port, in threads of this process; the path of a request says how the
 * server behaves. The client is what ships. All of it runs twice: with streams that stay in libcurl, and with parked
 * ones. */
#include "worker/http/http.h"

#include "tests/unit/server_fixture.h"

#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <strings.h>
#include <sys/resource.h>

/* --- the server --- */

static void wait_for_close(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    server.closed++;
}

static void echo(int fd, const char *request)
{
    char head[256];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s-1\r\nContent-Length: %zu\r\n\r\n",
             strlen(request));
    send_text(fd, head);
    send_text(fd, request);
}

static atomic_bool server_goes_on;

#define STREAM_HEAD                                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n"

static void flood(int fd, const char *piece)
{
    while (send_text(fd, piece))
        ;
}

/* Streams that go on once the client has had their beginning, and then end in one way or another. */
static void stream_later(int fd, const char *how)
{
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n";
    static const struct linger AT_ONCE = {.l_onoff = 1, .l_linger = 0};
    bool is_chunked = strcmp(how, "/plain") != 0 && strcmp(how, "/length") != 0;
    send_text(fd, HEAD);
    send_text(fd, is_chunked                    ? "Transfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n5"
                  : strcmp(how, "/length") == 0 ? "Content-Length: 9\r\n\r\ndata: "
                                                : "\r\ndata: ");
    while (!server_goes_on)
        sched_yield();
    if (!is_chunked)
        send_text(fd, "a\n\n");
    else if (strcmp(how, "/malformed") == 0)
        send_text(fd, "\r\na\n\nbcd\r\n");
    else
        send_text(fd, "\r\na\n\nbc\r\n");
    if (strcmp(how, "/end") == 0)
        send_text(fd, "0\r\n\r\n");
    if (strcmp(how, "/reset") == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &AT_ONCE, sizeof AT_ONCE);
}

/* Answers; false when the connection is to be closed. */
static bool server_answer(int fd, const char *request, const char *path)
{
    if (strncmp(path, "/echo", 5) == 0 || strncmp(path, "http://", 7) == 0) {
        echo(fd, request);
        return true;
    }
    if (strncmp(request, "CONNECT ", 8) == 0)
        return send_text(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    if (strcmp(path, "/chunked") == 0)
        return send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n") &&
               send_text(fd, "5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n");
    if (strcmp(path, "/hints") == 0)
        return send_text(fd, "HTTP/1.1 103 Early Hints\r\nMcp-Session-Id: early\r\n\r\n") &&
               send_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nno");
    if (strcmp(path, "/hold") == 0 && send_text(fd, STREAM_HEAD))
        wait_for_close(fd);
    else if (strcmp(path, "/cut") == 0)
        send_text(fd, STREAM_HEAD);
    else if (strncmp(path, "/later", 6) == 0)
        stream_later(fd, path + 6);
    else if (strcmp(path, "/silent") == 0)
        wait_for_close(fd);
    else if (strcmp(path, "/slow") == 0 && send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
        wait_for_close(fd);
    else if (strcmp(path, "/large-head") == 0 && send_text(fd, "HTTP/1.1 200 OK\r\n"))
        flood(fd, "X-Padding: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
    else if (strcmp(path, "/large-line") == 0 && send_text(fd, "HTTP/1.1 200 OK\r\nX-Padding: "))
        flood(fd, "0123456789012345678901234567890123456789012345678901234567890123456789");
    else if (strcmp(path, "/hints-for-ever") == 0)
        flood(fd, "HTTP/1.1 103 Early Hints\r\nX-Padding: 01234567890123456789\r\n\r\n");
    else if (strcmp(path, "/no-http") == 0)
        send_text(fd, "SSH-2.0-OpenSSH_9.2\r\n");
    return false;
}

/* --- the client --- */

struct client {
    uv_loop_t loop;
    struct http *http;
};

enum { LOOKS_AT_NOTHING, CANCELS_IN_HEAD, CANCELS_IN_BODY, CANCELS_OTHER_IN_BODY, STARTS_OTHER_IN_BODY };

/* One exchange and what was heard of it. */
struct heard {
    char url[256];
    struct client *client;
    struct http_exchange *exchange; /* NULL: ended or cancelled */
    struct heard *other;
    int behaviour;
    int heads;
    int ends;
    int status;
    bool is_event_stream;
    bool is_json;
    char session_id[32];
    uint64_t retry_after_ms;
    char body[REQUEST_MAX + 1];
    size_t body_size;
    struct http_end end;
};

static void start(struct client *client, const char *path, const struct http_request *base, struct heard *heard);

static void cancel(struct heard *heard)
{
    http_cancel(heard->exchange);
    heard->exchange = NULL;
}

static void on_head(void *user, const struct http_head *head)
{
    struct heard *heard = user;
    assert_non_null(heard->exchange);
    heard->heads++;
    heard->status = head->status;
    heard->is_event_stream = head->is_event_stream;
    heard->is_json = head->is_json;
    heard->retry_after_ms = head->retry_after_ms;
    snprintf(heard->session_id, sizeof heard->session_id, "%s", head->session_id);
    if (heard->behaviour == CANCELS_IN_HEAD)
        cancel(heard);
}

static void on_body(void *user, const uint8_t *bytes, size_t size)
{
    struct heard *heard = user;
    assert_non_null(heard->exchange);
    assert_int_equal(heard->heads, 1);
    assert_true(heard->body_size + size < sizeof heard->body);
    memcpy(heard->body + heard->body_size, bytes, size);
    heard->body_size += size;
    heard->body[heard->body_size] = '\0';
    if (heard->behaviour == CANCELS_IN_BODY)
        cancel(heard);
    else if (heard->behaviour == CANCELS_OTHER_IN_BODY)
        cancel(heard->other);
    else if (heard->behaviour == STARTS_OTHER_IN_BODY)
        start(heard->client, "/echo", NULL, heard->other);
}

static void on_end(void *user, const struct http_end *end)
{
    struct heard *heard = user;
    assert_non_null(heard->exchange);
    heard->exchange = NULL;
    heard->ends++;
    heard->end = *end;
}

static const struct http_handlers HANDLERS = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

static void start(struct client *client, const char *path, const struct http_request *base, struct heard *heard)
{
    snprintf(heard->url, sizeof heard->url, "http://user:secret@127.0.0.1:%d%s", server.port, path);
    struct http_request request = {.method = "GET", .headers_timeout_ms = 20000, .proxy = ""};
    if (base)
        request = *base;
    if (!request.url)
        request.url = heard->url;
    heard->client = client;
    assert_int_equal(http_start(client->http, &request, &HANDLERS, heard, &heard->exchange), 0);
}

static void wait_for(struct client *client, const int *count, int wanted)
{
    while (*count < wanted)
        uv_run(&client->loop, UV_RUN_ONCE);
}

/* Runs an exchange to its end. */
static struct heard *run(struct client *client, const char *path, const struct http_request *base)
{
    static struct heard heard;
    memset(&heard, 0, sizeof heard);
    start(client, path, base, &heard);
    assert_int_equal(heard.heads + heard.ends, 0);
    wait_for(client, &heard.ends, 1);
    return &heard;
}

static bool parks;

static int set_up(void **state)
{
    static struct client client;
    server_start();
    assert_int_equal(uv_loop_init(&client.loop), 0);
    assert_int_equal(http_create(&client.loop, &client.http), 0);
    http_set_parking(client.http, parks);
    *state = &client;
    return 0;
}

/* Nothing may be left on the loop. */
static int tear_down(void **state)
{
    struct client *client = *state;
    http_destroy(client->http);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&client->loop), 0);
    server_stop();
    return 0;
}

/* --- tests --- */

static void test_request_and_answer(void **state)
{
    static const char *const HEADERS[] = {"Content-Type: application/json", "X-One: 1"};
    struct http_request request = {.method = "POST",
                                   .headers = HEADERS,
                                   .header_count = 2,
                                   .body = "{\"id\":1}",
                                   .body_size = 8,
                                   .total_timeout_ms = 20000,
                                   .proxy = ""};
    struct client *client = *state;
    const struct heard *heard = run(client, "/echo?a=b", &request);
    assert_int_equal(heard->end.reason, HTTP_DONE);
    assert_int_equal(heard->status, 200);
    assert_true(heard->is_json);
    assert_false(heard->is_event_stream);
    assert_string_equal(heard->session_id, "s-1");
    assert_memory_equal(heard->body, "POST /echo?a=b HTTP/1.1\r\n", 25);
    assert_non_null(strstr(heard->body, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(heard->body, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(heard->body, "\r\nAccept-Encoding: "));
    assert_non_null(strstr(heard->body, "\r\n\r\n{\"id\":1}"));
    assert_null(strcasestr(heard->body, "\r\nExpect:"));
    assert_null(strcasestr(heard->body, "\r\nOrigin:"));
    assert_int_equal(http_bytes_received(client->http), heard->body_size);
}

static void test_other_methods(void **state)
{
    struct http_request request = {.method = "DELETE", .total_timeout_ms = 20000, .proxy = ""};
    const struct heard *heard = run(*state, "/echo", &request);
    assert_memory_equal(heard->body, "DELETE /echo HTTP/1.1\r\n", 23);
    request.method = "POST";
    heard = run(*state, "/echo", &request);
    assert_memory_equal(heard->body, "POST /echo HTTP/1.1\r\n", 21);
    assert_non_null(strstr(heard->body, "\r\nContent-Length: 0\r\n"));
}

static void test_nothing_is_left_for_the_next_request(void **state)
{
    static const char *const HEADERS[] = {"X-Key: of-one-server"};
    struct http_request request = {.method = "DELETE",
                                   .headers = HEADERS,
                                   .header_count = 1,
                                   .body = "of-one-server",
                                   .body_size = 13,
                                   .total_timeout_ms = 20000,
                                   .proxy = ""};
    struct client *client = *state;
    const struct heard *heard = run(client, "/echo?of-one-server", &request);
    assert_non_null(strstr(heard->body, "\r\nAuthorization: Basic "));
    uv_run(&client->loop, UV_RUN_NOWAIT); /* until libcurl's handle is given back */
    assert_int_equal(http_trim(client->http), 1);

    (void)run(client, "/echo?of-one-server", &request);
    uv_run(&client->loop, UV_RUN_NOWAIT);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/echo", server.port);
    struct http_request next = {.method = "GET", .url = url, .total_timeout_ms = 20000, .proxy = ""};
    heard = run(client, "", &next);
    assert_memory_equal(heard->body, "GET /echo HTTP/1.1\r\n", 20);
    assert_null(strstr(heard->body, "of-one-server"));
    assert_null(strcasestr(heard->body, "\r\nAuthorization:"));
    assert_null(strcasestr(heard->body, "\r\nContent-"));
    uv_run(&client->loop, UV_RUN_NOWAIT);
    assert_int_equal(http_trim(client->http), 1); /* one handle served both */
    assert_int_equal(http_trim(client->http), 0);
}

static void test_chunked(void **state)
{
    const struct heard *heard = run(*state, "/chunked", NULL);
    assert_int_equal(heard->end.reason, HTTP_DONE);
    assert_string_equal(heard->body, "hello world");
}

static void test_informational_heads(void **state)
{
    const struct heard *heard = run(*state, "/hints", NULL);
    assert_int_equal(heard->end.reason, HTTP_DONE);
    assert_int_equal(heard->heads, 1);
    assert_int_equal(heard->status, 404);
    assert_string_equal(heard->session_id, "");
    assert_int_equal(heard->retry_after_ms, 7000);
    assert_string_equal(heard->body, "no");
}

static void test_stream_that_is_cut(void **state)
{
    const struct heard *heard = run(*state, "/cut", NULL);
    assert_int_equal(heard->end.reason, HTTP_CUT);
    assert_true(heard->is_event_stream);
    assert_string_equal(heard->body, "data: a\n\n");
}

/* A held stream outlives the time for its head, and nothing wakes the loop for it. */
static void test_stream_that_stays(void **state)
{
    struct client *client = *state;
    struct http_request request = {.method = "GET", .headers_timeout_ms = 300, .proxy = ""};
    struct heard stream = {0};
    start(client, "/hold", &request, &stream);
    while (stream.body_size < 9)
        uv_run(&client->loop, UV_RUN_ONCE);
    while (uv_backend_timeout(&client->loop) != -1) /* timers of the connecting are running out */
        uv_run(&client->loop, UV_RUN_NOWAIT);
    const struct heard *heard = run(client, "/echo", NULL);
    assert_int_equal(heard->end.reason, HTTP_DONE);
    assert_int_equal(stream.ends, 0);
    cancel(&stream);
    while (server.closed < 1)
        uv_run(&client->loop, UV_RUN_NOWAIT);
}

/* A response and how it ends, whoever reads it then. */
static const struct {
    const char *path;
    const char *body;
    const char *text;
    enum http_end_reason reason;
} LATER[] = {
    {"/later/end", "data: a\n\nbc", "done", HTTP_DONE},
    {"/later/cut", "data: a\n\nbc", "connection cut by 127.0.0.1:", HTTP_CUT},
    {"/later/reset", NULL, "connection ", HTTP_CUT}, /* what came just before it may be lost */
    {"/later/malformed", "data: a\n\nbc", "the chunks of the stream from 127.0.0.1:", HTTP_BAD},
    {"/later/plain", "data: a\n\n", "done", HTTP_DONE},
    {"/later/length", "data: a\n\n", "done", HTTP_DONE},
};

static void test_stream_that_goes_on(void **state)
{
    struct client *client = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(LATER); i++) {
        struct heard heard = {0};
        server_goes_on = false;
        start(client, LATER[i].path, NULL, &heard);
        while (heard.body_size < 6 && heard.ends == 0)
            uv_run(&client->loop, UV_RUN_ONCE);
        assert_string_equal(heard.body, "data: ");
        server_goes_on = true;
        wait_for(client, &heard.ends, 1);
        if (heard.end.reason != LATER[i].reason || (LATER[i].body && strcmp(heard.body, LATER[i].body) != 0) ||
            strncmp(heard.end.text, LATER[i].text, strlen(LATER[i].text)) != 0)
            fail_msg("%s: reason %d, %s; body %s", LATER[i].path, (int)heard.end.reason, heard.end.text, heard.body);
    }
}

/* Its connection is its own, and closed with it: cancelled where it waits for more. */
static void test_stream_that_is_cancelled_later(void **state)
{
    struct client *client = *state;
    struct heard heard = {0};
    start(client, "/hold", NULL, &heard);
    while (heard.body_size < 9)
        uv_run(&client->loop, UV_RUN_ONCE);
    run(client, "/echo", NULL);
    assert_int_equal(server.connections, 2);
    cancel(&heard);
    while (server.closed < 1)
        uv_run(&client->loop, UV_RUN_NOWAIT);
    assert_int_equal(heard.ends, 0);
}

static void test_refused(void **state)
{
    /* A port that is bound and does not listen: nobody else can get it. */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bound, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(bound, (struct sockaddr *)&address, &size), 0);
    char url[128];
    char text[128];
    snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%d/path?token=secret", ntohs(address.sin_port));
    snprintf(text, sizeof text, "connection refused by 127.0.0.1:%d", ntohs(address.sin_port));
    struct http_request request = {.method = "GET", .url = url, .headers_timeout_ms = 20000, .proxy = ""};
    const struct heard *heard = run(*state, "", &request);
    assert_int_equal(heard->end.reason, HTTP_NO_CONNECT);
    assert_string_equal(heard->end.text, text);
    assert_int_equal(heard->heads, 0);
    close(bound);
}

static void test_time_outs(void **state)
{
    struct http_request request = {.method = "GET", .headers_timeout_ms = 50, .proxy = ""};
    const struct heard *heard = run(*state, "/silent", &request);
    assert_int_equal(heard->end.reason, HTTP_TIMED_OUT);
    assert_int_equal(heard->heads, 0);
    assert_non_null(strstr(heard->end.text, "no answer from 127.0.0.1:"));
    request.headers_timeout_ms = 0;
    request.total_timeout_ms = 50;
    heard = run(*state, "/silent", &request);
    assert_int_equal(heard->end.reason, HTTP_TIMED_OUT);
    assert_int_equal(heard->heads, 0);
    request.headers_timeout_ms = 20000;
    request.total_timeout_ms = 200;
    heard = run(*state, "/slow", &request);
    assert_int_equal(heard->end.reason, HTTP_TIMED_OUT);
    assert_int_equal(heard->heads, 1);
    assert_non_null(strstr(heard->end.text, "was not complete within 200ms"));
}

static void test_out_of_descriptors(void **state)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct heard *heard = run(*state, "/echo", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(heard->end.reason, HTTP_NO_RESOURCES);
    assert_string_equal(heard->end.text, "no socket: Too many open files");
}

static const struct {
    const char *path;
    enum http_end_reason reason;
} BROKEN[] = {
    {"/large-head", HTTP_TOO_LARGE},
    {"/large-line", HTTP_TOO_LARGE},
    {"/hints-for-ever", HTTP_TOO_LARGE},
    {"/no-http", HTTP_BAD},
    {"/close", HTTP_CUT},
};

static void test_broken_answers(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(BROKEN); i++) {
        const struct heard *heard = run(*state, BROKEN[i].path, NULL);
        if (heard->end.reason != BROKEN[i].reason || heard->heads != 0)
            fail_msg("%s: reason %d, %s", BROKEN[i].path, (int)heard->end.reason, heard->end.text);
    }
}

static void test_broken_requests(void **state)
{
    static const char *const URLS[] = {"", "::::", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://"};
    struct client *client = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(URLS); i++) {
        struct http_request request = {.method = "GET", .url = URLS[i], .headers_timeout_ms = 20000, .proxy = ""};
        const struct heard *heard = run(client, "", &request);
        if (heard->end.reason != HTTP_BAD)
            fail_msg("%s: reason %d, %s", URLS[i], (int)heard->end.reason, heard->end.text);
    }
    static const char *const HEADERS[] = {"X-One: 1\r\nX-Two: 2"};
    struct http_request request = {
        .method = "GET", .url = "http://127.0.0.1/", .headers = HEADERS, .header_count = 1, .proxy = ""};
    struct http_exchange *exchange;
    assert_int_equal(http_start(client->http, &request, &HANDLERS, NULL, &exchange), -EINVAL);
}

static void test_no_tls(void **state)
{
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
    struct http_request request = {.method = "GET", .url = url, .headers_timeout_ms = 20000, .proxy = ""};
    const struct heard *heard = run(*state, "", &request);
    assert_int_equal(heard->end.reason, HTTP_NO_TLS);
    assert_non_null(strstr(heard->end.text, "no TLS with 127.0.0.1:"));
    assert_int_equal(heard->heads, 0);
}

static void test_cancel_within_handlers(void **state)
{
    struct client *client = *state;
    for (int behaviour = CANCELS_IN_HEAD; behaviour <= CANCELS_IN_BODY; behaviour++) {
        struct heard heard = {.behaviour = behaviour};
        start(client, "/hold", NULL, &heard);
        while (server.closed < behaviour)
            uv_run(&client->loop, UV_RUN_NOWAIT);
        assert_int_equal(heard.heads, 1);
        assert_int_equal(heard.ends, 0);
        assert_int_equal(heard.body_size, behaviour == CANCELS_IN_HEAD ? 0 : 9);
    }
}

static void test_cancel_another_within_a_handler(void **state)
{
    struct client *client = *state;
    struct heard held = {0};
    struct heard heard = {.behaviour = CANCELS_OTHER_IN_BODY, .other = &held};
    start(client, "/hold", NULL, &held);
    while (held.body_size == 0)
        uv_run(&client->loop, UV_RUN_ONCE);
    start(client, "/chunked", NULL, &heard);
    wait_for(client, &heard.ends, 1);
    assert_string_equal(heard.body, "hello world");
    assert_int_equal(held.ends, 0);
    while (server.closed < 1)
        uv_run(&client->loop, UV_RUN_NOWAIT);
}

static void test_start_within_a_handler(void **state)
{
    struct client *client = *state;
    struct heard other = {0};
    struct heard held = {.behaviour = STARTS_OTHER_IN_BODY, .other = &other};
    start(client, "/hold", NULL, &held);
    wait_for(client, &other.ends, 1);
    assert_int_equal(other.end.reason, HTTP_DONE);
    cancel(&held);
}

static void test_cancel_before_anything_happened(void **state)
{
    struct client *client = *state;
    struct heard heard = {0};
    start(client, "/echo", NULL, &heard);
    cancel(&heard);
    http_cancel(NULL);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    assert_int_equal(heard.heads + heard.ends, 0);
    assert_int_equal(server.requests, 0);
}

static void test_connections_are_used_again(void **state)
{
    run(*state, "/echo", NULL);
    run(*state, "/echo", NULL);
    assert_int_equal(server.connections, 1);
    struct http_request request = {.method = "GET", .headers_timeout_ms = 20000, .close_after = true, .proxy = ""};
    run(*state, "/echo", &request);
    assert_int_equal(server.connections, 1);
    run(*state, "/echo", NULL);
    assert_int_equal(server.connections, 2);
    assert_int_equal(server.requests, 4);
}

/* The client's sockets to the server: descriptors of this process whose peer it is. The server's own ends have another. */
static int client_socket(void)
{
    int found = -1;
    for (int fd = 0; fd < 256; fd++) {
        struct sockaddr_in peer = {.sin_family = AF_UNSPEC};
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == server.port) {
            assert_int_equal(found, -1);
            found = fd;
        }
    }
    return found;
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void test_held_streams_are_watched_by_tcp(void **state)
{
    struct client *client = *state;
    struct heard held = {0};
    start(client, "/hold", NULL, &held);
    while (held.body_size == 0)
        uv_run(&client->loop, UV_RUN_ONCE);
    for (int turns = 0; turns < 3; turns++) /* until libcurl has closed its own descriptor of a parked one */
        uv_run(&client->loop, UV_RUN_NOWAIT);
    int fd = client_socket();
    assert_int_not_equal(fd, -1);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    int idle_s = option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), between_s = option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL);
    int patience_s = option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) / 1000;
    assert_in_range(patience_s, 30, 120);
    assert_in_range(idle_s + between_s, 20, patience_s); /* one probe or more goes out before */
    cancel(&held);
}

static bool refuse(const void *user, const struct sockaddr *address, char *why, size_t why_size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    snprintf(why, why_size, "%s %08x", (const char *)user, (unsigned)ntohl(in->sin_addr.s_addr));
    return false;
}

static void test_guard(void **state)
{
    struct http_request request = {
        .method = "GET", .headers_timeout_ms = 20000, .proxy = "", .guard = refuse, .guard_user = "no way to"};
    const struct heard *heard = run(*state, "/echo", &request);
    assert_int_equal(heard->end.reason, HTTP_FORBIDDEN);
    assert_string_equal(heard->end.text, "no way to 7f000001");
    assert_int_equal(server.connections, 0);
}

static void test_guard_of_a_connection_used_again(void **state)
{
    run(*state, "/echo", NULL);
    struct http_request request = {
        .method = "GET", .headers_timeout_ms = 20000, .proxy = "", .guard = refuse, .guard_user = "no way to"};
    const struct heard *heard = run(*state, "/echo", &request);
    assert_int_equal(heard->end.reason, HTTP_FORBIDDEN);
    assert_string_equal(heard->end.text, "no way to 7f000001");
    assert_int_equal(server.requests, 1);
}

static void test_proxy(void **state)
{
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", server.port);
    struct http_request request = {
        .method = "GET", .url = "http://mcp.invalid/mcp", .headers_timeout_ms = 20000, .proxy = proxy};
    const struct heard *heard = run(*state, "", &request);
    assert_int_equal(heard->end.reason, HTTP_DONE);
    assert_memory_equal(heard->body, "GET http://mcp.invalid/mcp HTTP/1.1\r\n", 37);
    request.url = "https://mcp.invalid/mcp";
    heard = run(*state, "", &request);
    assert_int_equal(heard->end.reason, HTTP_NO_CONNECT);
    assert_int_equal(heard->heads, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(50); /* a wait that has no end */
    const struct CMUnitTest tests[] = {
        TEST(test_request_and_answer),
        TEST(test_other_methods),
        TEST(test_nothing_is_left_for_the_next_request),
        TEST(test_chunked),
        TEST(test_informational_heads),
        TEST(test_stream_that_is_cut),
        TEST(test_stream_that_stays),
        TEST(test_stream_that_goes_on),
        TEST(test_stream_that_is_cancelled_later),
        TEST(test_refused),
        TEST(test_time_outs),
        TEST(test_out_of_descriptors),
        TEST(test_broken_answers),
        TEST(test_broken_requests),
        TEST(test_no_tls),
        TEST(test_cancel_within_handlers),
        TEST(test_cancel_another_within_a_handler),
        TEST(test_start_within_a_handler),
        TEST(test_cancel_before_anything_happened),
        TEST(test_connections_are_used_again),
        TEST(test_held_streams_are_watched_by_tcp),
        TEST(test_guard),
        TEST(test_guard_of_a_connection_used_again),
        TEST(test_proxy),
    };
    int failed = cmocka_run_group_tests_name("streams are kept in libcurl", tests, NULL, NULL);
    parks = true;
    return failed + cmocka_run_group_tests_name("streams are parked", tests, NULL, NULL);
}
