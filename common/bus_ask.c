/* SPDX-License-Identifier: MIT */
/* The one exchange of the bus that needs no loop: a question, and the wait for its answer, for the command line and for
 * the library. Each question has a connection of its own, so there is nothing to keep between two of them. */
#include "common/bus.h"

#include "common/bus_internal.h"
#include "common/clock.h"

#include <errno.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REDIAL_MS = 500 };

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

/* Dials, and sends the question once there is a connection. nng 1.5.2's dialler gives up without a word when the other
 * side dies between accepting and greeting (see bus.c): so one that has brought nothing for a while gets a companion. */
static int send_question(struct bus_socket *socket, const char *path, nng_msg *question, uint64_t deadline_ms)
{
    int result;
    do {
        result = bus_socket_dial(socket, path, NULL);
        if (result != 0)
            return result;
        nng_duration left = time_left(deadline_ms);
        result = nng_socket_set_ms(socket->nng, NNG_OPT_SENDTIMEO, left < REDIAL_MS ? left : REDIAL_MS);
        if (result == 0)
            result = nng_sendmsg(socket->nng, question, 0);
    } while (result == NNG_ETIMEDOUT && clock_mono_ms() < deadline_ms);
    return bus_error(result);
}

/* One question, and the message that answers it. */
static int exchange(struct bus_socket *socket, const char *path, const void *bytes, size_t size, uint64_t deadline_ms,
                    nng_msg **answer)
{
    nng_msg *question = bus_message(bytes, size, 0);
    if (!question)
        return -ENOMEM;
    /* Never sent again by itself: a command must not be carried out twice. */
    int result = bus_error(nng_socket_set_ms(socket->nng, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE));
    if (result == 0)
        result = send_question(socket, path, question, deadline_ms);
    if (result != 0) {
        nng_msg_free(question);
        return result;
    }
    result = nng_socket_set_ms(socket->nng, NNG_OPT_RECVTIMEO, time_left(deadline_ms));
    if (result == 0)
        result = nng_recvmsg(socket->nng, answer, 0);
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
        result = exchange(&socket, path, bytes, size, deadline_ms, &message);
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
