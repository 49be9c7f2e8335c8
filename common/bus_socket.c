/* SPDX-License-Identifier: MIT */
/* An nng socket with the bounds of the bus; no loop is needed here, so the library for subscribers shares it.
 *
 * nng's transport is a Unix socket. It replaces a socket file that nobody listens on any more, and leaves a live one
 * alone; it sets the file's mode between bind and listen, so that there is no moment at which somebody else could
 * connect. A dialler tries again for ever, soon enough (DIAL_MAX_MS) that a restart of the other side goes unnoticed.
 *
 * Whoever may open a socket may open it often: connections past a bound are closed as they come. (One that does
 * not speak nng is none; nng closes it after ten seconds.) */
#include "common/bus_internal.h"

#include <errno.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DIAL_MIN_MS = 10, DIAL_MAX_MS = 200, CLOSE_CALM_MS = 10, CLOSE_LIMIT_S = 1 };

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
    if (socket->on_pipe)
        socket->on_pipe(socket->user, true);
}

static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)pipe, (void)event;
    struct bus_socket *socket = arg;
    atomic_fetch_sub(&socket->pipes, 1);
    if (socket->on_pipe)
        socket->on_pipe(socket->user, false);
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

static int write_url(char url[BUS_URL_SIZE], const char *path)
{
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    snprintf(url, BUS_URL_SIZE, "%s%s", BUS_SCHEME, path);
    return 0;
}

int bus_socket_listen(struct bus_socket *socket, const char *path, mode_t mode)
{
    char url[BUS_URL_SIZE];
    int result = write_url(url, path);
    return result != 0 ? result : bus_error(listen_at(socket->nng, url, mode));
}

int bus_socket_dial(struct bus_socket *socket, const char *path, nng_dialer *dialer)
{
    char url[BUS_URL_SIZE];
    int result = write_url(url, path);
    return result != 0 ? result : bus_error(nng_dial(socket->nng, url, dialer, NNG_FLAG_NONBLOCK));
}

int bus_socket_start(struct bus_socket *socket, const char *path, enum bus_end end, mode_t mode)
{
    return end == BUS_LISTEN ? bus_socket_listen(socket, path, mode) : bus_socket_dial(socket, path, NULL);
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
    nng_pipe_notify(socket->nng, NNG_PIPE_EV_ADD_POST, NULL, NULL);
    nng_pipe_notify(socket->nng, NNG_PIPE_EV_REM_POST, NULL, NULL);
    close_carefully(socket->nng);
    socket->nng = (nng_socket)NNG_SOCKET_INITIALIZER;
}

nng_msg *bus_message(const void *bytes, size_t size, size_t room)
{
    nng_msg *message;
    if (nng_msg_alloc(&message, size > room ? size : room) != 0)
        return NULL;
    if (size > 0)
        memcpy(nng_msg_body(message), bytes, size);
    if (room > size)
        nng_msg_chop(message, room - size);
    return message;
}
