/* SPDX-License-Identifier: MIT */
/* The answers of the diagnostics socket, made from the table: what is told is what is, also when the worker that wrote it
 * hangs or is dead. A row that is being written at the moment is left out of a list, and comes with the next page or
 * question. A list is answered in pages, by row number, or has the first servers of an order: what one question may cost
 * is bounded, whoever asks.
 */
#include "broker/hub/diag_view.h"

#include "common/clock.h"
#include "common/config_view.h"
#include "common/row_view.h"

#include <string.h>
#include <unistd.h>

enum { BEAT_STALE_MS = 10000 };

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *time_or_null(uint64_t ms)
{
    return ms ? json_integer((json_int_t)ms) : json_null();
}

json_t *diag_view_ping(const struct diag_facts *facts)
{
    return json_pack("{s:I, s:s, s:s, s:I}", "pid", (json_int_t)getpid(), "version", MCP_BROKER_VERSION, "instance",
                     facts->instance, "startedAt", (json_int_t)facts->started_ms);
}

static unsigned count_running(const struct table *table)
{
    unsigned running = 0;
    uint64_t now = clock_wall_ms();
    for (int i = 0; i < table_slot_count(table); i++) {
        struct slot slot;
        table_slot_read(table, i, &slot);
        running += slot.pid != 0 && slot.heartbeat_ms + BEAT_STALE_MS > now ? 1 : 0;
    }
    return running;
}

static json_t *file_view(const struct diag_facts *facts)
{
    if (!facts->file_path)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:I}", "path", facts->file_path, "readAt", time_or_null(facts->file_read_ms),
                     "error", text_or_null(facts->file_error), "leftOut", (json_int_t)facts->file_left_out);
}

/* What has gone out since the table was made, and how much of it only because it was looked for. */
static json_t *relay_view(const struct table *table, uint64_t unpublished)
{
    static const enum counter counters[] = {COUNTER_PUBLISHED, COUNTER_PUBLISH_FAILURES, COUNTER_BELL_GAPS,
                                            COUNTER_SWEPT};
    static const char *const keys[] = {"published", "failures", "bellGaps", "swept"};
    struct slot hub;
    table_slot_read(table, TABLE_HUB, &hub);
    json_t *view = json_pack("{s:I}", "unpublished", (json_int_t)unpublished);
    for (size_t i = 0; i < ARRAY_LENGTH(counters); i++)
        (void)!json_object_set_new(view, keys[i], json_integer((json_int_t)hub.counters[counters[i]]));
    return view;
}

static json_t *configuration_view(const struct diag_facts *facts)
{
    json_t *settings = config_view(facts->config);
    json_t *view = facts->configured ? json_copy(facts->configured) : json_object();
    (void)!json_object_set_new(view, "settings", settings ? settings : json_null());
    return view;
}

json_t *diag_view_status(const struct diag_facts *facts, const struct table *table)
{
    uint64_t total, unpublished;
    json_t *states = states_view(table, &total, &unpublished);
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:I, s:o, s:{s:i, s:I, s:I}, s:{s:s, s:o}, s:o, s:s, s:o}", //
                     "version", MCP_BROKER_VERSION,                                                         //
                     "instance", facts->instance,                                                           //
                     "startedAt", (json_int_t)facts->started_ms,                                            //
                     "total", (json_int_t)total,                                                            //
                     "servers", states,                                                                     //
                     "unpublished", (json_int_t)unpublished,                                                //
                     "events", relay_view(table, unpublished),                                              //
                     "workers", "running", (int)count_running(table),                                       //
                     "configured", (json_int_t)facts->workers_configured,                                   //
                     "outOfService", (json_int_t)facts->out_of_service_count,                               //
                     "redis", "state", facts->redis_state, "error", text_or_null(facts->redis_error),       //
                     "serversFile", file_view(facts),                                                       //
                     "sandbox", facts->sandbox ? facts->sandbox : "off",                                    //
                     "configuration", configuration_view(facts));
}

static bool is_out_of_service(const struct diag_facts *facts, int slot)
{
    for (size_t i = 0; i < facts->out_of_service_count; i++) {
        if (facts->out_of_service[i] == slot)
            return true;
    }
    return false;
}

json_t *diag_view_workers(const struct diag_facts *facts, const struct table *table, const struct assign *assign)
{
    json_t *workers = json_array();
    for (int i = 0; i < table_slot_count(table); i++) {
        struct slot slot;
        table_slot_read(table, i, &slot);
        bool is_out = is_out_of_service(facts, i);
        json_t *view = slot.pid != 0 || is_out || assign_is_in_service(assign, i) ? slot_view(table, i) : NULL;
        if (view) {
            (void)!json_object_set_new(view, "outOfService", json_boolean(is_out));
            (void)!json_array_append_new(workers, view);
        }
    }
    json_t *hub = slot_view(table, TABLE_HUB);
    return json_pack("{s:o, s:o}", "hub", hub ? hub : json_null(), "workers", workers);
}

/* --- states --- */

/* An integer from 0 to `max`, or -1 when it is absent or null. False: anything else. */
static bool read_number(const json_t *args, const char *key, json_int_t max, json_int_t *out)
{
    const json_t *value = json_object_get(args, key);
    *out = -1;
    if (!value || json_is_null(value))
        return true;
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= max;
}

static bool read_text(const json_t *args, const char *key, const char **out)
{
    const json_t *value = json_object_get(args, key);
    *out = json_string_value(value);
    return !value || json_is_null(value) || *out;
}

/* NULL, or what is wrong. */
static const char *read_filter(const struct table *table, const json_t *args, struct row_filter *out)
{
    json_int_t worker;
    const char *state;
    enum state wanted;
    if (!read_number(args, "worker", table_slot_count(table) - 1, &worker))
        return "worker: the number of a worker";
    if (!read_text(args, "workspaceId", &out->workspace_id))
        return "workspaceId: a text";
    if (!read_text(args, "text", &out->text))
        return "text: a text";
    if (!read_text(args, "state", &state) || (state && !state_from_name(state, &wanted)))
        return "state: the name of a state";
    out->worker = (int)worker;
    out->state = state ? (int)wanted : -1;
    return NULL;
}

const char *diag_view_read_states(const struct table *table, const json_t *args, struct row_pick_options *out)
{
    json_int_t after, limit;
    const char *order;
    *out = (struct row_pick_options){.order = ROW_ORDER_TABLE};
    if (!read_text(args, "sort", &order) || (order && !row_order_from_name(order, &out->order)))
        return "sort: the name of an order";
    if (!read_number(args, "after", UINT32_MAX - 1, &after) || (order && after >= 0))
        return "after: what `next` of the page before says; not with sort";
    if (!read_number(args, "limit", QUESTION_PAGE, &limit) || limit == 0)
        return "limit: a number from 1 to 1000";
    out->begin = (uint32_t)(after + 1);
    out->limit = limit > 0 ? (uint32_t)limit : QUESTION_PAGE;
    return read_filter(table, args, &out->filter);
}

json_t *diag_view_states(const struct table *table, const struct row_pick_options *wanted, struct row_pick *pick)
{
    uint32_t count;
    const struct row_rank *rows = row_pick_rows(pick, &count);
    bool is_sorted = wanted->order != ROW_ORDER_TABLE;
    bool is_full = !is_sorted && count == wanted->limit;
    json_t *servers = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t *view = row_view(table, rows[i].row, false);
        if (view)
            (void)!json_array_append_new(servers, view);
    }
    return json_pack("{s:o, s:o, s:o}", "servers", servers,                             //
                     "next", is_full ? json_integer(rows[count - 1].row) : json_null(), //
                     "matching", is_sorted ? json_integer(row_pick_matching(pick)) : json_null());
}

/* --- one server --- */

json_t *diag_view_show(const struct table *table, uint32_t row)
{
    return row_view(table, row, true);
}

json_t *diag_view_brief(const struct table *table, const struct roster *roster, uint32_t row)
{
    struct row value;
    unsigned state = table_row_read(table, row, &value) == 0 ? value.state : STATE_COUNT;
    return json_pack("{s:s, s:s}", "serverId", roster_def(roster, row)->id, "state", state_name(state));
}

bool diag_view_verdict(const struct row *row, enum question_error *error)
{
    switch ((enum state)row->state) {
    case STATE_LISTENING:
    case STATE_POLLING:
    case STATE_DISABLED:
        *error = QUESTION_OK;
        return true;
    case STATE_UNSUPPORTED:
        *error = QUESTION_UNSUPPORTED;
        return true;
    case STATE_UNAUTHORIZED:
        *error = QUESTION_UNAUTHORIZED;
        return true;
    case STATE_REFUSED:
        *error = QUESTION_REFUSED;
        return true;
    case STATE_BACKOFF:
    case STATE_FAILED:
        *error = QUESTION_FAILED;
        return true;
    case STATE_QUEUED: /* with an error: not just on its way, but out of room */
        *error = QUESTION_LIMIT;
        return row->last_error[0] != '\0';
    case STATE_NONE:
    case STATE_CONNECTING:
    case STATE_COUNT:
        break;
    }
    return false;
}
