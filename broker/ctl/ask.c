/* SPDX-License-Identifier: MIT */
/* Commands that put one question to the broker and show its answer: as it is with --json, else in the words of view.c.
 * The question is named as the command, and client.c has told whatever went wrong, so there is little left to do. */
#include "broker/ctl/ask.h"

#include "broker/ctl/client.h"
#include "broker/ctl/format.h"
#include "broker/ctl/screen.h"
#include "broker/ctl/view.h"
#include "common/clock.h"

/* Most worker slots that a table has. */
enum { WORKERS_MAX = 256 };

/* Asks; on success shows the data with `show`, or as JSON. */
static enum exit_code ask(const struct options *options, json_t *args,
                          void (*show)(const struct options *options, const json_t *data))
{
    json_t *data;
    enum exit_code code = client_ask(options->run_dir, options->command, args, CLIENT_TIMEOUT_MS, &data);

    if (code != EXIT_CODE_DONE)
        return code;
    if (options_has(options, OPTION_JSON))
        screen_json(data);
    else
        show(options, data);
    json_decref(data);
    return EXIT_CODE_DONE;
}

static void show_ping(const struct options *options, const json_t *data)
{
    (void)options;
    fputs("mcp-broker ", stdout);
    format_text(stdout, json_string_value(json_object_get(data, "version")));
    printf(" answers (pid %" JSON_INTEGER_FORMAT ")\n", json_integer_value(json_object_get(data, "pid")));
}

enum exit_code ask_ping(const struct options *options)
{
    return ask(options, NULL, show_ping);
}

static void show_status(const struct options *options, const json_t *data)
{
    (void)options;
    view_status(stdout, data, clock_wall_ms());
}

enum exit_code ask_status(const struct options *options)
{
    return ask(options, NULL, show_status);
}

static void show_workers(const struct options *options, const json_t *data)
{
    (void)options;
    view_workers(stdout, data, clock_wall_ms());
}

enum exit_code ask_workers(const struct options *options)
{
    return ask(options, NULL, show_workers);
}

/* "github: backoff"; only the answer to disconnect has no state. */
static void show_server(const struct options *options, const json_t *data)
{
    const char *state = json_string_value(json_object_get(data, "state"));

    format_text(stdout, options->arguments[0]);
    fputs(": ", stdout);
    format_text(stdout, state != NULL ? state : "disconnected");
    fputc('\n', stdout);
}

enum exit_code ask_server(const struct options *options)
{
    json_t *args = json_pack("{s:s}", "serverId", options->arguments[0]);

    if (args == NULL) {
        fprintf(stderr, "mcp-brokerctl: the id is no UTF-8 text\n");
        return EXIT_CODE_USAGE;
    }
    return ask(options, args, show_server);
}

static void show_nothing(const struct options *options, const json_t *data)
{
    (void)options;
    (void)data;
}

enum exit_code ask_scale(const struct options *options)
{
    long workers;

    if (!options_number(options->arguments[0], "the number of workers", 1, WORKERS_MAX, &workers))
        return EXIT_CODE_USAGE;
    json_t *args = json_pack("{s:I}", "workers", (json_int_t)workers);
    if (args == NULL)
        return client_no_memory();
    return ask(options, args, show_nothing);
}

enum exit_code ask_log_level(const struct options *options)
{
    json_t *args = json_pack("{s:s}", "level", options->arguments[0]);
    if (args == NULL) {
        fprintf(stderr, "mcp-brokerctl: the level is no UTF-8 text\n");
        return EXIT_CODE_USAGE;
    }
    return ask(options, args, show_nothing);
}

enum exit_code ask_plainly(const struct options *options)
{
    return ask(options, NULL, show_nothing);
}
