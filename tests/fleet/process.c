/* SPDX-License-Identifier: MIT */
/* The loop of one process: its port, its connections, the timer of changes, and the commands of the fleet's first
 * process. All memory but that of partial requests is taken at the start.
 *
 * The port is open on every address of the loopback device, and on no other device. While all connections are in use
 * nothing is accepted: clients wait in the queue of the port, as before a server that is full. */
#include "tests/fleet/process_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, ACCEPTS_A_TURN = 64, DESCRIPTORS_RESERVED = 32, BACKLOG = 4096, OUT_MAX = 512 * 1024 };

/* --- the port --- */

static int listen_on(uint16_t port)
{
    static const int ON = 1;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &ON, sizeof(ON)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof(ON)) == 0 && /* those accepted inherit it */
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

static void set_accepting(struct process *process, bool accepts)
{
    struct epoll_event event = {.events = accepts ? EPOLLIN : 0, .data.ptr = &process->listener};
    if (process->accepts != accepts && epoll_ctl(process->epoll, EPOLL_CTL_MOD, process->listener, &event) == 0)
        process->accepts = accepts;
}

static void accept_some(struct process *process)
{
    for (unsigned i = 0; i < ACCEPTS_A_TURN && process->free; i++) {
        int fd = accept4(process->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 || !connection_open(process, fd))
            return;
    }
    if (!process->free)
        set_accepting(process, false);
}

/* --- commands --- */

static void apply(struct process *process, struct simulated *server, const struct command *command)
{
    switch (command->verb) {
    case COMMAND_DROP:
    case COMMAND_END:
    case COMMAND_RESET:
        if (server->stream)
            connection_close(process, server->stream,
                             command->verb == COMMAND_DROP  ? CONNECTION_DROP
                             : command->verb == COMMAND_END ? CONNECTION_END
                                                            : CONNECTION_RESET);
        break;
    case COMMAND_REFUSE:
        server->refuses = command->on;
        break;
    case COMMAND_STALL:
        server->stalls = command->on;
        break;
    case COMMAND_FORGET:
        server->session = 0;
        break;
    case COMMAND_CHANGE:
    case COMMAND_QUIET:
    case COMMAND_REPORT:
    case COMMAND_QUIT:
        break;
    }
}

static void obey(struct process *process, const struct command *command)
{
    if (command->verb == COMMAND_CHANGE) {
        campaign_start(process, command);
    } else if (command->verb == COMMAND_QUIET) {
        campaign_stop(process);
    } else {
        for (uint32_t i = 0; i < process->count; i++)
            if (process->servers[i].number >= command->first && process->servers[i].number <= command->last)
                apply(process, &process->servers[i], command);
    }
}

static void on_command(struct process *process)
{
    char line[COMMAND_SIZE_MAX + 1];
    struct command command;
    ssize_t got = recv(process->commands, line, COMMAND_SIZE_MAX, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        process->over = true;
        return;
    }
    line[got] = '\0';
    if (!command_read(line, process->options->servers, &command))
        obey(process, &command);
    (void)send(process->commands, "", 1, MSG_NOSIGNAL);
}

static void on_timer(struct process *process)
{
    uint64_t ticks;
    if (read(process->timer, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
        campaign_go_on(process);
}

/* --- the loop --- */

static void handle(struct process *process, void *what)
{
    if (what == &process->listener)
        accept_some(process);
    else if (what == &process->commands)
        on_command(process);
    else if (what == &process->timer)
        on_timer(process);
    else
        connection_on_readable(process, what);
}

/* No event of this turn can name the connections closed in it any more. */
static void free_closed(struct process *process)
{
    while (process->closed) {
        struct connection *connection = process->closed;
        process->closed = connection->next;
        connection->next = process->free;
        process->free = connection;
    }
    if (process->free)
        set_accepting(process, true);
}

static int watch(struct process *process, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(process->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int process_run(struct process *process, int commands)
{
    process->commands = commands;
    int result = watch(process, commands, &process->commands);
    while (result == 0 && !process->over) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(process->epoll, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            result = -errno;
        for (int i = 0; i < count; i++)
            handle(process, events[i].data.ptr);
        free_closed(process);
    }
    return result;
}

static int make_servers(struct process *process)
{
    const struct options *options = process->options;
    process->servers = calloc(process->count, sizeof(*process->servers));
    if (!process->servers)
        return -ENOMEM;
    for (uint32_t i = 0; i < process->count; i++) {
        struct simulated *server = &process->servers[i];
        server->number = process->first + i;
        server->is_stateless =
            options->era == OPTIONS_STATELESS || (options->era == OPTIONS_MIXED && server->number % 2 == 0);
    }
    return 0;
}

/* One for each descriptor that the limit leaves. */
static int make_connections(struct process *process)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -errno;
    size_t most = (size_t)process->count * 2 + 4096;
    if (most > limit.rlim_max - DESCRIPTORS_RESERVED)
        most = limit.rlim_max - DESCRIPTORS_RESERVED;
    struct connection *connections = calloc(most, sizeof(*connections));
    if (!connections)
        return -ENOMEM;
    for (size_t i = 0; i < most; i++) {
        connections[i] = (struct connection){.fd = -1, .next = process->free};
        process->free = &connections[i];
    }
    return 0;
}

static int open_descriptors(struct process *process, uint16_t port)
{
    process->epoll = epoll_create1(EPOLL_CLOEXEC);
    process->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (process->epoll < 0 || process->timer < 0)
        return -errno;
    process->listener = listen_on(port);
    if (process->listener < 0)
        return process->listener;
    process->accepts = true;
    int result = watch(process, process->listener, &process->listener);
    return result != 0 ? result : watch(process, process->timer, &process->timer);
}

int process_create(const struct options *options, uint32_t index, struct shared *shared, struct ssl_ctx_st *tls,
                   struct process **out)
{
    struct process *process = calloc(1, sizeof(*process));
    if (!process)
        return -ENOMEM;
    process->options = options;
    process->shared = shared;
    process->tls = tls;
    process->counters = shared->counters[index];
    process->first = options_first_of(options, index);
    process->count = options_first_of(options, index + 1) - process->first;
    buf_init(&process->out, OUT_MAX);
    process->input = malloc((size_t)2 * REQUEST_SIZE_MAX);
    int result = process->input ? make_servers(process) : -ENOMEM;
    if (result == 0)
        result = make_connections(process);
    if (result == 0)
        result = open_descriptors(process, (uint16_t)(options->port + index));
    *out = process; /* on failure the process ends, and all of it with it */
    return result;
}
