/* SPDX-License-Identifier: MIT */
/* For tests of what speaks HTTP: a small server on a loopback port, in threads of the test's process. How it answers is
 * the test's to define, in server_answer. */
#ifndef TESTS_UNIT_SERVER_FIXTURE_H
#define TESTS_UNIT_SERVER_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONNECTIONS_MAX = 32, REQUEST_MAX = 16 * 1024 };

static struct {
    int listener;
    int port;
    pthread_t acceptor;
    pthread_t threads[CONNECTIONS_MAX];
    atomic_int connections; /* accepted since the test began */
    atomic_int closed;      /* by the client, while the server was waiting */
    atomic_int requests;
} server;

/* Answers a request, head and body; false when the connection is to be closed. Runs in a thread of its own. */
static bool server_answer(int fd, const char *request, const char *path);

static inline bool send_text(int fd, const char *text)
{
    size_t size = strlen(text);
    return send(fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Reads a request with its body into `request`; false when the client has closed. */
static inline bool receive(int fd, char request[REQUEST_MAX])
{
    size_t size = 0;
    for (;;) {
        request[size] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *length = strcasestr(request, "\r\ncontent-length:");
        size_t body = end && length && length < end ? strtoul(length + 17, NULL, 10) : 0;
        if (end && size >= (size_t)(end + 4 - request) + body)
            return true;
        ssize_t got = recv(fd, request + size, REQUEST_MAX - 1 - size, 0);
        if (got <= 0 || request[0] == '\x16') /* the hello of TLS, which is not spoken here */
            return false;
        size += (size_t)got;
    }
}

static inline void *serve(void *user)
{
    int fd = (int)(intptr_t)user;
    char request[REQUEST_MAX];
    char path[256];
    bool keep = true;
    while (keep && receive(fd, request) && sscanf(request, "%*15s %255s", path) == 1) {
        server.requests++;
        keep = server_answer(fd, request, path);
    }
    close(fd);
    return NULL;
}

static inline void *accept_all(void *user)
{
    (void)user;
    for (;;) {
        int fd = accept(server.listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        int index = server.connections++;
        if (index >= CONNECTIONS_MAX || pthread_create(&server.threads[index], NULL, serve, (void *)(intptr_t)fd) != 0)
            abort();
    }
}

static inline void server_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server.connections = server.closed = server.requests = 0;
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server.listener, 16), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    server.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server.acceptor, NULL, accept_all, NULL), 0);
}

/* Every client must have closed its connections. */
static inline void server_stop(void)
{
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(server.acceptor, NULL);
    close(server.listener);
    for (int i = 0; i < server.connections; i++)
        pthread_join(server.threads[i], NULL);
}

#endif
