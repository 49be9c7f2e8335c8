/* SPDX-License-Identifier: MIT */
/* `connect`: asks the broker to watch a server, then waits for the broker's verdict, which includes whether the
 * definition is one. */
#include "broker/ctl/connect.h"

#include "broker/ctl/client.h"
#include "broker/ctl/definition.h"
#include "broker/ctl/format.h"
#include "broker/ctl/screen.h"

enum { WAIT_MS = 20000, WAIT_MAX_MS = 3600000 };

/* NULL when there is none, which was told. */
static json_t *read_definition(const struct options *options)
{
    if (!definition_is_input(options)) {
        if (options_has(options, OPTION_ID) && options_has(options, OPTION_URL))
            return definition_of_options(options, options->value[OPTION_URL]);
        fprintf(stderr, "mcp-brokerctl: connect wants --id and --url, or `connect -` and JSON on standard input\n");
        return NULL;
    }
    json_t *definition = definition_of_input(options);
    if (definition == NULL || json_is_string(json_object_get(definition, "serverId")))
        return definition;
    fprintf(stderr, "mcp-brokerctl: the object on standard input has no \"serverId\"\n");
    json_decref(definition);
    return NULL;
}

static void show(json_t *server)
{
    format_text(stdout, json_string_value(json_object_get(server, "serverId")));
    fputs(": ", stdout);
    format_text(stdout, json_string_value(json_object_get(server, "state")));
    fputc('\n', stdout);
}

enum exit_code connect_run(const struct options *options)
{
    uint64_t wait_ms;

    if (options->argument_count == 1 && !definition_is_input(options)) {
        fprintf(stderr, "mcp-brokerctl: connect takes options, or - for JSON on standard input\n");
        return EXIT_CODE_USAGE;
    }
    if (!options_duration(options, OPTION_WAIT, WAIT_MS, &wait_ms))
        return EXIT_CODE_USAGE;
    if (wait_ms > WAIT_MAX_MS)
        wait_ms = WAIT_MAX_MS;
    json_t *definition = read_definition(options);
    if (definition == NULL)
        return EXIT_CODE_USAGE;

    /* The definition becomes the question's `server`; its id stands beside it. */
    json_t *args = json_pack("{s:O, s:O, s:I}", "serverId", json_object_get(definition, "serverId"), "server",
                             definition, "waitMs", (json_int_t)wait_ms);
    json_object_del(definition, "serverId");
    json_decref(definition);
    if (args == NULL)
        return client_no_memory();
    json_t *server;
    enum exit_code code = client_ask(options->run_dir, "connect", args, wait_ms + CLIENT_TIMEOUT_MS, &server);
    if (code != EXIT_CODE_DONE)
        return code;
    if (options_has(options, OPTION_JSON))
        screen_json(server);
    else
        show(server);
    json_decref(server);
    return EXIT_CODE_DONE;
}
