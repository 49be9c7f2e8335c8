/* SPDX-License-Identifier: MIT */
/* Rows and slots as JSON. The hub's answers and the command line (which reads the table by itself when no process is
 * alive) both come from here, so that a user never sees two spellings of one thing.
 *
 * What a row says may have been scribbled on: numbers out of range have names all the same. What is not known is null, never 0 or "". */
#include "common/row_view.h"

#include "common/event.h"

#include <string.h>

/* jansson refuses NULL as a value and as an object, and frees what it refuses; so an object is built without looking, and
 * judged once, at its end. */
struct view {
    json_t *object;
    bool failed;
};

static struct view view_begin(void)
{
    json_t *object = json_object();
    return (struct view){.object = object, .failed = object == NULL};
}

static void put(struct view *view, const char *key, json_t *value)
{
    if (json_object_set_new(view->object, key, value) != 0) {
        view->failed = true;
    }
}

static json_t *view_end(struct view *view)
{
    if (view->failed) {
        json_decref(view->object);
        return NULL;
    }
    return view->object;
}

static json_t *text_or_null(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *number_or_null(uint64_t value)
{
    return value == 0 ? json_null() : number(value);
}

static bool list_seen(const struct row_list *list)
{
    return list->fingerprint.high != 0 || list->fingerprint.low != 0;
}

static json_t *count_value(const struct row_list *list)
{
    return list_seen(list) ? number(list->count) : json_null();
}

static json_t *hash_value(const struct row_list *list)
{
    char text[FINGERPRINT_TEXT_SIZE];
    return list_seen(list) ? json_string(fingerprint_format(list->fingerprint, text)) : json_null();
}

/* The server's word is a hint, what was heard from it is proof; before it was reached there is neither. */
static json_t *supports_list_changed(const struct row *row)
{
    const struct row_list *tools = &row->lists[KIND_TOOLS];
    bool heard = tools->changed_ms != 0 && tools->reason == REASON_NOTIFICATION;
    if (row->era == ERA_UNKNOWN && !heard) {
        return json_null();
    }
    return json_boolean(heard || tools->advertised != 0);
}

static json_t *events_value(const struct row *row)
{
    json_t *names = json_array();
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if ((row->events & 1U << kind) != 0 && json_array_append_new(names, json_string(kind_name(kind))) != 0) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

static json_t *history_value(const struct row *row)
{
    json_t *changes = json_array();
    for (unsigned i = 1; i <= ROW_HISTORY; i++) {
        const struct row_change *change =
            &row->history[(row->history_next % ROW_HISTORY + ROW_HISTORY - i) % ROW_HISTORY];
        if (change->at_s == 0) {
            break;
        }
        struct view entry = view_begin();
        put(&entry, "at", number(change->at_s * UINT64_C(1000)));
        put(&entry, "from", json_string(state_name(change->from)));
        put(&entry, "to", json_string(state_name(change->to)));
        put(&entry, "why", json_string(conn_event_name(change->event)));
        if (json_array_append_new(changes, view_end(&entry)) != 0) {
            json_decref(changes);
            return NULL;
        }
    }
    return changes;
}

static void put_detail(struct view *view, const struct table *table, uint32_t number_of_row, const struct row *row)
{
    const struct row_list *prompts = &row->lists[KIND_PROMPTS], *resources = &row->lists[KIND_RESOURCES];
    put(view, "promptCount", count_value(prompts));
    put(view, "promptsHash", hash_value(prompts));
    put(view, "promptsGeneration", number(table_generation(table, number_of_row, KIND_PROMPTS)));
    put(view, "promptsPublished", number(table_published(table, number_of_row, KIND_PROMPTS)));
    put(view, "resourceCount", count_value(resources));
    put(view, "resourcesHash", hash_value(resources));
    put(view, "resourcesGeneration", number(table_generation(table, number_of_row, KIND_RESOURCES)));
    put(view, "resourcesPublished", number(table_published(table, number_of_row, KIND_RESOURCES)));
    put(view, "events", events_value(row));
    put(view, "notifications", number(row->notifications));
    put(view, "connects", number(row->connects));
    put(view, "stateSince", number_or_null(row->state_since_ms));
    put(view, "history", history_value(row));
}

json_t *row_view(const struct table *table, uint32_t row, bool detail)
{
    struct row value;
    uint32_t incarnation;
    if (table_row_read(table, row, &value) != 0 || value.state == STATE_NONE) {
        return NULL;
    }
    int worker = table_row_owner(table, row, &incarnation);
    const struct row_list *tools = &value.lists[KIND_TOOLS];

    struct view view = view_begin();
    put(&view, "serverId", json_string(value.server_id));
    put(&view, "serverName", json_string(value.server_name));
    put(&view, "workspaceId", json_string(value.workspace_id));
    put(&view, "userId", json_string(value.user_id));
    put(&view, "state", json_string(state_name(value.state)));
    put(&view, "connected", json_boolean(state_is_connected(value.state)));
    put(&view, "supportsListChanged", supports_list_changed(&value));
    put(&view, "reconnectAttempts", number(value.attempts));
    put(&view, "lastActivity", number_or_null(value.last_activity_ms));
    put(&view, "worker", worker == TABLE_NO_OWNER ? json_null() : json_integer(worker));
    put(&view, "era", json_string(era_name(value.era)));
    put(&view, "protocolVersion", text_or_null(value.protocol_version));
    put(&view, "serverInfo", text_or_null(value.server_info));
    put(&view, "toolCount", count_value(tools));
    put(&view, "toolsHash", hash_value(tools));
    put(&view, "generation", number(table_generation(table, row, KIND_TOOLS)));
    put(&view, "published", number(table_published(table, row, KIND_TOOLS)));
    put(&view, "connectedSince", number_or_null(value.connected_since_ms));
    put(&view, "nextAttempt", number_or_null(value.next_attempt_ms));
    put(&view, "lastError", text_or_null(value.last_error));
    put(&view, "source", json_string(source_name(value.source)));
    put(&view, "transport", json_string(transport_name(value.transport)));
    put(&view, "lastHeard", number_or_null(value.last_heard_ms));
    put(&view, "verifiedAt", number_or_null(value.verified_ms));
    if (detail) {
        put_detail(&view, table, row, &value);
    }
    return view_end(&view);
}

json_t *states_view(const struct table *table, uint64_t *total, uint64_t *unpublished)
{
    uint64_t counts[STATE_COUNT] = {0};
    *total = *unpublished = 0;
    for (uint32_t row = 0; row < table_capacity(table); row++) {
        if (!table_row_is_listed(table, row)) {
            continue;
        }
        unsigned state = table_row_state(table, row);
        ++*total;
        counts[state < STATE_COUNT ? state : STATE_NONE]++;
        for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
            *unpublished += table_generation(table, row, kind) > table_published(table, row, kind) ? 1 : 0;
        }
    }
    struct view view = view_begin();
    for (unsigned state = STATE_NONE + 1; state < STATE_COUNT; state++) {
        if (counts[state] > 0) {
            put(&view, state_name(state), number(counts[state]));
        }
    }
    return view_end(&view);
}

json_t *slot_view(const struct table *table, int slot)
{
    struct slot value;
    table_slot_read(table, slot, &value);
    if (value.start_count == 0) {
        return NULL;
    }
    struct view counters = view_begin();
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        put(&counters, counter_name(i), number(value.counters[i]));
    }
    struct view view = view_begin();
    put(&view, "worker", slot == TABLE_HUB ? json_string("hub") : json_integer(slot));
    put(&view, "pid", number_or_null(value.pid));
    put(&view, "starts", number(value.start_count));
    put(&view, "startedAt", number_or_null(value.started_ms));
    put(&view, "heartbeat", number_or_null(value.heartbeat_ms));
    put(&view, "loopLagUs", number(value.loop_lag_us));
    put(&view, "connections", number(value.connections));
    put(&view, "counters", view_end(&counters));
    return view_end(&view);
}
