/* SPDX-License-Identifier: MIT */
/* What all sockets of the bus have in common, and the one exchange that needs no loop: a command line's question.
 * bus_pubsub.c and bus_reqrep.c have the rest.
 *
 * nng's transport is a Unix socket. It replaces a socket file that nobody listens on any more, and leaves a live one
 * alone; it sets the file's mode between bind and listen, so that there is no moment at which somebody else could
 * connect. A dialler tries again for ever, soon enough (DIAL_MAX_MS) that a restart of the other side goes unnoticed.
 *
 * Whoever may open a socket may open it often: connections past a bound are closed as they come. (One that does
 * not speak nng is none; nng closes it after ten seconds.) */
#include "common/bus.h"

#include "common/bus_internal.h"
#include "common/clock.h"

#include <errno.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DIAL_MIN_MS = 10, DIAL_MAX_MS = 200, CLOSE_CALM_MS = 10, CLOSE_LIMIT_S = 1 };

/* nng's calls of sendmsg() come here, as do all others of a process that has the bus. nng 1.5.2 takes EPIPE for "this
 * listener or dialler was closed by its owner": a peer that is gone before nng has greeted it (killed at the wrong
 * moment, or on purpose) would leave a listener that never accepts again, or a dialler that never dials again.
 * ECONNRESET says as much, and nng goes on after it. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = syscall(SYS_sendmsg, fd, message, flags);
    if (sent < 0 && errno == EPIPE)
        errno = ECONNRESET;
    return sent;
}

int bus_error(int nng_result)
{
    static const struct {
        int nng, negative_errno;
    } errors[] = {
        {NNG_EINTR, -EINTR},
        {NNG_ENOMEM, -ENOMEM},
        {NNG_EINVAL, -EINVAL},
        {NNG_EBUSY, -EBUSY},
        {NNG_ETIMEDOUT, -ETIMEDOUT},
        {NNG_ECONNREFUSED, -ECONNREFUSED},
        {NNG_ECLOSED, -ESHUTDOWN},
        {NNG_EAGAIN, -EAGAIN},
        {NNG_ENOTSUP, -ENOTSUP},
        {NNG_EADDRINUSE, -EADDRINUSE},
        {NNG_ENOENT, -ENOENT},
        {NNG_EPROTO, -EPROTO},
        {NNG_EUNREACHABLE, -EHOSTUNREACH},
        {NNG_EADDRINVAL, -EADDRNOTAVAIL},
        {NNG_EPERM, -EACCES},
        {NNG_EMSGSIZE, -EMSGSIZE},
        {NNG_ECONNABORTED, -ECONNABORTED},
        {NNG_ECONNRESET, -ECONNRESET},
        {NNG_ECANCELED, -ECANCELED},
        {NNG_ENOFILES, -EMFILE},
        {NNG_ENOSPC, -ENOSPC},
        {NNG_ECONNSHUT, -ECONNRESET},
    };
    if (nng_result == 0)
        return 0;
    if (nng_result & NNG_ESYSERR)
        return -(nng_result & ~NNG_ESYSERR);
    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++)
        if (errors[i].nng == nng_result)
            return errors[i].negative_errno;
    return -EIO;
}

static void on_pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct bus_socket *socket = arg;
    int pipes_max = socket->pipes_max > 0 ? socket->pipes_max : BUS_PIPES_MAX;
    if (atomic_fetch_add(&socket->pipes, 1) >= pipes_max) {
        atomic_fetch_add(&socket->refused, 1);
        nng_pipe_close(pipe);
    }
    if (socket->wakeup)
        uv_async_send(socket->wakeup);
}

static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)pipe, (void)event;
    struct bus_socket *socket = arg;
    atomic_fetch_sub(&socket->pipes, 1);
    if (socket->wakeup)
        uv_async_send(socket->wakeup);
}

int bus_socket_open(struct bus_socket *socket, int (*open_protocol)(nng_socket *), size_t max)
{
    nng_socket opened;
    int result = open_protocol(&opened);
    if (result != 0)
        return bus_error(result);
    socket->nng = opened;
    atomic_init(&socket->pipes, 0);
    result = nng_socket_set_size(opened, NNG_OPT_RECVMAXSZ, max);
    if (result == 0)
        result = nng_socket_set_ms(opened, NNG_OPT_RECONNMINT, DIAL_MIN_MS);
    if (result == 0)
        result = nng_socket_set_ms(opened, NNG_OPT_RECONNMAXT, DIAL_MAX_MS);
    if (result == 0)
        result = nng_pipe_notify(opened, NNG_PIPE_EV_ADD_PRE, on_pipe_added, socket);
    if (result == 0)
        result = nng_pipe_notify(opened, NNG_PIPE_EV_REM_POST, on_pipe_removed, socket);
    if (result != 0)
        bus_socket_close(socket);
    return bus_error(result);
}

static int listen_at(nng_socket socket, const char *url, mode_t mode)
{
    nng_listener listener;
    int result = nng_listener_create(&listener, socket, url);
    if (result == 0)
        result = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, (int)mode);
    if (result == 0)
        result = nng_listener_start(listener, 0);
    return result;
}

int bus_socket_start(struct bus_socket *socket, const char *path, enum bus_end end, mode_t mode)
{
    char url[BUS_URL_SIZE];
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    snprintf(url, sizeof(url), "%s%s", BUS_SCHEME, path);
    if (end == BUS_LISTEN)
        return bus_error(listen_at(socket->nng, url, mode));
    return bus_error(nng_dial(socket->nng, url, NULL, NNG_FLAG_NONBLOCK));
}

static void *close_socket(void *id)
{
    nng_close((nng_socket){.id = (uint32_t)(uintptr_t)id});
    return NULL;
}

/* Closing a pipe between the head and the body of a message hangs nng 1.5.2 (its reaper waits for a read that was never
 * started). So the pipes are first made to refuse every message, at its head, which closes them where it is safe; and
 * since that leaves a small chance, nobody waits longer than CLOSE_LIMIT_S: the thread is then left behind, with nothing
 * of ours in its reach. */
static void close_carefully(nng_socket socket)
{
    void *id = (void *)(uintptr_t)socket.id;
    struct timespec limit;
    pthread_t thread;
    nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 1);
    nng_msleep(CLOSE_CALM_MS);
    if (pthread_create(&thread, NULL, close_socket, id) != 0) {
        close_socket(id);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += CLOSE_LIMIT_S;
    if (pthread_timedjoin_np(thread, NULL, &limit) != 0)
        pthread_detach(thread);
}

void bus_socket_close(struct bus_socket *socket)
{
    if (nng_socket_id(socket->nng) <= 0)
        return;
    nng_pipe_notify(socket->nng, NNG_PIPE_EV_ADD_PRE, NULL, NULL);
    nng_pipe_notify(socket->nng, NNG_PIPE_EV_REM_POST, NULL, NULL);
    close_carefully(socket->nng);
    socket->nng = (nng_socket)NNG_SOCKET_INITIALIZER;
}

nng_msg *bus_message(const void *bytes, size_t size)
{
    nng_msg *message;
    if (nng_msg_alloc(&message, size) != 0)
        return NULL;
    if (size > 0)
        memcpy(nng_msg_body(message), bytes, size);
    return message;
}

/* --- asking without a loop --- */

/* What is left until `deadline_ms`, at least a moment, as nng wants it. */
static nng_duration time_left(uint64_t deadline_ms)
{
    uint64_t now = clock_mono_ms();
    uint64_t left = now < deadline_ms ? deadline_ms - now : 1;
    return left < INT32_MAX ? (nng_duration)left : INT32_MAX;
}

/* Whether anybody listens. nng would not say: it goes on trying, which is for daemons and not for a command line. A
 * datagram socket can't connect to a stream socket; the error tells whether there is one, and disturbs nobody. */
static int look_for(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : -EPROTO;
    close(fd);
    if (result == -EPROTOTYPE)
        return 0;
    return result == -ENOENT ? -ECONNREFUSED : result;
}

/* One question, and the message that answers it. */
static int exchange(nng_socket socket, const void *bytes, size_t size, uint64_t deadline_ms, nng_msg **answer)
{
    nng_msg *question = bus_message(bytes, size);
    if (!question)
        return -ENOMEM;
    /* Never sent again by itself: a command must not be carried out twice. */
    int result = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (result == 0)
        result = nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, time_left(deadline_ms));
    if (result == 0)
        result = nng_sendmsg(socket, question, 0);
    if (result != 0) {
        nng_msg_free(question);
        return bus_error(result);
    }
    result = nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, time_left(deadline_ms));
    if (result == 0)
        result = nng_recvmsg(socket, answer, 0);
    return bus_error(result);
}

int bus_ask(const char *path, const void *bytes, size_t size, size_t max, uint64_t timeout_ms, void **answer,
            size_t *answer_size)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    struct bus_socket socket = {.nng = NNG_SOCKET_INITIALIZER};
    nng_msg *message = NULL;
    int result = look_for(path);
    if (result == 0)
        result = bus_socket_open(&socket, nng_req0_open, max + BUS_REQUEST_BYTES);
    if (result == 0)
        result = bus_socket_start(&socket, path, BUS_DIAL, 0);
    if (result == 0)
        result = exchange(socket.nng, bytes, size, deadline_ms, &message);
    if (result == 0) {
        size_t length = nng_msg_len(message);
        void *copy = malloc(length > 0 ? length : 1);
        if (copy) {
            memcpy(copy, nng_msg_body(message), length);
            *answer = copy;
            *answer_size = length;
        } else {
            result = -ENOMEM;
        }
        nng_msg_free(message);
    }
    bus_socket_close(&socket);
    return result;
}
