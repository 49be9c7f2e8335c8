/* SPDX-License-Identifier: MIT */
/* One accepted socket: requests in, answers out, until one of them makes it a server's stream. A stream is this struct
 * and a socket (and OpenSSL's part, for https): what is read and written goes through buffers of the process. Only a request that comes in pieces, of
 * at most REQUEST_SIZE_MAX bytes, is kept for a while.
 *
 * Nothing waits for room in a socket: a client that does not read loses its connection, and that is counted. */
#include "tests/fleet/process_internal.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

bool connection_open(struct process *process, int fd)
{
    struct connection *connection = process->free;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (!connection || epoll_ctl(process->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        return false;
    }
    struct ssl_st *tls = process->tls ? tls_accept(process->tls, fd) : NULL;
    if (process->tls && !tls) {
        close(fd); /* which leaves the loop, too */
        return false;
    }
    process->free = connection->next;
    *connection = (struct connection){.fd = fd, .tls = tls};
    process_count(process, SHARED_ACCEPTED);
    return true;
}

static ssize_t send_some(struct connection *connection, const void *bytes, size_t size)
{
    if (connection->tls)
        return tls_send(connection->tls, bytes, size);
    return send(connection->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool write_out(struct process *process, struct connection *connection)
{
    const struct buf *out = &process->out;
    if (send_some(connection, out->bytes, out->size) == (ssize_t)out->size)
        return true;
    process_count(process, SHARED_WRITE_FAILURES);
    connection_close(process, connection, CONNECTION_RESET);
    return false;
}

void connection_close(struct process *process, struct connection *connection, enum connection_close how)
{
    static const char LAST_CHUNK[] = "0\r\n\r\n";
    static const struct linger AT_ONCE = {.l_onoff = 1, .l_linger = 0};
    if (how == CONNECTION_END)
        (void)send_some(connection, LAST_CHUNK, sizeof(LAST_CHUNK) - 1);
    if (how == CONNECTION_RESET)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &AT_ONCE, sizeof(AT_ONCE));
    tls_free(connection->tls, how == CONNECTION_END);
    close(connection->fd);
    free(connection->partial);
    if (connection->server) {
        connection->server->stream = NULL;
        process_count(process, SHARED_STREAMS_CLOSED);
    }
    *connection = (struct connection){.fd = -1, .next = process->closed};
    process->closed = connection;
    process_count(process, SHARED_CLOSED);
}

static void become_stream(struct process *process, struct connection *connection, struct simulated *server)
{
    if (server->stream) /* without sessions anyone may listen; the last one is heard */
        connection_close(process, server->stream, CONNECTION_END);
    server->stream = connection;
    connection->server = server;
    process_count(process, SHARED_STREAMS_OPENED);
}

/* False when the connection did not survive it. */
static bool serve(struct process *process, struct connection *connection, const struct request *request)
{
    process_count(process, SHARED_REQUESTS);
    if (request->server < process->first || request->server - process->first >= process->count) {
        process_count(process, SHARED_BAD_REQUESTS);
        connection_close(process, connection, CONNECTION_DROP);
        return false;
    }
    struct simulated *server = &process->servers[request->server - process->first];
    buf_clear(&process->out);
    switch (simulated_answer(server, request, process->options->tools, &process->out, process->counters)) {
    case SIMULATED_SILENT:
        return true;
    case SIMULATED_STREAM:
        become_stream(process, connection, server);
        return write_out(process, connection);
    case SIMULATED_ANSWERED:
        return write_out(process, connection);
    }
    return false;
}

static bool keep(struct connection *connection, const char *bytes, size_t size)
{
    char *partial = size > 0 ? malloc(size) : NULL;
    if (size > 0 && !partial)
        return false;
    if (size > 0)
        memcpy(partial, bytes, size);
    free(connection->partial);
    connection->partial = partial;
    connection->partial_size = (uint32_t)size;
    return true;
}

/* Serves the requests that are there whole. False when the connection did not survive it. */
static bool read_requests(struct process *process, struct connection *connection, size_t size)
{
    size_t at = 0;
    while (at < size && !connection->server) {
        struct request request;
        int outcome = request_read(process->input + at, size - at, &request);
        if (outcome == REQUEST_INCOMPLETE)
            break;
        if (outcome == REQUEST_BAD) {
            process_count(process, SHARED_BAD_REQUESTS);
            connection_close(process, connection, CONNECTION_DROP);
            return false;
        }
        if (!serve(process, connection, &request))
            return false;
        at += request.size;
    }
    return keep(connection, process->input + at, connection->server ? 0 : size - at);
}

/* False when there was nothing, or the connection did not survive it. */
static bool receive(struct process *process, struct connection *connection)
{
    size_t had = connection->partial_size;
    if (had > 0)
        memcpy(process->input, connection->partial, had);
    char *into = process->input + had;
    ssize_t got = connection->tls ? tls_receive(connection->tls, into, REQUEST_SIZE_MAX)
                                  : recv(connection->fd, into, REQUEST_SIZE_MAX, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    bool lives = got > 0 && (connection->server || read_requests(process, connection, had + (size_t)got));
    if (!lives && connection->fd >= 0)
        connection_close(process, connection, CONNECTION_DROP);
    return lives;
}

void connection_on_readable(struct process *process, struct connection *connection)
{
    if (connection->fd < 0) /* closed earlier in this turn */
        return;
    /* OpenSSL may have read more records than it gave: the socket alone does not tell */
    while (receive(process, connection) && connection->tls)
        ;
}

void connection_notify(struct process *process, struct simulated *server)
{
    server->version++;
    process_count(process, SHARED_CHANGES);
    if (!server->stream || server->stalls)
        return;
    struct shared_server *shared = &process->shared->servers[server->number];
    uint64_t now_us = clock_wall_us();
    buf_clear(&process->out);
    simulated_notify(server, now_us, &process->out);
    atomic_store_explicit(&shared->sent_us, now_us, memory_order_relaxed);
    if (!write_out(process, server->stream))
        return;
    atomic_fetch_add_explicit(&shared->sends, 1, memory_order_relaxed);
    process_count(process, SHARED_NOTIFICATIONS);
}
