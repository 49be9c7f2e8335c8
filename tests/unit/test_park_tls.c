/* SPDX-License-Identifier: MIT */
/* Streams over TLS that leave libcurl, against a server of OpenSSL's in a thread: whatever comes before, while and after
 * they leave, and however they end. The path of a request says what the server does. All of it runs with streams that stay
 * in libcurl as well, and with both versions of TLS. */
#include "worker/http/fold.h"
#include "worker/http/http_internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = 40 * 1000 };

/* --- OpenSSL's memory: a connection is folded while it is at rest, as in a worker --- */

enum { RECORD = 16 * 1024 };

/* This thread's buffers for records. */
static _Thread_local int buffers;

/* `memory` is replaced by `size` bytes. */
static void count_buffers(void *memory, size_t size)
{
    buffers -= memory && malloc_usable_size(memory) > RECORD;
    buffers += size > RECORD;
}

/* The heap, as OpenSSL would have it: allocations of its own don't fail on purpose, and its leaks are looked for. */
static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    count_buffers(NULL, size);
    return size > 6 * 1024 && size <= FOLD_SIZE ? fold_take() : reallocarray(NULL, 1, size);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    assert_false(fold_has(memory));
    count_buffers(memory, size);
    return reallocarray(memory, 1, size);
}

static void give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (fold_has(memory)) {
        fold_give(memory);
        return;
    }
    count_buffers(memory, 0);
    free(memory);
}

/* --- the server --- */

static struct {
    SSL_CTX *context;
    int listener;
    int port;
    pthread_t thread;
    char ca_file[64];
    atomic_int steps; /* of the client: how far the server may go */
    atomic_bool goodbye;
} server;

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509V3_CTX context;
    assert_true(X509_set_version(certificate, X509_VERSION_3));
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(certificate, key, EVP_sha256()));
    strcpy(server.ca_file, "/tmp/test_park_tls-XXXXXX");
    FILE *file = fdopen(mkstemp(server.ca_file), "w");
    assert_non_null(file);
    assert_true(PEM_write_X509(file, certificate));
    assert_int_equal(fclose(file), 0);
    server.context = SSL_CTX_new(TLS_server_method());
    assert_true(SSL_CTX_use_certificate(server.context, certificate));
    assert_true(SSL_CTX_use_PrivateKey(server.context, key));
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void wait_for_step(int step)
{
    while (server.steps < step)
        usleep(500);
}

static void say(SSL *tls, const char *text)
{
    int size = (int)strlen(text);
    if (SSL_write(tls, text, size) != size)
        abort();
}

static void say_large(SSL *tls)
{
    static char text[LARGE + 1];
    memset(text, 'x', LARGE);
    say(tls, text);
}

static void update_keys(SSL *tls, int kind)
{
    if (SSL_version(tls) != TLS1_3_VERSION)
        return;
    if (!SSL_key_update(tls, kind) || SSL_do_handshake(tls) != 1)
        abort();
}

static void tickets(SSL *tls)
{
    if (SSL_version(tls) != TLS1_3_VERSION)
        return;
    if (!SSL_new_session_ticket(tls) || SSL_do_handshake(tls) != 1)
        abort();
}

/* What comes once the stream has left. */
static void go_on(SSL *tls, const char *path)
{
    if (strcmp(path, "/keys") == 0) {
        for (int i = 0; i < 3; i++) {
            update_keys(tls, SSL_KEY_UPDATE_NOT_REQUESTED);
            update_keys(tls, SSL_KEY_UPDATE_REQUESTED);
            say(tls, "b");
        }
    } else if (strcmp(path, "/tickets") == 0) {
        tickets(tls);
        say(tls, "b");
        tickets(tls);
    } else if (strcmp(path, "/hold") == 0) {
        tickets(tls);
    } else if (strcmp(path, "/large") == 0 || strcmp(path, "/at-once") == 0) {
        say_large(tls);
    } else if (strcmp(path, "/again") == 0) {
        if (SSL_version(tls) == TLS1_3_VERSION) {
            SSL_set_verify(tls, SSL_VERIFY_PEER, NULL);
            SSL_verify_client_post_handshake(tls);
        } else {
            SSL_renegotiate(tls);
        }
        SSL_do_handshake(tls);
    } else if (strcmp(path, "/garbage") == 0) {
        if (send(SSL_get_fd(tls), "\x17\x03\x03\x00\x14garbage garbage garbage", 25, MSG_NOSIGNAL) != 25)
            abort();
    }
    if (strcmp(path, "/again") != 0 && strcmp(path, "/garbage") != 0)
        say(tls, "end");
}

static void answer(SSL *tls)
{
    static const struct linger AT_ONCE = {.l_onoff = 1, .l_linger = 0};
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: ";
    char request[4096];
    char path[32];
    int size = SSL_read(tls, request, sizeof request - 1);
    if (size <= 0)
        return;
    request[size] = '\0';
    assert_int_equal(sscanf(request, "GET %31s", path), 1);
    say(tls, HEAD);
    if (strcmp(path, "/at-once") == 0)
        say_large(tls); /* some of it is decrypted, or on its way, while the stream leaves */
    else
        wait_for_step(1);
    go_on(tls, path);
    if (strcmp(path, "/hold") == 0)
        server.goodbye = SSL_read(tls, request, sizeof request) == 0 && SSL_get_shutdown(tls) == SSL_RECEIVED_SHUTDOWN;
    if (strcmp(path, "/reset") == 0)
        setsockopt(SSL_get_fd(tls), SOL_SOCKET, SO_LINGER, &AT_ONCE, sizeof AT_ONCE);
    else if (strcmp(path, "/cut") != 0 && SSL_shutdown(tls) == 0)
        while (SSL_read(tls, request, sizeof request) > 0) /* closing with bytes unread would be a reset */
            ;
}

static void *serve(void *user)
{
    (void)user;
    for (;;) {
        int fd = accept(server.listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        SSL *tls = SSL_new(server.context);
        SSL_set_fd(tls, fd);
        if (SSL_accept(tls) == 1)
            answer(tls);
        SSL_free(tls);
        close(fd);
    }
}

/* --- the client --- */

struct client {
    uv_loop_t loop;
    struct http *http;
    struct http_exchange *exchange; /* NULL: ended */
    char url[64];
    char body[3 * LARGE];
    size_t size;
    struct http_end end;
};

static void on_head(void *user, const struct http_head *head)
{
    (void)user;
    assert_int_equal(head->status, 200);
}

static void on_body(void *user, const uint8_t *bytes, size_t size)
{
    struct client *client = user;
    assert_true(client->size + size < sizeof client->body);
    memcpy(client->body + client->size, bytes, size);
    client->size += size;
    client->body[client->size] = '\0';
}

static void on_end(void *user, const struct http_end *end)
{
    struct client *client = user;
    client->exchange = NULL;
    client->end = *end;
}

static const struct http_handlers HANDLERS = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

static bool parks;
static int version;

static int set_up(void **state)
{
    static struct client client;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    SSL_CTX_set_max_proto_version(server.context, version);
    server.steps = 0;
    server.goodbye = false;
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server.listener, 16), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    server.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    memset(&client, 0, sizeof client);
    assert_int_equal(uv_loop_init(&client.loop), 0);
    assert_int_equal(http_create(&client.loop, &client.http), 0);
    http_set_parking(client.http, parks);
    *state = &client;
    return 0;
}

static int tear_down(void **state)
{
    struct client *client = *state;
    http_destroy(client->http);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&client->loop), 0);
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.listener);
    return 0;
}

static void start(struct client *client, const char *path)
{
    snprintf(client->url, sizeof client->url, "https://127.0.0.1:%d%s", server.port, path);
    struct http_request request = {
        .method = "GET", .url = client->url, .headers_timeout_ms = 20000, .proxy = "", .ca_file = server.ca_file};
    client->size = 0;
    assert_int_equal(http_start(client->http, &request, &HANDLERS, client, &client->exchange), 0);
}

/* Until the stream has begun, and has left if it is to leave. */
static void begin(struct client *client, const char *path)
{
    start(client, path);
    while (client->size < 6 && client->exchange)
        uv_run(&client->loop, UV_RUN_ONCE);
    for (int turns = 0; turns < 4; turns++)
        uv_run(&client->loop, UV_RUN_NOWAIT);
    assert_non_null(client->exchange);
    assert_int_equal(client->http->watched, parks ? 0 : 1); /* by libcurl */
    assert_false(fold_oldest(0, SIZE_MAX));
}

static void finish(struct client *client)
{
    while (client->exchange)
        uv_run(&client->loop, UV_RUN_ONCE);
}

/* --- tests --- */

static const struct {
    const char *path;
    const char *body; /* NULL: what came before the end may be lost */
    enum http_end_reason reason;
} STREAMS[] = {
    {"/close", "data: end", HTTP_DONE}, {"/keys", "data: bbbend", HTTP_DONE}, {"/tickets", "data: bend", HTTP_DONE},
    {"/cut", "data: end", HTTP_DONE},   {"/reset", NULL, HTTP_CUT},           {"/garbage", "data: ", HTTP_CUT},
};

static void test_ends(void **state)
{
    struct client *client = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(STREAMS); i++) {
        server.steps = 0;
        begin(client, STREAMS[i].path);
        server.steps = 1;
        finish(client);
        if (client->end.reason != STREAMS[i].reason || (STREAMS[i].body && strcmp(client->body, STREAMS[i].body) != 0))
            fail_msg("%s: reason %d, %s; body %s", STREAMS[i].path, (int)client->end.reason, client->end.text,
                     client->body);
    }
}

static void assert_large(const struct client *client, size_t count)
{
    assert_int_equal(client->end.reason, HTTP_DONE);
    assert_int_equal(client->size, 6 + count * LARGE + 3);
    assert_int_equal(strspn(client->body + 6, "x"), count * LARGE);
    assert_string_equal(client->body + 6 + count * LARGE, "end");
}

static void test_large(void **state)
{
    struct client *client = *state;
    begin(client, "/large");
    server.steps = 1;
    finish(client);
    assert_large(client, 1);
}

static void test_bytes_while_it_leaves(void **state)
{
    struct client *client = *state;
    for (int i = 0; i < 20; i++) {
        start(client, "/at-once");
        finish(client);
        assert_large(client, 2);
    }
}

/* A new handshake, or a request for a certificate: the stream goes on or ends in order. */
static void test_handshake_again(void **state)
{
    struct client *client = *state;
    begin(client, "/again");
    server.steps = 1;
    finish(client);
    assert_true(client->end.reason == HTTP_DONE || client->end.reason == HTTP_CUT);
}

/* What is at rest has no buffers, whatever it has read before and since it left; one that is given up says so. */
static void test_hold(void **state)
{
    struct client *client = *state;
    begin(client, "/hold");
    assert_true(!parks || buffers == 0);
    server.steps = 1;
    while (client->size < 9)
        uv_run(&client->loop, UV_RUN_ONCE);
    assert_true(!parks || buffers == 0);
    http_cancel(client->exchange);
    client->exchange = NULL;
    while (!server.goodbye)
        uv_run(&client->loop, UV_RUN_NOWAIT);
}

/* What connections of one CA file share must not let anyone in: a host that the certificate is not for, a file that does not
 * have it. */
static void test_each_is_verified(void **state)
{
    struct client *client = *state;
    struct http_request request = {
        .method = "GET", .headers_timeout_ms = 20000, .proxy = "", .ca_file = server.ca_file};
    for (int i = 0; i < 3; i++) {
        server.steps = 0;
        begin(client, "/close");
        server.steps = 1;
        finish(client);
        assert_int_equal(client->end.reason, HTTP_DONE);
        snprintf(client->url, sizeof client->url, "https://localhost:%d/close", server.port);
        request.url = client->url;
        assert_int_equal(http_start(client->http, &request, &HANDLERS, client, &client->exchange), 0);
        finish(client);
        assert_int_equal(client->end.reason, HTTP_NO_TLS);
        snprintf(client->url, sizeof client->url, "https://127.0.0.1:%d/close", server.port);
        request.ca_file = NULL;
        assert_int_equal(http_start(client->http, &request, &HANDLERS, client, &client->exchange), 0);
        finish(client);
        assert_int_equal(client->end.reason, HTTP_NO_TLS);
        request.ca_file = server.ca_file;
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(50); /* a wait that has no end */
    assert_true(CRYPTO_set_mem_functions(take, resize, give));
    make_certificate();
    const struct CMUnitTest tests[] = {
        TEST(test_ends),
        TEST(test_large),
        TEST(test_bytes_while_it_leaves),
        TEST(test_handshake_again),
        TEST(test_hold),
        TEST(test_each_is_verified),
    };
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        parks = i % 2 == 1;
        version = i < 2 ? TLS1_2_VERSION : TLS1_3_VERSION;
        failed += cmocka_run_group_tests_name(parks ? "streams are parked" : "streams are kept in libcurl", tests, NULL,
                                              NULL);
    }
    SSL_CTX_free(server.context);
    unlink(server.ca_file);
    return failed;
}
