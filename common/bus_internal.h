/* SPDX-License-Identifier: MIT */
/* What the files of the bus share, and nobody else sees: nng's types, and an nng socket with our bounds set. */
#ifndef COMMON_BUS_INTERNAL_H
#define COMMON_BUS_INTERNAL_H

#include "common/bus.h"

#include <nng/nng.h>
#include <stdatomic.h>
#include <sys/un.h>

enum {
    BUS_PIPES_MAX = 1024,  /* connections of one socket, where its owner names no other bound */
    BUS_QUEUE_MAX = 8192,  /* nng's own bound on its queues */
    BUS_REQUEST_BYTES = 4, /* request id before the body of a question or an answer */
};

#define BUS_SCHEME "ipc://"
enum { BUS_URL_SIZE = sizeof(BUS_SCHEME) + sizeof(((struct sockaddr_un *)NULL)->sun_path) };

struct bus_socket {
    nng_socket nng;
    /* In nng's threads, when a pipe comes or goes; NULL: nobody cares. */
    void (*on_pipe)(void *user, bool added);
    void *user;
    int pipes_max; /* more are closed as they come, and counted; 0: BUS_PIPES_MAX */
    atomic_int pipes;
    atomic_uint_fast64_t refused;
};

/* The negative errno of what nng returned; 0 for 0. */
int bus_error(int nng_result);

/* Makes a socket with `open_protocol` that takes messages of at most `max` bytes. The struct must stay where it is
 * until bus_socket_close, which does nothing for one that was never opened. */
MUST_CHECK int bus_socket_open(struct bus_socket *socket, int (*open_protocol)(nng_socket *), size_t max);

/* Listens (the socket file then has `mode`), or dials for ever. 0 or a negative errno. */
MUST_CHECK int bus_socket_start(struct bus_socket *socket, const char *path, enum bus_end end, mode_t mode);

/* The parts of it. `dialer` may be NULL. */
MUST_CHECK int bus_socket_listen(struct bus_socket *socket, const char *path, mode_t mode);
MUST_CHECK int bus_socket_dial(struct bus_socket *socket, const char *path, nng_dialer *dialer);

/* Closes it, once its operations have been stopped. */
void bus_socket_close(struct bus_socket *socket);

/* An on_pipe whose `user` is the uv_async_t to be sent. */
void bus_wake(void *async, bool added);

/* A new message with a copy of the bytes, and memory for `room` of them at least; NULL without memory. */
nng_msg *bus_message(const void *bytes, size_t size, size_t room);

#endif
