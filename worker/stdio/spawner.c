/* SPDX-License-Identifier: MIT */
/* Starts the spawner and sends it what keepers need. It is asked for nothing but forks, so that a request is answered by
 * what comes on the leash, and this side never waits but for room in the socket, of which there is enough for hundreds.
 *
 * The program gets an empty environment: what the worker's holds is for nobody there to read, and each server's own
 * comes with its order. */
#include "worker/stdio/spawner.h"

#include "common/log.h"
#include "common/problems.h"
#include "common/program.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ROOM_MAX_S = 2 };

static struct {
    uv_poll_t *poll; /* on the heap, since libuv needs it until it has closed it; NULL without a spawner */
    int fd;
    void (*on_gone)(void *user);
    void *user;
} spawner;

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events; /* it never speaks: this is its end */
    spawner_close();
    spawner.on_gone(spawner.user);
}

/* 0 or a negative errno. */
static int start_program(const char *path, int their_end)
{
    char name[] = KEEPER_PROGRAM;
    char *const words[] = {name, NULL}, *const no_variables[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    int result = posix_spawn_file_actions_init(&actions);
    if (result != 0)
        return -result;
    result = posix_spawnattr_init(&attributes);
    if (result != 0)
        goto destroy_actions;
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    result = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (result == 0)
        result = posix_spawn_file_actions_adddup2(&actions, their_end, KEEPER_FD);
    if (result == 0)
        result = posix_spawn(&pid, path, &actions, &attributes, words, no_variables);
    posix_spawnattr_destroy(&attributes);
destroy_actions:
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

/* Finds and starts it; its socket, or a negative errno. */
static int start(void)
{
    const struct timeval room_max = {.tv_sec = ROOM_MAX_S};
    char path[PATH_MAX];
    int ends[2];
    struct problems problems;
    problems_init(&problems);
    int result = program_find(KEEPER_PROGRAM, path, &problems) == 0 ? 0 : -ENOENT;
    if (result != 0)
        log_error("spawner.no_program", LOG_TEXT("error", problems.count > 0 ? problems.lines[0] : "no memory"));
    problems_fini(&problems);
    if (result != 0)
        return result;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    result = start_program(path, ends[1]);
    close(ends[1]);
    if (result == 0 && setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &room_max, sizeof(room_max)) != 0)
        result = -errno;
    if (result != 0)
        close(ends[0]);
    return result == 0 ? ends[0] : result;
}

int spawner_open(uv_loop_t *loop, void (*on_gone)(void *user), void *user)
{
    uv_poll_t *poll = malloc(sizeof(*poll));
    int fd = poll != NULL ? start() : -ENOMEM;
    int result = fd < 0 ? fd : uv_poll_init(loop, poll, fd);
    if (result == 0) {
        spawner.poll = poll;
        spawner.fd = fd;
        spawner.on_gone = on_gone;
        spawner.user = user;
        uv_poll_start(poll, UV_READABLE, on_readable);
        uv_unref((uv_handle_t *)poll);
        return 0;
    }
    log_error("spawner.not_started", LOG_TEXT("error", strerror(-result)));
    if (fd >= 0)
        close(fd);
    free(poll);
    return result;
}

int spawner_request(const int fds[KEEPER_FDS])
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(KEEPER_FDS * sizeof(int))];
    } control;
    char byte = '.';
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    const struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    if (spawner.poll == NULL)
        return -ECHILD;
    memset(&control, 0, sizeof(control));
    control.head = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(KEEPER_FDS * sizeof(int))};
    memcpy(CMSG_DATA(&control.head), fds, KEEPER_FDS * sizeof(int));
    return sendmsg(spawner.fd, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void spawner_close(void)
{
    if (spawner.poll == NULL)
        return;
    uv_close((uv_handle_t *)spawner.poll, on_closed);
    close(spawner.fd);
    spawner.poll = NULL;
}
