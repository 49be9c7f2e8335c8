/* SPDX-License-Identifier: MIT */
/* mcp-broker: reads and checks all that can be wrong (flags, files, directories, executables, the table) while it is
 * still one process in the user's terminal, and tells all of it at once; then the supervisor takes over. From here on
 * the log is the only voice. */
#include "broker/supervisor/leftovers.h"
#include "broker/supervisor/programs.h"
#include "broker/supervisor/run_dir.h"
#include "broker/supervisor/supervisor.h"
#include "broker/supervisor/user.h"
#include "common/conceal.h"
#include "common/config.h"
#include "common/listen_address.h"
#include "common/log.h"
#include "common/named_files.h"
#include "common/problems.h"
#include "common/servers_file.h"
#include "common/table.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

static bool any(const struct problems *problems)
{
    return problems->count + problems->more > 0;
}

/* A servers file that is wrong is told at the start, not found by the hub later. What it has workers open is known from
 * here on. */
static void check_servers(const struct config *config, struct buf *files, struct problems *problems)
{
    struct servers_file file = {0};
    int result = 0;
    if (config->servers == NULL || servers_file_read(config->servers, &file, problems) != 0)
        return;
    for (size_t i = 0; i < file.count && result == 0; i++)
        result = named_files_add(files, file.servers[i]);
    servers_file_fini(&file);
}

/* Root has read it already, but it is the user that reads it again. */
static void check_readable(const char *flag, const char *path, struct problems *problems)
{
    if (path != NULL && access(path, R_OK) != 0)
        problems_add(problems, "%s: %s: %s", flag, path, strerror(errno));
}

/* Number of worker slots, or 0. */
static unsigned make_table(const struct config *config, struct problems *problems)
{
    struct table *table;
    bool taken_over;
    char error[TABLE_ERROR_SIZE];
    if (table_create(config->run_dir, (uint32_t)config->capacity, &table, &taken_over, error) != 0) {
        problems_add(problems, "--run-dir: the table: %s", error);
        return 0;
    }
    log_info(taken_over ? "table.taken_over" : "table.created", LOG_TEXT("instance", table_instance(table)),
             LOG_U64("capacity", table_capacity(table)), LOG_TEXT("old_table", error[0] != '\0' ? error : NULL));
    unsigned slots = (unsigned)table_slot_count(table);
    table_close(table);
    return slots;
}

/* An address that can't be listened on is told to who starts the broker; the hub opens it for good. */
static int check_http(const struct config *config, struct problems *problems)
{
    struct listen_address address;
    char why[LISTEN_ADDRESS_WHY_SIZE];
    int fd;
    if (config->http == NULL || listen_address_parse(config->http, &address, why) != 0)
        return 0; /* not asked for, or refused before */
    int result = listen_address_open(&address, &fd);
    if (result == 0)
        close(fd);
    else
        problems_add(problems, "--http: %s: %s", config->http, strerror(-result));
    return result;
}

/* The supervisor's exit code; EX_CONFIG, with problems, when it could not begin. */
static int run(struct config *config, int argc, char *const argv[], const char *files, struct problems *problems)
{
    int lock_fd = -1, result = EX_CONFIG;
    unsigned slots;
    struct programs programs;
    log_open("supervisor", (enum log_level)config->log_level, (enum log_format)config->log_format);
    if (programs_init(&programs, problems) != 0 || run_dir_open(config, &lock_fd, problems) != 0)
        goto free_programs;
    if (leftovers_wait(config->run_dir, &programs, problems) != 0 || check_http(config, problems) != 0)
        goto unlock;
    slots = make_table(config, problems);
    if (slots == 0)
        goto unlock;
    run_dir_raise_limits(config);
    if (config->sandbox == CONFIG_SANDBOX_ON && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_warn("broker.new_privs", LOG_TEXT("error", strerror(errno)));
    if (!config->debuggable)
        conceal_memory();
    log_info("broker.starting", LOG_TEXT("version", MCP_BROKER_VERSION), LOG_U64("workers", config->workers),
             LOG_TEXT("run_dir", config->run_dir), LOG_TEXT("state_dir", config->state_dir));
    result = supervisor_run(&(struct supervisor_options){
        .config = config, .argc = argc, .argv = argv, .programs = &programs, .files = files, .workers_max = slots});
unlock:
    close(lock_fd);
free_programs:
    programs_fini(&programs);
    return result;
}

/* Checks all that the flags name, with the rights that it will be used with, and runs if it is to. */
static int check_and_run(struct config *config, bool only_check, int argc, char *const argv[],
                         struct problems *problems)
{
    struct buf files;
    int result = EX_CONFIG;
    buf_init(&files, NAMED_FILES_MAX);
    if (user_become(config, !only_check, problems) != 0)
        goto forget_files;
    check_servers(config, &files, problems);
    check_readable("--http-token-file", config->http_token_file, problems);
    if (any(problems))
        goto forget_files;
    if (only_check) {
        puts("mcp-broker: the configuration is right");
        result = EXIT_SUCCESS;
    } else {
        result = run(config, argc, argv, buf_text(&files), problems);
    }
forget_files:
    buf_fini(&files);
    return result;
}

/* What the command line asks for, and the exit code of it. */
static int obey(struct config *config, int argc, char *const argv[], struct problems *problems)
{
    enum config_action action = config_read(config, argc, argv, problems);
    if (action == CONFIG_HELP) {
        config_help(stdout);
        return EXIT_SUCCESS;
    }
    if (action == CONFIG_SHOW_VERSION) {
        puts("mcp-broker " MCP_BROKER_VERSION);
        return EXIT_SUCCESS;
    }
    return check_and_run(config, action == CONFIG_CHECK, argc, argv, problems);
}

int main(int argc, char *argv[])
{
    struct config config;
    struct problems problems;
    /* Whatever started this may have left descriptors open; none is for us, nor for the children. */
    close_range(STDERR_FILENO + 1, ~0U, 0);
    signal(SIGPIPE, SIG_IGN);
    conceal_environment();
    char **arguments = conceal_arguments(argc, argv);
    config_init(&config);
    problems_init(&problems);
    int result = obey(&config, argc, arguments != NULL ? arguments : argv, &problems);
    if (result == EX_CONFIG)
        problems_print(&problems, "mcp-broker");
    problems_fini(&problems);
    config_fini(&config);
    return result;
}
