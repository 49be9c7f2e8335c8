/* SPDX-License-Identifier: MIT */
/* mcp-fleet: thousands of simulated MCP servers on loopback, for benchmarks, soaks and tests with failures. This process
 * starts the others, one for each share of the servers, and then only serves the control port. It says in one line of
 * JSON on stdout when all of them listen; when it ends, for whatever reason, they end. */
#include "tests/fleet/control.h"
#include "tests/fleet/options.h"
#include "tests/fleet/process.h"
#include "tests/fleet/tls.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what, int result)
{
    fprintf(stderr, "mcp-fleet: %s: %s\n", what, strerror(-result));
    return EXIT_FAILURE;
}

/* What all processes have in common. */
struct site {
    const struct options *options;
    struct shared *shared;
    struct ssl_ctx_st *tls; /* NULL: http */
};

/* Once it listens it says so with a byte, as if it had obeyed a command. */
static int run_process(const struct site *site, uint32_t index, int commands)
{
    struct process *process;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int result = process_create(site->options, index, site->shared, site->tls, &process);
    if (result != 0)
        return fail("cannot listen", result);
    if (send(commands, "", 1, MSG_NOSIGNAL) != 1)
        return EXIT_FAILURE;
    result = process_run(process, commands);
    return result == 0 ? EXIT_SUCCESS : fail("cannot go on", result);
}

static int start_process(const struct site *site, uint32_t index, int *out)
{
    int ends[2];
    char ready;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return EXIT_FAILURE;
    pid_t pid = fork();
    if (pid < 0)
        return EXIT_FAILURE;
    if (pid == 0) {
        close(ends[0]);
        _exit(run_process(site, index, ends[1]));
    }
    close(ends[1]);
    *out = ends[0];
    return recv(ends[0], &ready, 1, 0) == 1 ? 0 : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    struct options options;
    struct site site = {.options = &options};
    static int processes[SHARED_PROCESSES_MAX];
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
    int result = options_read(argc, argv, &options);
    if (result != 0)
        return result;
    result = options_write_servers(&options);
    if (result != 0)
        return fail(options.servers_file, result);
    result = shared_create(options.shared_file, options.servers, &site.shared);
    if (result != 0)
        return fail("no shared memory", result);
    result = options.tls_file ? tls_create(options.tls_file, &site.tls) : 0;
    if (result != 0)
        return fail(options.tls_file, result);
    int listener = control_listen(&options.control);
    if (listener < 0)
        return fail("no control port", listener);
    for (uint32_t i = 0; i < options.processes; i++)
        if (start_process(&site, i, &processes[i]) != 0)
            return EXIT_FAILURE;
    printf("{\"control\":%u,\"processes\":%" PRIu32 ",\"port\":%u,\"servers\":%" PRIu32 "}\n",
           (unsigned)options.control, options.processes, (unsigned)options.port, options.servers);
    fflush(stdout);
    result = control_run(listener, &options, site.shared, processes);
    return result == 0 ? EXIT_SUCCESS : fail("a process of the fleet has died", result);
}
