/* SPDX-License-Identifier: MIT */
/* mcp-broker-worker: a process for one shard of connections, started by mcp-broker. It is told what to do over
 * descriptor 3 (common/link.h) and lives as long as that: when the supervisor is gone, it leaves in order, too. With
 * --probe it is a process for one look at one server (common/program.h), run by mcp-brokerctl, and none of this holds.
 *
 * Signals of a terminal reach the whole process group; the supervisor decides what they mean, so they are ignored here.
 * Descriptors that were left open by whoever started the broker are closed: 0 to 3 are the contract. */
#include "common/conceal.h"
#include "common/config.h"
#include "common/link.h"
#include "common/log.h"
#include "common/program.h"
#include "common/sandbox.h"
#include "common/slab.h"
#include "common/trim.h"
#include "worker/http/tls_memory.h"
#include "worker/peer/peer.h"
#include "worker/probe.h"
#include "worker/stdio/spawner.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EXIT_CONFIG = 78, /* starting again would change nothing */
    ROLE_SIZE = 32
};

struct process {
    uv_loop_t loop;
    struct link *link;
    struct worker *worker;
    char *files; /* that it may open, as it was told before `start`; NULL: none */
    int exit_code;
};

static void leave(struct process *process)
{
    link_close(process->link);
    process->link = NULL;
    worker_destroy(process->worker);
    process->worker = NULL;
    spawner_close();
    if (peer_farewells() > 0)
        exit(process->exit_code); /* sessions that nobody answered for; the loop would wait for them */
}

static void on_stopped(void *user)
{
    leave(user);
}

static void stop(struct process *process)
{
    if (process->worker)
        worker_stop(process->worker, on_stopped, process);
    else
        leave(process);
}

/* Nothing can be executed in here any more: another worker with another spawner takes over. */
static void on_spawner_gone(void *user)
{
    log_error("spawner.gone", LOG_TEXT("then", "the worker leaves, to be replaced"));
    stop(user);
}

/* Called while this is one thread; the spawner stays outside. 0, or 1 when it can't be, which was logged. */
static int lock_in(struct process *process, const struct config *config)
{
    const struct sandbox_options options = {
        .role = SANDBOX_WORKER, .run_dir = config->run_dir, .files = process->files};
    char error[SANDBOX_ERROR_SIZE];
    int result = spawner_open(&process->loop, on_spawner_gone, process);
    if (result != 0 && result != -ENOENT) /* where it is not installed, all but stdio servers can be watched */
        return 1;
    if (!config->debuggable)
        conceal_memory();
    if (config->sandbox == CONFIG_SANDBOX_OFF || sandbox_enter(&options, error) == 0)
        return 0;
    log_error("worker.sandbox", LOG_TEXT("error", error));
    process->exit_code = EXIT_CONFIG;
    return 1;
}

/* "<slot> <start count>\n<configuration>" */
static void start(struct process *process, const char *argument)
{
    int slot, length = 0;
    unsigned long long start_count;
    struct config config;
    config_init(&config);
    if (process->worker || sscanf(argument, "%d %llu%n", &slot, &start_count, &length) != 2 ||
        argument[length] != '\n' || config_decode(&config, argument + length + 1) != 0 || !config.run_dir) {
        log_error("worker.bad_start", LOG_TEXT("remedy", "supervisor and worker are of different versions"));
        process->exit_code = EXIT_CONFIG;
        goto failed;
    }
    char role[ROLE_SIZE];
    snprintf(role, sizeof(role), "worker-%d", slot);
    log_open(role, (enum log_level)config.log_level, (enum log_format)config.log_format);
    process->exit_code = EXIT_FAILURE;
    if (lock_in(process, &config) != 0 ||
        worker_create(&process->loop, slot, start_count, &config, &process->worker) != 0) {
        goto failed;
    }
    if (link_send(process->link, "ready", "") != 0)
        log_warn("worker.link", LOG_TEXT("error", "the supervisor does not read"));
    link_keep_alive(process->link);
    process->exit_code = EXIT_SUCCESS;
    return;

failed:
    config_fini(&config);
    leave(process);
}

static void reconfigure(struct process *process, const char *argument)
{
    struct config config;
    config_init(&config);
    if (process->worker && config_decode(&config, argument) == 0) {
        worker_reconfigure(process->worker, &config);
        return;
    }
    log_error("worker.bad_config", LOG_TEXT("remedy", "the settings from before stay in force"));
    config_fini(&config);
}

static void on_message(void *user, const char *word, const char *argument)
{
    struct process *process = user;
    if (strcmp(word, "start") == 0)
        start(process, argument);
    else if (strcmp(word, "files") == 0 && process->files == NULL)
        process->files = strdup(argument);
    else if (strcmp(word, "config") == 0)
        reconfigure(process, argument);
    else if (strcmp(word, "stop") == 0)
        stop(process);
}

static void on_gone(void *user)
{
    struct process *process = user;
    link_close(process->link);
    process->link = NULL;
    stop(process);
}

static int is_link(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static void ignore_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
        sigaction(signals[i], &ignore, NULL);
}

int main(int argc, char *argv[])
{
    if (!slab_held.is_heap) /* else a sanitizer is to see what is done */
        tls_memory_init();
    if (argc == 3 && strcmp(argv[1], PROGRAM_PROBE) == 0)
        return probe_run(argv[2]);

    static const struct link_handlers handlers = {.on_message = on_message, .on_gone = on_gone};
    struct process process = {.exit_code = EXIT_SUCCESS};
    if (!is_link(LINK_FD)) {
        fprintf(stderr, "mcp-broker-worker: started by mcp-broker only; run that\n");
        return EXIT_CONFIG;
    }
    close_range(LINK_FD + 1, ~0U, 0);
    conceal_environment();
    trim_prepare();
    ignore_signals();
    log_open("worker", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    if (uv_loop_init(&process.loop) != 0 ||
        link_open(&process.loop, LINK_FD, &handlers, &process, &process.link) != 0) {
        log_error("worker.no_loop");
        return EXIT_FAILURE;
    }
    uv_run(&process.loop, UV_RUN_DEFAULT);
    uv_loop_close(&process.loop);
    free(process.files);
    return process.exit_code;
}
