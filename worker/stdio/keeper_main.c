/* SPDX-License-Identifier: MIT */
/* mcp-broker-keeper: the spawner of one worker. It is started before the worker locks itself in, lives outside of that
 * sandbox, and has one answer to whatever is asked: it forks, and the child becomes the keeper of one server (keeper.c).
 * It reads no order itself, so that nothing a worker sends can hold it up or reach what others have ordered.
 *
 * Keepers have their own line to the worker and need the spawner no more; when the spawner dies the worker notices, and
 * has itself replaced. When the worker dies, the spawner exits and each keeper sees its leash end.
 *
 * It is in a session of its own, as the worker is: what a terminal or a service manager sends to all is not for it. */
#include "worker/stdio/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_CONFIG = 78 };

static const int ignored_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE,
                                      SIGCHLD}; /* SIGCHLD: the dead bury themselves */

/* Takes the descriptors out of a message; the number of them. */
static size_t take_fds(struct msghdr *message, int fds[KEEPER_FDS])
{
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    if (head == NULL || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t size = head->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(head), size);
    return size / sizeof(int);
}

/* 1 with all descriptors, 0 with less, -1: the worker has gone. */
static int wait_for_request(int fds[KEEPER_FDS])
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(KEEPER_FDS * sizeof(int))];
    } control;
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t size;
    do
        size = recvmsg(KEEPER_FD, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size <= 0)
        return -1;
    size_t count = take_fds(&message, fds);
    for (size_t i = count; i < KEEPER_FDS; i++)
        fds[i] = -1;
    return count == KEEPER_FDS ? 1 : 0;
}

/* In the child: what was sent goes to its places. All of it lies above them, since they are taken. */
static int become_keeper(const int fds[KEEPER_FDS])
{
    for (int place = 0; place < KEEPER_FDS; place++)
        if (dup2(fds[place], place) < 0)
            return EXIT_FAILURE;
    close_range(KEEPER_FDS, ~0U, 0);
    return keeper_run();
}

static void tell_no_process(int leash)
{
    const struct keeper_report why = {.news = KEEPER_NO_COMMAND, .value = errno};
    send(leash, &why, sizeof(why), MSG_NOSIGNAL);
}

int main(void)
{
    int fds[KEEPER_FDS], got, type;
    if (getsockopt(KEEPER_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) != 0) {
        fprintf(stderr, KEEPER_PROGRAM ": started by a worker of mcp-broker only; run that\n");
        return EXIT_CONFIG;
    }
    close_range(KEEPER_FDS, ~0U, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(ignored_signals); i++)
        sigaction(ignored_signals[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    while ((got = wait_for_request(fds)) >= 0) {
        pid_t keeper = got == 1 ? fork() : -1;
        if (keeper == 0)
            return become_keeper(fds);
        if (got == 1 && keeper < 0)
            tell_no_process(fds[KEEPER_FD]);
        for (size_t i = 0; i < KEEPER_FDS; i++)
            if (fds[i] >= 0)
                close(fds[i]);
    }
    return EXIT_SUCCESS;
}
