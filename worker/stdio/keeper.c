/* SPDX-License-Identifier: MIT */
/* The keeper of one stdio server stands between it and the worker, so that the server, and whatever it has started, never
 * stays when it is no longer wanted. A worker alone could not see to that: killed by SIGKILL it can do nothing more,
 * and the kernel's parent-death signal reaches a child, but no grandchild.
 *
 *   spawner ── keeper ── server (leader of a process group) ── its children …
 *                └── leash ── worker
 *
 * What is covered: everything in the server's process group, whether the server is to leave, has exited by itself, or
 * the worker has died in whatever way (its end of the leash is closed then). When the keeper itself is killed, the
 * server dies by the parent-death signal, and its children are told by the end of their standard input. What is not: a
 * process that has left the group on purpose, as daemons do.
 *
 * Leaving is a ladder: the worker has closed the standard input; SIGTERM; SIGKILL. Orphans of the group become children
 * of the keeper, so that it knows when the last of them has gone; then it exits. It has no other task, holds no other
 * descriptor, and is small: there is one for each server. Its order, which may hold credentials, came over the leash and
 * is forgotten once the server has it, so that nothing of it stands in the keeper's title or environment. */
#include "worker/stdio/keeper.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EXIT_NOT_EXECUTED = 127,
    FILES_MAX = 1024, /* open files of the server, which it may raise: programs that select() need no more than this */
};

enum phase { KEEPING, LEAVING, TERMINATING, KILLING };

struct keeper {
    enum phase phase;
    pid_t server;
    int worker;           /* the socket; -1 once it has ended */
    int signals;          /* SIGCHLD */
    uint64_t deadline_ms; /* of the phase, monotonic; 0: none */
};

/* What reaches a whole service at once is for the worker to act on. */
static const int ignored_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

static void set_ignored_signals(void (*disposition)(int))
{
    for (size_t i = 0; i < sizeof(ignored_signals) / sizeof(ignored_signals[0]); i++)
        sigaction(ignored_signals[i], &(struct sigaction){.sa_handler = disposition}, NULL);
}

/* A worker that is not there any more need not be told. */
static void report(struct keeper_report news)
{
    send(KEEPER_FD, &news, sizeof(news), MSG_NOSIGNAL);
}

/* --- its order --- */

struct order {
    char *bytes;
    size_t size;
    char *folder;
    char **words, **variables; /* each ends with NULL */
};

static bool read_whole(void *out, size_t size)
{
    return recv(KEEPER_FD, out, size, MSG_WAITALL) == (ssize_t)size;
}

/* The text at *at, which then is behind it; NULL when there is none any more. */
static char *next_text(const struct order *order, size_t *at)
{
    char *text = order->bytes + *at;
    if (*at >= order->size)
        return NULL;
    *at += strlen(text) + 1;
    return text;
}

static char **take_texts(const struct order *order, size_t *at, uint32_t count)
{
    char **texts = calloc((size_t)count + 1, sizeof(*texts));
    for (uint32_t i = 0; texts != NULL && i < count; i++)
        if ((texts[i] = next_text(order, at)) == NULL) {
            free(texts);
            return NULL;
        }
    return texts;
}

/* False when there is none: the worker has gone, or is no version of ours. */
static bool read_order(struct order *order)
{
    struct keeper_order head;
    size_t at = 0;
    if (!read_whole(&head, sizeof(head)) || head.size == 0 || head.size > KEEPER_ORDER_MAX || head.words == 0 ||
        head.words > head.size || head.variables > head.size || (order->bytes = malloc(head.size)) == NULL)
        return false;
    order->size = head.size;
    if (!read_whole(order->bytes, order->size) || order->bytes[order->size - 1] != '\0')
        return false;
    order->folder = next_text(order, &at);
    order->words = take_texts(order, &at, head.words);
    order->variables = take_texts(order, &at, head.variables);
    return order->folder != NULL && order->words != NULL && order->variables != NULL && at == order->size;
}

static void forget_order(struct order *order)
{
    if (order->bytes != NULL)
        explicit_bzero(order->bytes, order->size);
    free(order->bytes);
    free(order->words);
    free(order->variables);
}

/* --- the server's process, until it is the server --- */

static void limit_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= FILES_MAX)
        return;
    limit.rlim_cur = FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Tells the keeper why there is no server. */
static _Noreturn void give_up(int pipe, enum keeper_news news)
{
    const struct keeper_report why = {.news = (int32_t)news, .value = errno};
    bool told = write(pipe, &why, sizeof(why)) == sizeof(why);
    _exit(told ? EXIT_NOT_EXECUTED : EXIT_FAILURE);
}

/* The pipe closes when the command is executed. */
static _Noreturn void become_server(pid_t keeper, int pipe, const struct order *order)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(EXIT_NOT_EXECUTED);
    set_ignored_signals(SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    limit_files();
    if (chdir(order->folder) != 0)
        give_up(pipe, KEEPER_NO_FOLDER);
    environ = order->variables; /* with the PATH in which the command is looked for */
    execvp(order->words[0], order->words);
    give_up(pipe, KEEPER_NO_COMMAND);
}

/* What became of it: that it has started, or why not. */
static struct keeper_report start_server(struct keeper *keeper, const struct order *order)
{
    struct keeper_report why = {.news = KEEPER_NO_COMMAND};
    pid_t self = getpid();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || (keeper->server = fork()) < 0) {
        why.value = errno;
        return why;
    }
    if (keeper->server == 0)
        become_server(self, ends[1], order);
    setpgid(keeper->server, keeper->server); /* whoever is first: from here on the group is there */
    close(ends[1]);
    if (read(ends[0], &why, sizeof(why)) != sizeof(why))
        why = (struct keeper_report){.news = KEEPER_STARTED, .value = keeper->server};
    close(ends[0]);
    return why;
}

/* --- keeping it --- */

static void enter(struct keeper *keeper, enum phase phase, uint64_t limit_ms)
{
    keeper->phase = phase;
    keeper->deadline_ms = limit_ms > 0 ? clock_mono_ms() + limit_ms : 0;
}

static void kill_all(struct keeper *keeper)
{
    kill(-keeper->server, SIGKILL);
    enter(keeper, KILLING, 0);
}

static void hear(struct keeper *keeper)
{
    char byte;
    ssize_t size = read(keeper->worker, &byte, 1);
    if (size > 0 && keeper->phase == KEEPING) {
        enter(keeper, LEAVING, KEEPER_LEAVE_MS);
    } else if (size == 0 || (size < 0 && errno != EINTR)) {
        keeper->worker = -1;
        kill_all(keeper);
    }
}

static void climb(struct keeper *keeper)
{
    if (keeper->phase == TERMINATING) {
        kill_all(keeper);
        return;
    }
    kill(-keeper->server, SIGTERM);
    enter(keeper, TERMINATING, KEEPER_TERMINATE_MS);
}

/* Buries the dead; false when nobody of the group is left. */
static bool reap(struct keeper *keeper)
{
    struct signalfd_siginfo signal;
    siginfo_t left;
    int status;
    while (read(keeper->signals, &signal, sizeof(signal)) > 0)
        continue;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == keeper->server)
            report((struct keeper_report){.news = KEEPER_ENDED, .value = status});
    return waitid(P_PGID, (id_t)keeper->server, &left, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int time_left(const struct keeper *keeper)
{
    uint64_t now_ms = clock_mono_ms();
    if (keeper->deadline_ms == 0)
        return -1;
    return keeper->deadline_ms > now_ms ? (int)(keeper->deadline_ms - now_ms) : 0;
}

static void keep(struct keeper *keeper)
{
    while (reap(keeper)) {
        struct pollfd files[] = {{.fd = keeper->worker, .events = POLLIN}, {.fd = keeper->signals, .events = POLLIN}};
        if (poll(files, 2, time_left(keeper)) > 0 && files[0].revents != 0)
            hear(keeper);
        if (time_left(keeper) == 0)
            climb(keeper);
    }
}

/* --- the process --- */

/* The server's ends of its pipes are not the keeper's to hold open. */
static void let_go_of_stdio(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (dup2(null, fd) < 0)
            close(fd);
    close(null);
}

int keeper_run(void)
{
    struct keeper keeper = {.worker = KEEPER_FD};
    struct order order = {.bytes = NULL};
    sigset_t children;
    fcntl(KEEPER_FD, F_SETFD, FD_CLOEXEC);
    set_ignored_signals(SIG_IGN);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    keeper.signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (read_order(&order))
        report(start_server(&keeper, &order));
    forget_order(&order);
    let_go_of_stdio();
    if (keeper.signals >= 0 && keeper.server > 0)
        keep(&keeper);
    return EXIT_SUCCESS;
}
