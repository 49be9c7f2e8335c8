/* SPDX-License-Identifier: MIT */
/* `connect`: makes a definition and asks the broker to watch that server, then waits for the broker's verdict. The
 * definition is checked by the broker, which knows the keys; here only what belongs to a command line is looked at.
 *
 * `connect -` takes the object from standard input, with the id as `serverId`: that way no header stands in a command
 * line, where every user of the machine can read it. Messages never repeat what was read. */
#include "broker/ctl/connect.h"

#include "broker/ctl/client.h"
#include "broker/ctl/format.h"
#include "broker/ctl/screen.h"
#include "common/question.h"

#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 20000, WAIT_MAX_MS = 3600000 };

static bool put_text(json_t *object, const char *key, const char *text)
{
    return text == NULL || json_object_set_new(object, key, json_string(text)) == 0;
}

/* "tools,prompts" */
static bool put_events(json_t *object, const char *list)
{
    if (list == NULL)
        return true;
    json_t *events = json_array();
    bool ok = events != NULL;

    while (ok && *list != '\0') {
        size_t size = strcspn(list, ",");
        ok = json_array_append_new(events, json_stringn(list, size)) == 0;
        list += size + (list[size] == ',' ? 1 : 0);
    }
    if (ok)
        ok = json_object_set(object, "events", events) == 0;
    json_decref(events);
    return ok;
}

/* "Name: value"; the blanks before the value are not part of it. */
static bool put_header(json_t *headers, const char *header)
{
    const char *colon = strchr(header, ':');

    if (colon == NULL) {
        fprintf(stderr, "mcp-brokerctl: --header must look like 'Name: value'\n");
        return false;
    }
    char *name = strndup(header, (size_t)(colon - header));
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    bool ok = name != NULL && json_object_set_new(headers, name, json_string(value)) == 0;
    if (!ok)
        fprintf(stderr, "mcp-brokerctl: --header must be UTF-8 text\n");
    free(name);
    return ok;
}

static bool put_headers(json_t *object, const struct options *options)
{
    if (options->header_count == 0)
        return true;
    json_t *headers = json_object();
    bool ok = headers != NULL;

    for (size_t i = 0; ok && i < options->header_count; i++)
        ok = put_header(headers, options->headers[i]);
    if (ok)
        ok = json_object_set(object, "headers", headers) == 0;
    json_decref(headers);
    return ok;
}

/* The definition as options have it; NULL when that was told. */
static json_t *definition_of_options(const struct options *options)
{
    uint64_t timeout_ms;

    if (!options_has(options, OPTION_ID) || !options_has(options, OPTION_URL)) {
        fprintf(stderr, "mcp-brokerctl: connect wants --id and --url, or `connect -` and JSON on standard input\n");
        return NULL;
    }
    if (!options_duration(options, OPTION_TIMEOUT, 0, &timeout_ms))
        return NULL;
    json_t *object = json_object();
    if (object != NULL && !put_headers(object, options)) {
        json_decref(object);
        return NULL;
    }
    bool ok =
        object != NULL && put_text(object, "serverId", options->value[OPTION_ID]) &&
        put_text(object, "url", options->value[OPTION_URL]) && put_text(object, "type", options->value[OPTION_TYPE]) &&
        put_text(object, "name", options->value[OPTION_NAME]) &&
        put_text(object, "workspaceId", options->value[OPTION_WORKSPACE]) &&
        put_text(object, "userId", options->value[OPTION_USER]) && put_events(object, options->value[OPTION_EVENTS]) &&
        (!options_has(options, OPTION_TIMEOUT) ||
         json_object_set_new(object, "timeout", json_integer((json_int_t)timeout_ms)) == 0);
    if (ok)
        return object;
    fprintf(stderr, "mcp-brokerctl: the options must be UTF-8 text\n");
    json_decref(object);
    return NULL;
}

/* The definition on standard input; NULL when that was told. */
static json_t *definition_of_input(const struct options *options)
{
    static const enum option_id others[] = {OPTION_ID,     OPTION_URL,  OPTION_NAME,    OPTION_WORKSPACE, OPTION_USER,
                                            OPTION_HEADER, OPTION_TYPE, OPTION_TIMEOUT, OPTION_EVENTS};
    json_error_t error;
    struct buf input;
    char chunk[4096];
    size_t got;

    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        if (options_has(options, others[i])) {
            fprintf(stderr, "mcp-brokerctl: `connect -` reads all from standard input: no %s beside it\n",
                    options_flag(others[i]));
            return NULL;
        }
    }
    buf_init(&input, QUESTION_BYTES_MAX);
    int outcome = 0;
    while (outcome == 0 && (got = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        outcome = buf_append(&input, chunk, got);
    json_t *object = outcome == 0 ? json_loadb(buf_text(&input), input.size, JSON_REJECT_DUPLICATES, &error) : NULL;
    buf_fini(&input);
    if (object == NULL || !json_is_string(json_object_get(object, "serverId"))) {
        if (outcome != 0)
            fprintf(stderr, "mcp-brokerctl: standard input is larger than the broker takes\n");
        else if (object == NULL)
            fprintf(stderr, "mcp-brokerctl: standard input is no JSON object (line %d)\n", error.line);
        else
            fprintf(stderr, "mcp-brokerctl: the object on standard input has no \"serverId\"\n");
        json_decref(object);
        return NULL;
    }
    return object;
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
    bool input = options->argument_count == 1;
    uint64_t wait_ms;

    if (input && strcmp(options->arguments[0], "-") != 0) {
        fprintf(stderr, "mcp-brokerctl: connect takes options, or - for JSON on standard input\n");
        return EXIT_CODE_USAGE;
    }
    if (!options_duration(options, OPTION_WAIT, WAIT_MS, &wait_ms))
        return EXIT_CODE_USAGE;
    if (wait_ms > WAIT_MAX_MS)
        wait_ms = WAIT_MAX_MS;
    json_t *definition = input ? definition_of_input(options) : definition_of_options(options);
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
