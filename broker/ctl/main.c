/* SPDX-License-Identifier: MIT */
/* mcp-brokerctl: the operator's command. Asks a running broker over its diagnostics socket, listens to its events,
 * reads its table, or has a worker look at one server; it changes nothing by itself. Standard output has what was asked
 * for and nothing else, everything else goes to standard error, and the exit code says which of the two to look at. */
#include "broker/ctl/commands.h"
#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"
#include "broker/ctl/screen.h"
#include "common/paths.h"

#include <limits.h>
#include <unistd.h>

static void print_help(void)
{
    fputs("usage: mcp-brokerctl [--run-dir DIR] [--json] COMMAND\n\nCommands:\n", stdout);
    commands_help(stdout);
    fputs("\nOptions:\n", stdout);
    options_help(stdout);
    fputs("\nExit codes:\n"
          "  0  done\n"
          "  1  the broker said no, or a probe found nothing to listen to\n"
          "  2  wrong usage\n"
          "  3  no broker there\n"
          "  4  no such server\n",
          stdout);
}

static void choose_run_dir(struct options *options, char *memory, size_t size)
{
    options->run_dir = options->value[OPTION_RUN_DIR];
    if (options->run_dir != NULL && options->run_dir[0] == '\0')
        options->run_dir = NULL;
    else if (options->run_dir == NULL && paths_default_run_dir(memory, size, geteuid() == 0) == 0)
        options->run_dir = memory;
}

int main(int argc, char *argv[])
{
    struct options options;
    char run_dir[PATH_MAX];
    enum exit_code code = EXIT_CODE_DONE;

    if (options_parse(argc, argv, &options) != 0)
        return EXIT_CODE_USAGE;
    if (options_has(&options, OPTION_HELP))
        print_help();
    else if (options_has(&options, OPTION_VERSION))
        printf("mcp-brokerctl %s\n", MCP_BROKER_VERSION);
    else if (options.command == NULL) {
        fprintf(stderr, "mcp-brokerctl: which command? See mcp-brokerctl --help\n");
        code = EXIT_CODE_USAGE;
    } else {
        choose_run_dir(&options, run_dir, sizeof run_dir);
        code = commands_run(&options);
    }
    return (int)screen_end(code);
}
