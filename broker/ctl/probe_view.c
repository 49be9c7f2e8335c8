/* SPDX-License-Identifier: MIT */
/* The report of `probe` for people: what the broker would show first, then why, then what was found on the way there. A
 * line for each thing that is known, none for what is not. No text of the server reaches the terminal unfiltered. */
#include "broker/ctl/probe_view.h"

#include "broker/ctl/field.h"
#include "broker/ctl/format.h"
#include "common/compiler.h"
#include "common/duration.h"
#include "common/names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_WIDTH = 14 };

static void write_label(FILE *out, const char *label)
{
    format_cell(out, label, LABEL_WIDTH, FORMAT_NO_CUT);
}

static void write_line(FILE *out, const char *label, const char *text)
{
    if (text[0] == '\0')
        return;
    write_label(out, label);
    format_text(out, text);
    fputc('\n', out);
}

static const char *duration_of(const json_t *object, const char *key, char words[DURATION_TEXT_SIZE])
{
    json_int_t ms = json_integer_value(json_object_get(object, key));

    return duration_words(ms > 0 ? (uint64_t)ms : 0, words);
}

/* A program is not reached but heard. */
static const char *reached(const json_t *report)
{
    bool reachable = json_is_true(json_object_get(report, "reachable"));

    if (strcmp(field_text(report, "transport"), transport_name(TRANSPORT_STDIO)) == 0)
        return reachable ? "answers" : "has said nothing";
    return reachable ? "reachable" : "not reachable";
}

static void write_tls(FILE *out, const json_t *report)
{
    static const char *const agreed[] = {"tlsVersion", "tlsCipher"};

    if (field_text(report, "tls")[0] == '\0')
        return;
    fputs(", TLS ", out);
    format_text(out, field_text(report, "tls"));
    for (size_t i = 0; i < ARRAY_LENGTH(agreed); i++) {
        if (field_text(report, agreed[i])[0] == '\0')
            continue;
        fputs(i == 0 ? ": " : " with ", out);
        format_text(out, field_text(report, agreed[i]));
    }
}

static void write_server(FILE *out, const json_t *report)
{
    const char *version = field_text(report, "protocolVersion");

    write_label(out, "server");
    format_text(out, field_text(report, "origin"));
    fprintf(out, ", %s", reached(report));
    if (field_text(report, "http")[0] != '\0') {
        fputs(", ", out);
        format_text(out, field_text(report, "http"));
    }
    write_tls(out, report);
    fputc('\n', out);
    if (version[0] == '\0')
        return;
    write_label(out, "era");
    format_text(out, field_text(report, "era"));
    fputs(", revision ", out);
    format_text(out, version);
    fputc('\n', out);
    write_line(out, "name", field_text(report, "serverInfo"));
}

static void write_capabilities(FILE *out, const json_t *report)
{
    json_t *capabilities = json_object_get(report, "capabilities");
    const char *name, *separator = "";
    json_t *value;

    if (!json_is_object(capabilities))
        return;
    write_label(out, "has");
    json_object_foreach (capabilities, name, value) {
        fputs(separator, out);
        format_text(out, name);
        fputs(json_is_true(json_object_get(value, "listChanged")) ? " (listChanged)" : "", out);
        separator = ", ";
    }
    fprintf(out, "%s\n", separator[0] == '\0' ? "no lists" : "");
}

static void write_list(FILE *out, const json_t *report, enum kind kind)
{
    static const char *const counts[] = {"toolCount", "promptCount", "resourceCount"};
    static const char *const hashes[] = {"toolsHash", "promptsHash", "resourcesHash"};
    const json_t *count = json_object_get(report, counts[kind]);

    if (!json_is_integer(count))
        return;
    write_label(out, kind_name(kind));
    fprintf(out, "%" JSON_INTEGER_FORMAT ", hash ", json_integer_value(count));
    format_text(out, field_text(report, hashes[kind]));
    fputc('\n', out);
    json_t *items = json_object_get(report, kind_name(kind));
    for (size_t i = 0; i < json_array_size(items); i++)
        write_line(out, "", field_text(json_array_get(items, i), kind == KIND_RESOURCES ? "uri" : "name"));
}

static void write_call(FILE *out, const json_t *report)
{
    const json_t *call = json_object_get(report, "call");
    char *result = json_dumps(json_object_get(call, "result"), JSON_COMPACT | JSON_ENCODE_ANY);

    if (json_is_object(call)) {
        write_label(out, "call");
        format_text(out, field_text(call, "tool"));
        fputs(field_text(call, "error")[0] != '\0' ? " failed: " : " gave ", out);
        format_text(out, field_text(call, "error")[0] != '\0' ? field_text(call, "error")
                         : result != NULL                     ? result
                                                              : "");
        fputc('\n', out);
    }
    free(result);
}

static void write_stream(FILE *out, const json_t *report)
{
    const json_t *stream = json_object_get(report, "stream");
    json_t *changes = json_object_get(stream, "changes"), *count;
    char after[DURATION_TEXT_SIZE], held[DURATION_TEXT_SIZE];
    json_int_t resumed = json_integer_value(json_object_get(stream, "resumed"));
    const char *kind;

    if (!json_is_object(stream))
        return;
    write_label(out, "stream");
    fprintf(out, "open after %s, held for %s", duration_of(stream, "openedAfterMs", after),
            duration_of(stream, "heldMs", held));
    if (resumed > 0)
        fprintf(out, ", resumed %" JSON_INTEGER_FORMAT " times", resumed);
    fputs(", changes told:", out);
    json_object_foreach (changes, kind, count) {
        fputc(' ', out);
        format_text(out, kind);
        fprintf(out, " %" JSON_INTEGER_FORMAT, json_integer_value(count));
    }
    fputc('\n', out);
}

void probe_view(FILE *out, const json_t *report)
{
    const char *error = field_text(report, "lastError"), *state = field_text(report, "state");
    enum state known;

    write_line(out, "state", state);
    if (error[0] == '\0' && state_from_name(state, &known))
        error = state_meaning(known);
    write_line(out, "why", error);
    write_server(out, report);
    write_capabilities(out, report);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        write_list(out, report, (enum kind)kind);
    write_stream(out, report);
    write_call(out, report);
}
