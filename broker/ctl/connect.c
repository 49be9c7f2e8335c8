/* SPDX-License-Identifier: MIT */
/* `connect`: asks the broker to watch a server, then waits for the broker's verdict, which includes whether the
 * definition is one. */
#include "broker/ctl/connect.h"

#include "broker/ctl/client.h"
#include "broker/ctl/definition.h"
#include "broker/ctl/format.h"
#include "broker/ctl/screen.h"
#include "common/names.h"
#include "common/question.h"

#include <string.h>

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
    const char *era = json_string_value(json_object_get(server, "era"));
    const json_t *count = json_object_get(server, "toolCount"), *tells = json_object_get(server, "supportsListChanged");
    if (era != NULL && strcmp(era, era_name(ERA_UNKNOWN)) != 0) {
        fputs(", ", stdout);
        format_text(stdout, era);
        fputs(" era", stdout);
    }
    if (json_is_integer(count))
        printf(", %" JSON_INTEGER_FORMAT " tools", json_integer_value(count));
    if (json_is_boolean(tells))
        fputs(json_is_true(tells) ? ", tells of changes" : ", does not tell of changes", stdout);
    fputc('\n', stdout);
}

/* JSON null when it is not given: the broker knows how long an attempt takes. NULL when it is wrong, which was told, or
 * without memory. */
static json_t *read_wait(const struct options *options)
{
    uint64_t wait_ms;
    if (!options_has(options, OPTION_WAIT))
        return json_null();
    if (!options_duration(options, OPTION_WAIT, 0, &wait_ms))
        return NULL;
    if (wait_ms <= QUESTION_WAIT_MAX_MS)
        return json_integer((json_int_t)wait_ms);
    fprintf(stderr, "mcp-brokerctl: --wait of connect must be 10m or less\n");
    return NULL;
}

enum exit_code connect_run(const struct options *options)
{
    if (options->argument_count == 1 && !definition_is_input(options)) {
        fprintf(stderr, "mcp-brokerctl: connect takes options, or - for JSON on standard input\n");
        return EXIT_CODE_USAGE;
    }
    json_t *wait = read_wait(options);
    json_t *definition = wait != NULL ? read_definition(options) : NULL;
    if (definition == NULL) {
        json_decref(wait);
        return EXIT_CODE_USAGE;
    }
    uint64_t patience_ms =
        (json_is_null(wait) ? QUESTION_WAIT_MAX_MS : (uint64_t)json_integer_value(wait)) + CLIENT_TIMEOUT_MS;

    /* The definition becomes the question's `server`; its id stands beside it. */
    json_t *args = json_pack("{s:O, s:O, s:o}", "serverId", json_object_get(definition, "serverId"), "server",
                             definition, "waitMs", wait);
    json_object_del(definition, "serverId");
    json_decref(definition);
    if (args == NULL)
        return client_no_memory();
    json_t *server;
    enum exit_code code = client_ask(options->run_dir, "connect", args, patience_ms, &server);
    if (code != EXIT_CODE_DONE)
        return code;
    if (options_has(options, OPTION_JSON))
        screen_json(server);
    else
        show(server);
    json_decref(server);
    return EXIT_CODE_DONE;
}
