/* SPDX-License-Identifier: MIT */
/* Which commands there are, what each takes, and who does it. The help is made from this table, and what a command does
 * not take is refused by it, so neither can be forgotten when a command is added. */
#include "broker/ctl/commands.h"

#include "broker/ctl/ask.h"
#include "broker/ctl/connect.h"
#include "broker/ctl/probe.h"
#include "broker/ctl/states.h"
#include "broker/ctl/top.h"
#include "broker/ctl/watch.h"

#include <assert.h>
#include <string.h>

#define TAKES(option) (1U << OPTION_##option)

/* What every command takes. */
#define TAKES_ALWAYS (TAKES(RUN_DIR) | TAKES(JSON) | TAKES(HELP) | TAKES(VERSION))

/* Beside the options: the command wants no broker, nor its table. */
#define WANTS_NO_BROKER (1U << 31)

static_assert(OPTION_COUNT <= 31, "a bit for each option");

static const struct command {
    const char *name;
    const char *usage;
    const char *help;
    enum exit_code (*run)(const struct options *options);
    unsigned takes; /* beside TAKES_ALWAYS */
    int arguments_min, arguments_max;
} commands[] = {
    {"ping", "", "is a broker there?", ask_ping, 0, 0, 0},
    {"status", "", "the broker at a glance", ask_status, 0, 0, 0},
    {"workers", "", "its processes, and what they have done", ask_workers, 0, 0, 0},
    {"states", "[--worker N] [--workspace W] [--state S] [--sort KEY] [--offline]",
     "servers and their states, one a line", states_list,
     TAKES(WORKER) | TAKES(WORKSPACE) | TAKES(STATE) | TAKES(SORT) | TAKES(OFFLINE), 0, 0},
    {"show", "ID [--offline]", "all that is known of one server", states_show, TAKES(OFFLINE), 1, 1},
    {"connect",
     "--id ID --url URL [--name --workspace --user --header K:V … --type --timeout --events] [--wait DUR] | -",
     "watch a server from now on; - reads a JSON object with serverId and the keys of the servers file", connect_run,
     TAKES(ID) | TAKES(URL) | TAKES(NAME) | TAKES(WORKSPACE) | TAKES(USER) | TAKES(HEADER) | TAKES(TYPE) |
         TAKES(TIMEOUT) | TAKES(EVENTS) | TAKES(WAIT),
     0, 1},
    {"disconnect", "ID", "watch it no longer, and forget it", ask_server, 0, 1, 1},
    {"reconnect", "ID", "start its connection anew, now", ask_server, 0, 1, 1},
    {"touch", "ID", "somebody wants it: its idle time starts again", ask_server, 0, 1, 1},
    {"watch", "[--workspace W] [--server ID] [--kind K] [--count N]", "events as they come, one a line", watch_run,
     TAKES(WORKSPACE) | TAKES(SERVER) | TAKES(KIND) | TAKES(COUNT_EVENTS), 0, 0},
    {"top", "[--interval DUR]", "a live screen: workers, rates, servers; h tells the keys", top_run, TAKES(INTERVAL), 0,
     0},
    {"probe", "URL | - [--header K:V … --type --timeout --events] [--wait DUR] [--lists] [--call TOOL[=JSON]]",
     "look at a server as a worker would, without a broker; - reads a JSON object with the keys of the servers file",
     probe_run,
     TAKES(HEADER) | TAKES(TYPE) | TAKES(TIMEOUT) | TAKES(EVENTS) | TAKES(WAIT) | TAKES(LISTS) | TAKES(CALL) |
         WANTS_NO_BROKER,
     1, 1},
    {"scale", "N", "run N workers", ask_scale, 0, 1, 1},
    {"log-level", "LEVEL", "write log lines of this level (error, warn, info, debug) until the next reload",
     ask_log_level, 0, 1, 1},
    {"reload", "", "read configuration and servers file again", ask_plainly, 0, 0, 0},
    {"roll", "", "replace the workers, one after another", ask_plainly, 0, 0, 0},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static bool check(const struct command *command, const struct options *options)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (options_has(options, (enum option_id)i) && ((command->takes | TAKES_ALWAYS) & 1U << i) == 0) {
            fprintf(stderr, "mcp-brokerctl: %s takes no %s; see mcp-brokerctl --help\n", command->name,
                    options_flag((enum option_id)i));
            return false;
        }
    }
    if (options->argument_count < command->arguments_min || options->argument_count > command->arguments_max) {
        fprintf(stderr, "usage: mcp-brokerctl %s %s\n", command->name, command->usage);
        return false;
    }
    return true;
}

enum exit_code commands_run(const struct options *options)
{
    const struct command *command = find(options->command);

    if (command == NULL) {
        fprintf(stderr, "mcp-brokerctl: no such command: %s; see mcp-brokerctl --help\n", options->command);
        return EXIT_CODE_USAGE;
    }
    if (!check(command, options))
        return EXIT_CODE_USAGE;
    if (options->run_dir == NULL && (command->takes & WANTS_NO_BROKER) == 0) {
        fprintf(stderr, "mcp-brokerctl: which broker? Name its run directory with --run-dir\n");
        return EXIT_CODE_NO_BROKER;
    }
    return command->run(options);
}

void commands_help(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        fprintf(out, "  %s%s%s\n      %s\n", commands[i].name, commands[i].usage[0] != '\0' ? " " : "",
                commands[i].usage, commands[i].help);
}
