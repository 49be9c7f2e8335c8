/* SPDX-License-Identifier: MIT */
/* Options of mcp-brokerctl, in one table: the parser and the help are made of it. All of them are parsed in one go,
 * before or behind the command, since nobody remembers which side they belong on; an option that the command has no use
 * for is refused by commands.c, so that a mistake is never silently without effect.
 *
 * Values stay texts here. What they must look like is known where they are used. */
#include "broker/ctl/options.h"

#include "common/duration.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *metavar; /* NULL: a switch */
    const char *help;
} table[OPTION_COUNT] = {
    [OPTION_RUN_DIR] = {"run-dir", "DIR",
                        "run directory of the broker ($RUNTIME_DIRECTORY, else as mcp-broker has it)"},
    [OPTION_JSON] = {"json", NULL, "print JSON"},
    [OPTION_HELP] = {"help", NULL, "print this"},
    [OPTION_VERSION] = {"version", NULL, "print the version"},
    [OPTION_OFFLINE] = {"offline", NULL, "do not ask whether the broker is there: no process needs to be"},
    [OPTION_WORKER] = {"worker", "N", "only servers of this worker"},
    [OPTION_WORKSPACE] = {"workspace", "W", "only this workspace; of `connect`: the server's"},
    [OPTION_STATE] = {"state", "S", "only servers in this state"},
    [OPTION_SORT] = {"sort", "KEY",
                     "what comes first: id|state|worker|workspace|tools|changes|attempts|connected|heard|next"},
    [OPTION_ID] = {"id", "ID", "the server's id"},
    [OPTION_URL] = {"url", "URL", "the server's URL"},
    [OPTION_NAME] = {"name", "NAME", "the server's name (its id)"},
    [OPTION_USER] = {"user", "U", "the user it belongs to"},
    [OPTION_HEADER] = {"header", "K:V", "a header for its requests; others see command lines: `connect -` hides it"},
    [OPTION_TYPE] = {"type", "TYPE", "how to speak to it: http or sse (http)"},
    [OPTION_TIMEOUT] = {"timeout", "DUR", "for one attempt (the broker's --connect-timeout)"},
    [OPTION_EVENTS] = {"events", "LIST", "tools, prompts, resources, with commas between (tools)"},
    [OPTION_WAIT] = {"wait", "DUR",
                     "of `connect`: for a verdict (the time for one attempt; at most 10m); of `probe`: for what comes "
                     "on the stream (2s)"},
    [OPTION_LISTS] = {"lists", NULL, "tell what is in the lists, not only how much"},
    [OPTION_CALL] = {"call", "TOOL[=JSON]", "call this tool, with this object as its arguments, and tell the result"},
    [OPTION_SERVER] = {"server", "ID", "only events of this server"},
    [OPTION_KIND] = {"kind", "K", "only tools, prompts, resources or status"},
    [OPTION_COUNT_EVENTS] = {"count", "N", "end after N events"},
    [OPTION_INTERVAL] = {"interval", "DUR", "time between two refreshes of `top` (1s)"},
};

bool options_has(const struct options *options, enum option_id id)
{
    return options->value[id] != NULL;
}

const char *options_flag(enum option_id id)
{
    static char flag[32];

    snprintf(flag, sizeof flag, "--%s", table[id].name);
    return flag;
}

static int keep(struct options *options, enum option_id id, const char *value)
{
    options->value[id] = value != NULL ? value : "";
    if (id != OPTION_HEADER)
        return 0;
    if (options->header_count == ARRAY_LENGTH(options->headers)) {
        fprintf(stderr, "mcp-brokerctl: more than %d headers\n", SERVER_DEF_HEADERS_MAX);
        return 1;
    }
    options->headers[options->header_count++] = value;
    return 0;
}

int options_parse(int argc, char *argv[], struct options *options)
{
    struct option known[OPTION_COUNT + 1] = {{.name = NULL}};
    int value;

    for (int i = 0; i < OPTION_COUNT; i++)
        known[i] = (struct option){
            .name = table[i].name, .has_arg = table[i].metavar != NULL ? required_argument : no_argument, .val = i};
    *options = (struct options){.command = NULL};
    opterr = 0;
    while ((value = getopt_long(argc, argv, ":", known, NULL)) != -1) {
        if (value == '?' || value == ':') {
            fprintf(stderr, "mcp-brokerctl: %s %s; see mcp-brokerctl --help\n", argv[optind - 1],
                    value == ':' ? "wants a value" : "is no option, or takes no value");
            return 1;
        }
        if (keep(options, (enum option_id)value, optarg) != 0)
            return 1;
    }
    if (optind < argc) {
        options->command = argv[optind++];
        options->arguments = argv + optind;
        options->argument_count = argc - optind;
    }
    return 0;
}

bool options_number(const char *text, const char *what, long min, long max, long *number)
{
    char *end;

    errno = 0;
    long got = strtol(text, &end, 10);
    if (text[0] == '\0' || *end != '\0' || errno != 0 || got < min || got > max) {
        fprintf(stderr, "mcp-brokerctl: %s must be a whole number from %ld to %ld\n", what, min, max);
        return false;
    }
    *number = got;
    return true;
}

bool options_duration(const struct options *options, enum option_id id, uint64_t default_ms, uint64_t *ms)
{
    *ms = default_ms;
    if (!options_has(options, id) || duration_parse(options->value[id], ms) == 0)
        return true;
    fprintf(stderr, "mcp-brokerctl: %s must be a duration such as 250ms, 15s, 30m\n", options_flag(id));
    return false;
}

void options_help(FILE *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char left[32];
        snprintf(left, sizeof left, "--%s%s%s", table[i].name, table[i].metavar != NULL ? " " : "",
                 table[i].metavar != NULL ? table[i].metavar : "");
        fprintf(out, "  %-16s %s\n", left, table[i].help);
    }
}
