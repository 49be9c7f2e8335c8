/* SPDX-License-Identifier: MIT */
/* What people read. The columns are stable, so that a script can cut them, but a script should ask for --json: here
 * times are told as distances and what is not known is left out. 80 columns are enough for all but long ids and errors.
 *
 * The JSON comes from the broker of maybe another version, or from a table that a crash left behind: a field of the
 * wrong type counts as missing (jansson gives NULL or 0 for it), and no text reaches the terminal unfiltered. */
#include "broker/ctl/view.h"

#include "broker/ctl/field.h"
#include "broker/ctl/format.h"
#include "common/compiler.h"
#include "common/duration.h"
#include "common/names.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum {
    ID_WIDTH = 24,
    ID_WIDTH_MIN = 16,
    ID_WIDTH_MAX = 48,
    STATE_WIDTH = 12,
    LINE_WIDTH_MIN = 60,
    DETAIL_SIZE = 512,
    LABEL_WIDTH = 20
};

/* "12", or "-" when it is not known. Returns `out`. */
static const char *count_of(const json_t *object, const char *key, char out[24])
{
    if (json_is_integer(json_object_get(object, key)))
        snprintf(out, 24, "%" PRIu64, field_number(object, key));
    else
        snprintf(out, 24, "-");
    return out;
}

static const char *since(uint64_t ms, uint64_t now_ms, char words[DURATION_TEXT_SIZE])
{
    return duration_words(now_ms > ms ? (now_ms - ms) / 1000 * 1000 : 0, words);
}

/* --- states --- */

/* Nearly a quarter of the screen; so 80 columns have room for the first words of an error. */
static unsigned id_width(unsigned width)
{
    unsigned share = width * 6 / 25;

    if (width == 0)
        return ID_WIDTH;
    return share < ID_WIDTH_MIN ? ID_WIDTH_MIN : share > ID_WIDTH_MAX ? ID_WIDTH_MAX : share;
}

void view_states_head(FILE *out, unsigned width)
{
    fprintf(out, "%-*s %-*s %3s %5s  %s\n", (int)id_width(width), "SERVER", STATE_WIDTH, "STATE", "W", "TOOLS",
            "DETAIL");
}

static void append(char detail[DETAIL_SIZE], const char *between, const char *text)
{
    size_t used = strlen(detail);

    if (text[0] != '\0')
        snprintf(detail + used, DETAIL_SIZE - used, "%s%s", used > 0 ? between : "", text);
}

/* "for 3d 4h, 2 changes"; or "connection refused; next attempt in 12s, 3 failed": the cause comes first, since the end may
 * be cut off. */
static void write_detail(char detail[DETAIL_SIZE], const json_t *server, uint64_t now_ms)
{
    uint64_t connected_ms = field_number(server, "connectedSince");
    uint64_t next_ms = field_number(server, "nextAttempt");
    uint64_t attempts = field_number(server, "reconnectAttempts");
    uint64_t changes = field_number(server, "generation");
    char words[DURATION_TEXT_SIZE], distance[FORMAT_TIME_SIZE], text[64];

    detail[0] = '\0';
    if (json_is_true(json_object_get(server, "connected")) && connected_ms > 0) {
        snprintf(text, sizeof text, "for %s", since(connected_ms, now_ms, words));
        append(detail, "", text);
        snprintf(text, sizeof text, "%" PRIu64 " change%s", changes, changes == 1 ? "" : "s");
        append(detail, ", ", changes > 0 ? text : "");
    }
    append(detail, "; ", field_text(server, "lastError"));
    if (next_ms > 0) {
        snprintf(text, sizeof text, "next attempt %s",
                 next_ms > now_ms ? format_distance(next_ms, now_ms, distance) : "now");
        append(detail, "; ", text);
    }
    snprintf(text, sizeof text, "%" PRIu64 " failed", attempts);
    append(detail, ", ", attempts > 0 ? text : "");
}

void view_state(FILE *out, const json_t *server, uint64_t now_ms, unsigned width)
{
    char detail[DETAIL_SIZE], tools[24], worker[24];
    unsigned used = id_width(width) + 1 + STATE_WIDTH + 1 + 3 + 1 + 5 + 2;
    bool cut = width >= LINE_WIDTH_MIN;

    write_detail(detail, server, now_ms);
    format_cell(out, field_text(server, "serverId"), id_width(width), cut ? id_width(width) : FORMAT_NO_CUT);
    fputc(' ', out);
    format_cell(out, field_text(server, "state"), STATE_WIDTH, FORMAT_NO_CUT);
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

/* "2026-01-31 12:00:01  connecting -> listening: the stream is open". */
static void write_change(FILE *out, const json_t *change)
{
    char time[FORMAT_TIME_SIZE];
    enum conn_event event;

    fprintf(out, "  %s  ", format_time(field_number(change, "at"), time));
    format_text(out, field_text(change, "from"));
    fputs(" -> ", out);
    format_text(out, field_text(change, "to"));
    if (conn_event_from_name(field_text(change, "why"), &event))
        fprintf(out, ": %s", conn_event_meaning(event));
    fputc('\n', out);
}

static void write_array(FILE *out, const json_t *array, uint64_t now_ms)
{
    const json_t *item;
    size_t i;

    json_array_foreach (array, i, item) {
        fputs(i > 0 ? ", " : "", out);
        write_scalar(out, "", item, now_ms);
    }
}

/* Most servers have neither prompts nor resources, and lists that never changed. */
static bool is_dull(const char *key, const json_t *value)
{
    bool is_of_others = strncmp(key, "prompt", 6) == 0 || strncmp(key, "resource", 8) == 0;

    return is_of_others && json_is_integer(value) && json_integer_value(value) == 0;
}

/* Nothing where nothing is known. */
static void write_member(FILE *out, const char *key, const json_t *value, uint64_t now_ms)
{
    bool is_empty = json_is_string(value) && json_string_length(value) == 0;
    enum state state;

    if (value == NULL || is_empty || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
        is_dull(key, value))
        return;
    format_cell(out, key, LABEL_WIDTH, FORMAT_NO_CUT);
    fputc(' ', out);
    if (json_is_array(value))
        write_array(out, value, now_ms);
    else
        write_scalar(out, key, value, now_ms);
    if (strcmp(key, "state") == 0 && state_from_name(json_string_value(value), &state))
        fprintf(out, ": %s", state_meaning(state));
    fputc('\n', out);
}

/* What is asked for first, in this order; all else follows as the broker has it. */
static const char *const leading[] = {"serverId",    "serverName",     "workspaceId", "userId",
                                      "state",       "stateSince",     "lastError",   "reconnectAttempts",
                                      "nextAttempt", "connectedSince", "lastHeard"};

static bool is_leading(const char *key)
{
    for (size_t i = 0; i < ARRAY_LENGTH(leading); i++)
        if (strcmp(key, leading[i]) == 0)
            return true;
    return false;
}

void view_server(FILE *out, json_t *server, uint64_t now_ms)
{
    const json_t *history = json_object_get(server, "history"), *change;
    const char *key;
    json_t *value;
    size_t i;

    for (i = 0; i < ARRAY_LENGTH(leading); i++)
        write_member(out, leading[i], json_object_get(server, leading[i]), now_ms);
    if (json_array_size(history) > 0)
        fputs("history\n", out);
    json_array_foreach (history, i, change)
        write_change(out, change);
    json_object_foreach (server, key, value)
        if (!is_leading(key) && strcmp(key, "history") != 0)
            write_member(out, key, value, now_ms);
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
    fprintf(out, "%" PRIu64, field_number(status, "total"));
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
    const char *error = field_text(part, "error");

    if (error[0] != '\0') {
        fputs(": ", out);
        format_text(out, error);
    }
    fputc('\n', out);
}

static void write_servers_file(FILE *out, const json_t *file, uint64_t now_ms)
{
    char distance[FORMAT_TIME_SIZE];
    const char *path = field_text(file, "path");
    uint64_t read_ms = field_number(file, "readAt");

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
    fprintf(out, "%" PRIu64 " published, %" PRIu64 " owed", field_number(events, "published"),
            field_number(status, "unpublished"));
    if (field_number(events, "failures") > 0)
        fprintf(out, ", %" PRIu64 " refused or cut off by Redis", field_number(events, "failures"));
    fputc('\n', out);
    write_label(out, "");
    fprintf(out, "%" PRIu64 " gaps between bells, %" PRIu64 " events found by sweeps\n",
            field_number(events, "bellGaps"), field_number(events, "swept"));
}

/* One setting a line: its flag, and its value, which is a text, a number or yes. Nothing where none is told. */
static void write_configuration(FILE *out, json_t *configuration, uint64_t now_ms)
{
    json_t *settings = json_object_get(configuration, "settings");
    const char *path = field_text(configuration, "path");
    uint64_t read_ms = field_number(configuration, "readAt");
    char distance[FORMAT_TIME_SIZE];
    const char *flag;
    json_t *value;
    size_t i;

    if (configuration == NULL)
        return;
    write_label(out, "settings");
    fprintf(out, "read %s", read_ms > 0 ? format_distance(read_ms, now_ms, distance) : "at an unknown time");
    if (path[0] != '\0') {
        fputs(", also from ", out);
        format_text(out, path);
    }
    fputc('\n', out);
    if (field_text(configuration, "error")[0] != '\0') {
        fprintf(out, "%13sthe last change is not in force", "");
        write_error(out, configuration);
    }
    json_array_foreach (json_object_get(configuration, "waiting"), i, value) {
        fprintf(out, "%13s", "");
        format_text(out, json_string_value(value));
        fputs(" has changed: waits for a restart\n", out);
    }
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
    format_text(out, field_text(status, "version"));
    fprintf(out, ", up %s, instance ", since(field_number(status, "startedAt"), now_ms, words));
    format_text(out, field_text(status, "instance"));
    fputc('\n', out);
    write_servers(out, status);
    write_events(out, status);
    write_label(out, "workers");
    fprintf(out, "%" PRIu64 " of %" PRIu64 " running", field_number(workers, "running"),
            field_number(workers, "configured"));
    if (field_number(workers, "outOfService") > 0)
        fprintf(out, ", %" PRIu64 " out of service: dies again and again, see the log",
                field_number(workers, "outOfService"));
    fputc('\n', out);
    write_label(out, "redis");
    format_text(out, field_text(redis, "state"));
    write_error(out, redis);
    write_servers_file(out, json_object_get(status, "serversFile"), now_ms);
    if (json_object_get(status, "sandbox") != NULL) {
        write_label(out, "sandbox");
        format_text(out, field_text(status, "sandbox"));
        fputc('\n', out);
    }
    write_configuration(out, json_object_get(status, "configuration"), now_ms);
}

/* --- workers --- */

static void view_slot(FILE *out, const json_t *slot, uint64_t now_ms)
{
    const json_t *worker = json_object_get(slot, "worker");
    const json_t *counters = json_object_get(slot, "counters");
    char name[24], pid[24], starts[24], up[DURATION_TEXT_SIZE], beat[DURATION_TEXT_SIZE], lag[32], held[24];
    bool out_of_service = json_is_true(json_object_get(slot, "outOfService"));
    bool alive = field_number(slot, "pid") > 0 && !out_of_service;

    snprintf(lag, sizeof lag, "%.1fms", (double)field_number(slot, "loopLagUs") / 1000.0);
    format_cell(out, json_is_string(worker) ? json_string_value(worker) : count_of(slot, "worker", name), 6,
                FORMAT_NO_CUT);
    fprintf(out, " %8s %6s %10s %8s %8s %7s %9" PRIu64 " %8" PRIu64 "%s\n", alive ? count_of(slot, "pid", pid) : "-",
            count_of(slot, "starts", starts), alive ? since(field_number(slot, "startedAt"), now_ms, up) : "-",
            alive ? since(field_number(slot, "heartbeat"), now_ms, beat) : "-", alive ? lag : "-",
            count_of(slot, "connections", held), field_number(counters, "connects"), field_number(counters, "changes"),
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
        fprintf(out, " %s=%" PRIu64, label, field_number(fields, key));
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
    const char *id = field_text(fields, "serverId"), *name = field_text(fields, "serverName");
    char clock[FORMAT_TIME_SIZE];

    fprintf(out, "%s ", format_clock(field_number(fields, "timestamp"), clock));
    format_cell(out, kind, 9, FORMAT_NO_CUT);
    fputc(' ', out);
    format_text(out, id);
    if (name[0] != '\0' && strcmp(name, id) != 0) {
        fputs(" (", out);
        format_text(out, name);
        fputc(')', out);
    }
    write_field(out, "workspace", field_text(fields, "workspaceId"));
    write_field(out, "state", field_text(fields, "state"));
    write_field(out, "reason", field_text(fields, "reason"));
    write_number_field(out, "generation", fields, "generation");
    write_number_field(out, kind, fields, "toolCount");
    write_diff(out, fields, "added", '+');
    write_diff(out, fields, "removed", '-');
    write_diff(out, fields, "changed", '~');
    write_field(out, "error", field_text(fields, "lastError"));
    fputc('\n', out);
}
