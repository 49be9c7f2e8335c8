/* SPDX-License-Identifier: MIT */
/* What people read. The columns are stable, so that a script can cut them, but a script should ask for --json: here
 * times are told as distances and what is not known is left out. 80 columns are enough for all but long ids and errors.
 *
 * The JSON comes from the broker of maybe another version, or from a table that a crash left behind: a field of the
 * wrong type counts as missing (jansson gives NULL or 0 for it), and no text reaches the terminal unfiltered. */
#include "broker/ctl/view.h"

#include "broker/ctl/format.h"
#include "common/compiler.h"
#include "common/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { ID_WIDTH = 24, STATE_WIDTH = 12, LINE_WIDTH_MIN = 60, DETAIL_SIZE = 512, LABEL_WIDTH = 20 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* Not negative: times and counts. 0 when there is none. */
static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));

    return number > 0 ? (uint64_t)number : 0;
}

/* "12", or "-" when it is not known. Returns `out`. */
static const char *count_of(const json_t *object, const char *key, char out[24])
{
    if (json_is_integer(json_object_get(object, key)))
        snprintf(out, 24, "%" PRIu64, number_of(object, key));
    else
        snprintf(out, 24, "-");
    return out;
}

static const char *since(uint64_t ms, uint64_t now_ms, char words[DURATION_TEXT_SIZE])
{
    return duration_words(now_ms > ms ? (now_ms - ms) / 1000 * 1000 : 0, words);
}

/* --- states --- */

void view_states_head(FILE *out)
{
    fprintf(out, "%-*s %-*s %3s %5s  %s\n", ID_WIDTH, "SERVER", STATE_WIDTH, "STATE", "W", "TOOLS", "DETAIL");
}

/* "for 3d 4h", or "next attempt in 12s, 3 failed: connection refused". */
static void write_detail(char *out, size_t size, const json_t *server, uint64_t now_ms)
{
    uint64_t connected_ms = number_of(server, "connectedSince");
    uint64_t next_ms = number_of(server, "nextAttempt");
    uint64_t attempts = number_of(server, "reconnectAttempts");
    const char *error = text_of(server, "lastError");
    char words[DURATION_TEXT_SIZE], distance[FORMAT_TIME_SIZE], failed[40] = "";

    if (json_is_true(json_object_get(server, "connected")) && connected_ms > 0) {
        snprintf(out, size, "for %s", since(connected_ms, now_ms, words));
        return;
    }
    if (attempts > 0)
        snprintf(failed, sizeof failed, "%" PRIu64 " failed", attempts);
    if (next_ms > 0)
        snprintf(out, size, "next attempt %s%s%s%s%s",
                 next_ms > now_ms ? format_distance(next_ms, now_ms, distance) : "now", failed[0] != '\0' ? ", " : "",
                 failed, error[0] != '\0' ? ": " : "", error);
    else
        snprintf(out, size, "%s%s%s", failed, failed[0] != '\0' && error[0] != '\0' ? ": " : "", error);
}

void view_state(FILE *out, const json_t *server, uint64_t now_ms, unsigned width)
{
    char detail[DETAIL_SIZE], tools[24], worker[24];
    unsigned used = ID_WIDTH + 1 + STATE_WIDTH + 1 + 3 + 1 + 5 + 2;
    bool cut = width >= LINE_WIDTH_MIN;

    write_detail(detail, sizeof detail, server, now_ms);
    format_cell(out, text_of(server, "serverId"), ID_WIDTH, cut ? ID_WIDTH : FORMAT_NO_CUT);
    fputc(' ', out);
    format_cell(out, text_of(server, "state"), STATE_WIDTH, FORMAT_NO_CUT);
    fprintf(out, " %3s %5s%s", count_of(server, "worker", worker), count_of(server, "toolCount", tools),
            detail[0] != '\0' ? "  " : "");
    format_cell(out, detail, 0, cut ? width - used : FORMAT_NO_CUT);
    fputc('\n', out);
}

/* --- show --- */

static bool is_time(const char *key)
{
    static const char *const times[] = {"connectedSince", "nextAttempt", "lastActivity", "lastHeard", "verifiedAt",
                                        "stateSince",     "at"};

    for (size_t i = 0; i < ARRAY_LENGTH(times); i++)
        if (strcmp(key, times[i]) == 0)
            return true;
    return false;
}

static void write_scalar(FILE *out, const char *key, const json_t *value, uint64_t now_ms)
{
    char distance[FORMAT_TIME_SIZE], time[FORMAT_TIME_SIZE];

    if (json_is_string(value)) {
        format_text(out, json_string_value(value));
    } else if (json_is_integer(value) && is_time(key)) {
        uint64_t ms = (uint64_t)json_integer_value(value);
        fprintf(out, "%s (%s)", format_distance(ms, now_ms, distance), format_time(ms, time));
    } else if (json_is_integer(value)) {
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "yes" : "no", out);
    }
}

/* An entry of `history`: "2026-01-31 12:00:01  connecting -> listening". */
static void write_change(FILE *out, const json_t *change)
{
    char time[FORMAT_TIME_SIZE];

    fprintf(out, "%s  ", format_time(number_of(change, "at"), time));
    format_text(out, text_of(change, "from"));
    fputs(" -> ", out);
    format_text(out, text_of(change, "to"));
}

static void write_list(FILE *out, const json_t *list)
{
    size_t i;
    const json_t *item;

    json_array_foreach (list, i, item) {
        if (json_is_object(item)) {
            fprintf(out, "%*s", i > 0 ? LABEL_WIDTH + 1 : 0, "");
            write_change(out, item);
            fputs(i + 1 < json_array_size(list) ? "\n" : "", out);
        } else {
            fputs(i > 0 ? ", " : "", out);
            write_scalar(out, "", item, 0);
        }
    }
}

void view_server(FILE *out, json_t *server, uint64_t now_ms)
{
    const char *key;
    json_t *value;

    json_object_foreach (server, key, value) {
        bool empty = json_is_string(value) && json_string_length(value) == 0;
        if (empty || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
            continue;
        format_cell(out, key, LABEL_WIDTH, FORMAT_NO_CUT);
        fputc(' ', out);
        if (json_is_array(value))
            write_list(out, value);
        else
            write_scalar(out, key, value, now_ms);
        fputc('\n', out);
    }
}

/* --- status --- */

static void write_label(FILE *out, const char *label)
{
    format_cell(out, label, 13, FORMAT_NO_CUT);
}

static void write_servers(FILE *out, const json_t *status)
{
    json_t *states = json_object_get(status, "servers");
    bool first = true;
    const char *name;
    json_t *count;

    write_label(out, "servers");
    fprintf(out, "%" PRIu64, number_of(status, "total"));
    json_object_foreach (states, name, count) {
        if (json_integer_value(count) == 0)
            continue;
        fprintf(out, "%s%" JSON_INTEGER_FORMAT " ", first ? ": " : ", ", json_integer_value(count));
        format_text(out, name);
        first = false;
    }
    fputc('\n', out);
}

static void write_error(FILE *out, const json_t *part)
{
    const char *error = text_of(part, "error");

    if (error[0] != '\0') {
        fputs(": ", out);
        format_text(out, error);
    }
    fputc('\n', out);
}

static void write_servers_file(FILE *out, const json_t *file, uint64_t now_ms)
{
    char distance[FORMAT_TIME_SIZE];
    const char *path = text_of(file, "path");
    uint64_t read_ms = number_of(file, "readAt");

    write_label(out, "servers file");
    format_text(out, path[0] != '\0' ? path : "none");
    if (read_ms > 0)
        fprintf(out, ", read %s", format_distance(read_ms, now_ms, distance));
    write_error(out, file);
}

static void write_events(FILE *out, const json_t *status)
{
    const json_t *events = json_object_get(status, "events");

    write_label(out, "events");
    fprintf(out, "%" PRIu64 " published, %" PRIu64 " owed", number_of(events, "published"),
            number_of(status, "unpublished"));
    if (number_of(events, "failures") > 0)
        fprintf(out, ", %" PRIu64 " refused or cut off by Redis", number_of(events, "failures"));
    fprintf(out, "; %" PRIu64 " gaps between bells, %" PRIu64 " events found by sweeps\n",
            number_of(events, "bellGaps"), number_of(events, "swept"));
}

/* One setting a line: its flag, and its value, which is a text, a number or yes. Nothing where none is told. */
static void write_configuration(FILE *out, json_t *configuration, uint64_t now_ms)
{
    json_t *settings = json_object_get(configuration, "settings");
    uint64_t read_ms = number_of(configuration, "readAt");
    char distance[FORMAT_TIME_SIZE];
    const char *flag;
    json_t *value;

    if (configuration == NULL)
        return;
    write_label(out, "settings");
    fprintf(out, "read %s\n", read_ms > 0 ? format_distance(read_ms, now_ms, distance) : "at an unknown time");
    json_object_foreach (settings, flag, value) {
        fprintf(out, "%13s", "");
        format_text(out, flag);
        fputc(' ', out);
        write_scalar(out, "", value, now_ms);
        fputc('\n', out);
    }
}

void view_status(FILE *out, const json_t *status, uint64_t now_ms)
{
    const json_t *workers = json_object_get(status, "workers");
    const json_t *redis = json_object_get(status, "redis");
    char words[DURATION_TEXT_SIZE];

    fputs("mcp-broker ", out);
    format_text(out, text_of(status, "version"));
    fprintf(out, ", up %s, instance ", since(number_of(status, "startedAt"), now_ms, words));
    format_text(out, text_of(status, "instance"));
    fputc('\n', out);
    write_servers(out, status);
    write_events(out, status);
    write_label(out, "workers");
    fprintf(out, "%" PRIu64 " of %" PRIu64 " running", number_of(workers, "running"), number_of(workers, "configured"));
    if (number_of(workers, "outOfService") > 0)
        fprintf(out, ", %" PRIu64 " out of service: dies again and again, see the log",
                number_of(workers, "outOfService"));
    fputc('\n', out);
    write_label(out, "redis");
    format_text(out, text_of(redis, "state"));
    write_error(out, redis);
    write_servers_file(out, json_object_get(status, "serversFile"), now_ms);
    write_configuration(out, json_object_get(status, "configuration"), now_ms);
}

/* --- workers --- */

static void view_slot(FILE *out, const json_t *slot, uint64_t now_ms)
{
    const json_t *worker = json_object_get(slot, "worker");
    const json_t *counters = json_object_get(slot, "counters");
    char name[24], pid[24], starts[24], up[DURATION_TEXT_SIZE], beat[DURATION_TEXT_SIZE], lag[32], held[24];
    bool out_of_service = json_is_true(json_object_get(slot, "outOfService"));
    bool alive = number_of(slot, "pid") > 0 && !out_of_service;

    snprintf(lag, sizeof lag, "%.1fms", (double)number_of(slot, "loopLagUs") / 1000.0);
    format_cell(out, json_is_string(worker) ? json_string_value(worker) : count_of(slot, "worker", name), 6,
                FORMAT_NO_CUT);
    fprintf(out, " %8s %6s %10s %8s %8s %7s %9" PRIu64 " %8" PRIu64 "%s\n", alive ? count_of(slot, "pid", pid) : "-",
            count_of(slot, "starts", starts), alive ? since(number_of(slot, "startedAt"), now_ms, up) : "-",
            alive ? since(number_of(slot, "heartbeat"), now_ms, beat) : "-", alive ? lag : "-",
            count_of(slot, "connections", held), number_of(counters, "connects"), number_of(counters, "changes"),
            out_of_service ? "  out of service" : "");
}

void view_workers(FILE *out, const json_t *workers, uint64_t now_ms)
{
    const json_t *list = json_object_get(workers, "workers");
    const json_t *hub = json_object_get(workers, "hub");
    const json_t *slot;
    size_t i;

    fprintf(out, "%-6s %8s %6s %10s %8s %8s %7s %9s %8s\n", "WORKER", "PID", "STARTS", "UP", "BEAT", "LAG", "HELD",
            "CONNECTS", "CHANGES");
    if (json_is_object(hub))
        view_slot(out, hub, now_ms);
    json_array_foreach (list, i, slot)
        view_slot(out, slot, now_ms);
}

/* --- watch --- */

static void write_field(FILE *out, const char *label, const char *text)
{
    if (text[0] == '\0')
        return;
    fprintf(out, " %s=", label);
    format_text(out, text);
}

static void write_number_field(FILE *out, const char *label, const json_t *fields, const char *key)
{
    if (json_is_integer(json_object_get(fields, key)))
        fprintf(out, " %s=%" PRIu64, label, number_of(fields, key));
}

static void write_diff(FILE *out, const json_t *fields, const char *key, char sign)
{
    const json_t *names = json_object_get(fields, key);
    const json_t *name;
    size_t i;

    json_array_foreach (names, i, name) {
        fprintf(out, " %c", sign);
        format_text(out, json_string_value(name));
    }
}

void view_event(FILE *out, const char *kind, const json_t *fields)
{
    const char *id = text_of(fields, "serverId"), *name = text_of(fields, "serverName");
    char clock[FORMAT_TIME_SIZE];

    fprintf(out, "%s ", format_clock(number_of(fields, "timestamp"), clock));
    format_cell(out, kind, 9, FORMAT_NO_CUT);
    fputc(' ', out);
    format_text(out, id);
    if (name[0] != '\0' && strcmp(name, id) != 0) {
        fputs(" (", out);
        format_text(out, name);
        fputc(')', out);
    }
    write_field(out, "workspace", text_of(fields, "workspaceId"));
    write_field(out, "state", text_of(fields, "state"));
    write_field(out, "reason", text_of(fields, "reason"));
    write_number_field(out, "generation", fields, "generation");
    write_number_field(out, kind, fields, "toolCount");
    write_diff(out, fields, "added", '+');
    write_diff(out, fields, "removed", '-');
    write_diff(out, fields, "changed", '~');
    write_field(out, "error", text_of(fields, "lastError"));
    fputc('\n', out);
}
