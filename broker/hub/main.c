/* SPDX-License-Identifier: MIT */
/* The hub's process: mcp-broker-hub, started by mcp-broker and by nobody else. It gets everything over the link at
 * descriptor 3: first its configuration, later what changes. It says `ready` when it does its work and `alive` while its
 * loop turns, and leaves in order when it is told to, or when the supervisor is gone.
 *
 * A terminal's Ctrl-C reaches all processes of its group: the signals that end a broker are the supervisor's to act on,
 * and ignored here.
 */
#include "broker/hub/hub.h"
#include "common/conceal.h"
#include "common/config.h"
#include "common/link.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/trim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_MISCONFIGURED = 78 };

struct process {
    uv_loop_t loop;
    struct link *link;
    struct config config;
    struct hub *hub;
    int exit_code;
};

static int tell_supervisor(void *user, const char *word, const char *argument)
{
    struct process *process = user;
    return process->link ? link_send(process->link, word, argument) : -ENOTCONN;
}

static void close_link(struct process *process)
{
    link_close(process->link);
    process->link = NULL;
}

/* The loop ends by itself when the last handle is closed. */
static void on_stopped(void *user)
{
    struct process *process = user;
    process->hub = NULL;
    close_link(process);
}

static void stop(struct process *process)
{
    if (process->hub)
        hub_stop(process->hub);
    else
        close_link(process);
}

static void give_up(struct process *process, int exit_code)
{
    process->exit_code = exit_code;
    stop(process);
}

/* 0, or 1 when it can't be locked in, which was logged. */
static int lock_in(const struct config *config)
{
    const struct sandbox_options options = {
        .role = SANDBOX_HUB, .run_dir = config->run_dir, .state_dir = config->state_dir};
    char error[SANDBOX_ERROR_SIZE];
    if (!config->debuggable)
        conceal_memory();
    if (config->sandbox == CONFIG_SANDBOX_OFF || sandbox_enter(&options, error) == 0)
        return 0;
    log_error("hub.sandbox", LOG_TEXT("error", error));
    return 1;
}

/* "<slot> <start count>\n<configuration>": the slot of a hub is -1. */
static void begin(struct process *process, const char *argument)
{
    uint64_t start_count;
    const char *text = strchr(argument, '\n');
    if (process->hub || !text || sscanf(argument, "%*d %" SCNu64, &start_count) != 1 ||
        config_decode(&process->config, text + 1) != 0) {
        log_error("hub.start", LOG_TEXT("error", "the supervisor is of another version: install both anew"));
        give_up(process, EXIT_MISCONFIGURED);
        return;
    }
    log_open("hub", (enum log_level)process->config.log_level, (enum log_format)process->config.log_format);
    if (lock_in(&process->config) != 0) {
        give_up(process, EXIT_MISCONFIGURED);
        return;
    }
    const struct hub_options options = {
        .config = &process->config,
        .start_count = start_count,
        .tell_supervisor = tell_supervisor,
        .on_stopped = on_stopped,
        .user = process,
    };
    int result = hub_open(&process->loop, &options, &process->hub);
    if (result != 0) {
        give_up(process, result == HUB_MISCONFIGURED ? EXIT_MISCONFIGURED : EXIT_FAILURE);
        return;
    }
    link_keep_alive(process->link);
    if (link_send(process->link, "ready", "") != 0)
        give_up(process, EXIT_FAILURE);
}

static void configure(struct process *process, const char *text)
{
    struct config config;
    config_init(&config);
    if (config_decode(&config, text) != 0) {
        log_error("hub.config", LOG_TEXT("error", "no configuration; the old one stays"));
        config_fini(&config);
        return;
    }
    config_fini(&process->config);
    process->config = config;
    log_set_level((enum log_level)config.log_level);
    hub_configure(process->hub);
}

/* Numbers from `at` on; returns where they end. */
static const char *read_slots(const char *at, int slots[HUB_SLOTS_MAX], size_t *count)
{
    char *end;
    for (*count = 0; *count < HUB_SLOTS_MAX; at = end) {
        long slot = strtol(at, &end, 10);
        if (end == at)
            break;
        if (slot >= 0 && slot < HUB_SLOTS_MAX)
            slots[(*count)++] = (int)slot;
    }
    return at;
}

static void set_slots(struct process *process, const char *argument)
{
    struct hub_slots slots;
    const char *rest = read_slots(argument, slots.in_service, &slots.in_count);
    static const char out[] = " out";
    slots.out_count = 0;
    rest = strstr(rest, out);
    if (rest)
        (void)read_slots(rest + sizeof(out) - 1, slots.out_of_service, &slots.out_count);
    hub_set_slots(process->hub, &slots);
}

static void on_message(void *user, const char *word, const char *argument)
{
    struct process *process = user;
    if (strcmp(word, "stop") == 0)
        stop(process);
    else if (strcmp(word, "start") == 0)
        begin(process, argument);
    else if (!process->hub)
        log_warn("link.early", LOG_TEXT("word", word));
    else if (strcmp(word, "config") == 0)
        configure(process, argument);
    else if (strcmp(word, "slots") == 0)
        set_slots(process, argument);
    else if (strcmp(word, "configured") == 0)
        hub_set_configured(process->hub, argument);
    else if (strcmp(word, "reload") == 0)
        hub_reload(process->hub);
    else if (strcmp(word, "leaving") == 0)
        hub_leave(process->hub);
    else
        log_warn("link.unknown", LOG_TEXT("word", word));
}

static void on_gone(void *user)
{
    struct process *process = user;
    log_warn("supervisor.gone", LOG_TEXT("then", "the hub stops, too"));
    close_link(process);
    stop(process);
}

/* Descriptor 3 is what a supervisor gives to its child, and nothing that a shell would have there. */
static int is_started_by_supervisor(void)
{
    int type = 0;
    socklen_t size = sizeof(type);
    return getsockopt(LINK_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < ARRAY_LENGTH(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
}

int main(void)
{
    static const struct link_handlers handlers = {.on_message = on_message, .on_gone = on_gone};
    struct process process = {.exit_code = EXIT_SUCCESS};
    if (!is_started_by_supervisor()) {
        fputs("mcp-broker-hub: it is started by mcp-broker; run that\n", stderr);
        return EXIT_MISCONFIGURED;
    }
    (void)close_range(LINK_FD + 1, ~0U, 0);
    conceal_environment();
    trim_prepare();
    ignore_signals();
    log_open("hub", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    config_init(&process.config);
    int result = uv_loop_init(&process.loop);
    if (result == 0)
        result = link_open(&process.loop, LINK_FD, &handlers, &process, &process.link);
    if (result != 0) {
        log_error("hub.start", LOG_TEXT("error", strerror(-result)));
        return EXIT_FAILURE;
    }
    uv_run(&process.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&process.loop);
    config_fini(&process.config);
    return process.exit_code;
}
