/* SPDX-License-Identifier: MIT */
/* One end of the link between the supervisor and a child. Sequenced packets, so that a message is one send and one
 * receive: nothing is framed, nothing is half-read, and a peer that dies leaves no fragment behind. Both sides use this
 * file, the words are theirs.
 *
 * Sending never waits and nothing is queued here: the kernel's socket buffer is the queue, and its being full means that
 * the other side has stopped reading, which the caller must treat as a hang. A message that is too long, holds a NUL or
 * has no word ends the link, since the other side is then no version of us.
 *
 * The struct lives until libuv has closed both of its handles; `closed` keeps handlers from running meanwhile. */
#include "common/link.h"

#include "common/compiler.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Read in one turn of the loop, so that a chattering child can't keep it. */
enum { MESSAGES_A_TURN = 16, HANDLES = 2 };

struct link {
    uv_poll_t poll;
    uv_timer_t beat;
    const struct link_handlers *handlers;
    void *user;
    int fd;
    bool closed;
    unsigned open_handles;
    char message[LINK_MESSAGE_MAX + 1];
};

int link_pair(int *ours, int *theirs)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return -errno;
    *ours = ends[0];
    *theirs = ends[1];
    return 0;
}

static void end(struct link *link)
{
    uv_poll_stop(&link->poll);
    uv_timer_stop(&link->beat);
    link->handlers->on_gone(link->user);
}

/* Splits the message in place and hands it over. False when it is none. */
static bool deliver(struct link *link, size_t size)
{
    if (size > LINK_MESSAGE_MAX || memchr(link->message, '\0', size) != NULL)
        return false;
    link->message[size] = '\0';
    size_t word = strcspn(link->message, " \n");
    if (word == 0)
        return false;
    const char *argument = link->message + word + (word < size ? 1 : 0);
    link->message[word] = '\0';
    link->handlers->on_message(link->user, link->message, argument);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct link *link = poll->data;
    for (unsigned i = 0; status == 0 && i < MESSAGES_A_TURN && !link->closed; i++) {
        ssize_t size = recv(link->fd, link->message, LINK_MESSAGE_MAX, MSG_TRUNC);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0 || !deliver(link, (size_t)size))
            status = -1;
    }
    if (status != 0 && !link->closed)
        end(link);
}

int link_open(uv_loop_t *loop, int fd, const struct link_handlers *handlers, void *user, struct link **out)
{
    int result = -ENOMEM;
    struct link *link = malloc(sizeof(*link));
    if (link == NULL)
        goto close_fd;
    *link = (struct link){.handlers = handlers, .user = user, .fd = fd, .open_handles = HANDLES};
    result = uv_poll_init(loop, &link->poll, fd);
    if (result != 0)
        goto free_link;
    link->poll.data = link;
    uv_timer_init(loop, &link->beat);
    link->beat.data = link;
    result = uv_poll_start(&link->poll, UV_READABLE, on_readable);
    if (result != 0) {
        link_close(link);
        return result;
    }
    *out = link;
    return 0;

free_link:
    free(link);
close_fd:
    close(fd);
    return result;
}

int link_send(struct link *link, const char *word, const char *argument)
{
    const char *text = argument != NULL ? argument : "";
    struct {
        const void *bytes;
        size_t size;
    } parts[] = {{word, strlen(word)}, {" ", text[0] != '\0' && text[0] != '\n'}, {text, strlen(text)}};
    char message[LINK_MESSAGE_MAX];
    size_t size = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        if (parts[i].size > sizeof(message) - size)
            return -EMSGSIZE;
        memcpy(message + size, parts[i].bytes, parts[i].size);
        size += parts[i].size;
    }
    return send(link->fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void on_beat(uv_timer_t *timer)
{
    /* When the other side does not read, or is gone, on_gone or its end tells: a lost beat costs nothing. */
    int result = link_send(timer->data, "alive", NULL);
    (void)result;
}

void link_keep_alive(struct link *link)
{
    uv_timer_start(&link->beat, on_beat, 0, LINK_ALIVE_INTERVAL_MS);
}

static void on_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    assert(link->open_handles > 0);
    if (--link->open_handles == 0)
        free(link);
}

void link_close(struct link *link)
{
    if (link == NULL)
        return;
    assert(!link->closed);
    link->closed = true;
    uv_close((uv_handle_t *)&link->poll, on_closed);
    uv_close((uv_handle_t *)&link->beat, on_closed);
    close(link->fd);
    link->fd = -1;
}
