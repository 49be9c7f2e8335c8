/* SPDX-License-Identifier: MIT */
/* A definition as a user gives it to a command: in options, or as a JSON object on standard input. Keys and values are
 * checked by whoever takes the definition, which knows them (common/server_def.h); here only what belongs to a command
 * line is looked at.
 *
 * Standard input is for secrets: a header in a command line can be read by every user of the machine. Messages never
 * repeat what was read. */
#include "broker/ctl/definition.h"

#include "common/buf.h"
#include "common/question.h"

#include <stdlib.h>
#include <string.h>

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

json_t *definition_of_options(const struct options *options, const char *url)
{
    uint64_t timeout_ms;

    if (!options_duration(options, OPTION_TIMEOUT, 0, &timeout_ms))
        return NULL;
    json_t *object = json_object();
    if (object != NULL && !put_headers(object, options)) {
        json_decref(object);
        return NULL;
    }
    bool ok = object != NULL && put_text(object, "serverId", options->value[OPTION_ID]) &&
              put_text(object, "url", url) && put_text(object, "type", options->value[OPTION_TYPE]) &&
              put_text(object, "name", options->value[OPTION_NAME]) &&
              put_text(object, "workspaceId", options->value[OPTION_WORKSPACE]) &&
              put_text(object, "userId", options->value[OPTION_USER]) &&
              put_events(object, options->value[OPTION_EVENTS]) &&
              (!options_has(options, OPTION_TIMEOUT) ||
               json_object_set_new(object, "timeout", json_integer((json_int_t)timeout_ms)) == 0);
    if (ok)
        return object;
    fprintf(stderr, "mcp-brokerctl: the options must be UTF-8 text\n");
    json_decref(object);
    return NULL;
}

static bool is_alone(const struct options *options)
{
    static const enum option_id others[] = {OPTION_ID,     OPTION_URL,  OPTION_NAME,    OPTION_WORKSPACE, OPTION_USER,
                                            OPTION_HEADER, OPTION_TYPE, OPTION_TIMEOUT, OPTION_EVENTS};
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        if (options_has(options, others[i])) {
            fprintf(stderr, "mcp-brokerctl: `%s -` reads all from standard input: no %s beside it\n", options->command,
                    options_flag(others[i]));
            return false;
        }
    }
    return true;
}

json_t *definition_of_input(const struct options *options)
{
    json_error_t error;
    struct buf input;
    char chunk[4096];
    size_t got;

    if (!is_alone(options))
        return NULL;
    buf_init(&input, QUESTION_BYTES_MAX);
    int outcome = 0;
    while (outcome == 0 && (got = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        outcome = buf_append(&input, chunk, got);
    json_t *object = outcome == 0 ? json_loadb(buf_text(&input), input.size, JSON_REJECT_DUPLICATES, &error) : NULL;
    buf_fini(&input);
    if (json_is_object(object))
        return object;
    if (outcome != 0)
        fprintf(stderr, "mcp-brokerctl: standard input is larger than the broker takes\n");
    else
        fprintf(stderr, "mcp-brokerctl: standard input is no JSON object (line %d)\n", object == NULL ? error.line : 1);
    json_decref(object);
    return NULL;
}

bool definition_is_input(const struct options *options)
{
    return options->argument_count == 1 && strcmp(options->arguments[0], "-") == 0;
}
