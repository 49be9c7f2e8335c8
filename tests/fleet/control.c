/* SPDX-License-Identifier: MIT */
/* Serves the control port. A command is sent to all processes, and answered when all of them have done it: after `ok` to
 * a `drop` every stream of the range is closed. Clients are few, and trusted: lines are short, and one that is not whole
 * yet is waited for, with the others waiting, too. */
#include "tests/fleet/control.h"

#include "tests/fleet/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 16, ANSWER_SIZE = 1024 };

struct control {
    const struct options *options;
    const struct shared *shared;
    const int *processes;
    FILE *clients[CLIENTS_MAX]; /* NULL: free */
};

int control_listen(uint16_t *port)
{
    static const int ON = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &ON, sizeof(ON)) == 0 &&
        bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, CLIENTS_MAX) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        *port = ntohs(address.sin_port);
        return fd;
    }
    int result = -errno;
    close(fd);
    return result;
}

static void report(const struct control *control, char answer[ANSWER_SIZE])
{
    int at = snprintf(answer, ANSWER_SIZE, "{\"servers\":%" PRIu32, control->options->servers);
    for (unsigned i = 0; i < SHARED_COUNTERS && at < ANSWER_SIZE; i++)
        at += snprintf(answer + at, (size_t)(ANSWER_SIZE - at), ",\"%s\":%" PRIu64, shared_counter_names[i],
                       shared_sum(control->shared, (enum shared_counter)i));
    if (at < ANSWER_SIZE)
        snprintf(answer + at, (size_t)(ANSWER_SIZE - at), "}");
}

/* Has every process obey. 0 or -EPIPE. */
static int spread(const struct control *control, const char *line)
{
    uint32_t count = control->options->processes;
    char done;
    for (uint32_t i = 0; i < count; i++)
        if (send(control->processes[i], line, strlen(line), MSG_NOSIGNAL) < 0)
            return -EPIPE;
    for (uint32_t i = 0; i < count; i++)
        if (recv(control->processes[i], &done, 1, 0) != 1)
            return -EPIPE;
    return 0;
}

/* Does what the line says. 0, 1 when the fleet is to end, or -EPIPE. */
static int do_line(const struct control *control, const char *line, char answer[ANSWER_SIZE])
{
    struct command command;
    const char *problem = command_read(line, control->options->servers, &command);
    snprintf(answer, ANSWER_SIZE, "%s%s", problem ? "error: " : "ok", problem ? problem : "");
    if (problem)
        return 0;
    if (command.verb == COMMAND_QUIT)
        return 1;
    if (command.verb == COMMAND_REPORT) {
        report(control, answer);
        return 0;
    }
    return spread(control, line);
}

static void welcome(struct control *control, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (control->clients[i])
            continue;
        control->clients[i] = fdopen(fd, "r");
        if (control->clients[i])
            setvbuf(control->clients[i], NULL, _IONBF, 0); /* poll must see what is not read yet */
        else
            close(fd);
        return;
    }
    close(fd);
}

static int serve(struct control *control, FILE **client)
{
    char line[COMMAND_SIZE_MAX];
    char answer[ANSWER_SIZE + 1];
    if (!fgets(line, sizeof(line), *client)) {
        fclose(*client);
        *client = NULL;
        return 0;
    }
    int result = do_line(control, line, answer);
    size_t size = strlen(answer);
    answer[size++] = '\n';
    (void)send(fileno(*client), answer, size, MSG_NOSIGNAL);
    return result;
}

/* Waits for something to do, and does it. 0, 1 for the end, or -EPIPE. */
static int turn(struct control *control, int listener)
{
    struct pollfd ready[1 + CLIENTS_MAX + SHARED_PROCESSES_MAX];
    uint32_t processes = control->options->processes;
    nfds_t count = 1 + CLIENTS_MAX + processes;
    ready[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        ready[1 + i] = (struct pollfd){.fd = control->clients[i] ? fileno(control->clients[i]) : -1, .events = POLLIN};
    for (uint32_t i = 0; i < processes; i++)
        ready[1 + CLIENTS_MAX + i] = (struct pollfd){.fd = control->processes[i]};
    if (poll(ready, count, -1) < 0)
        return 0;
    for (uint32_t i = 0; i < processes; i++)
        if (ready[1 + CLIENTS_MAX + i].revents)
            return -EPIPE;
    int result = 0;
    for (unsigned i = 0; i < CLIENTS_MAX && result == 0; i++)
        if (ready[1 + i].revents)
            result = serve(control, &control->clients[i]);
    if (ready[0].revents)
        welcome(control, listener);
    return result;
}

int control_run(int listener, const struct options *options, const struct shared *shared, const int *processes)
{
    struct control control = {.options = options, .shared = shared, .processes = processes};
    int result;
    do {
        result = turn(&control, listener);
    } while (result == 0);
    return result < 0 ? result : 0;
}
