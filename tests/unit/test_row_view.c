/* SPDX-License-Identifier: MIT */
/* What users see of a row and of a slot: the names of the contract, null for what is not known. */
#include "common/row_view.h"

#include "tests/unit/table_fixture.h"

static const char *const plain_names[] = {
    "serverId",   "serverName",          "workspaceId",       "userId",       "state",
    "connected",  "supportsListChanged", "reconnectAttempts", "lastActivity", "worker",
    "era",        "protocolVersion",     "serverInfo",        "toolCount",    "toolsHash",
    "generation", "published",           "connectedSince",    "nextAttempt",  "lastError",
    "source",     "transport",           "lastHeard",         "verifiedAt",
};

static void put_row(struct fixture *fixture, uint32_t row, const struct row *value)
{
    assert_int_equal(table_row_reserve(fixture->table, row), 0);
    table_row_write(fixture->table, row, value);
}

static const char *text_of(const json_t *view, const char *key)
{
    const char *text = json_string_value(json_object_get(view, key));
    return text == NULL ? "(no text)" : text;
}

static json_int_t number_of(const json_t *view, const char *key)
{
    assert_true(json_is_integer(json_object_get(view, key)));
    return json_integer_value(json_object_get(view, key));
}

static void check_null(const json_t *view, const char *key)
{
    if (!json_is_null(json_object_get(view, key))) {
        fail_msg("%s is not null", key);
    }
}

static void names_are_the_contracts(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("a");
    create(fixture, CAPACITY);
    put_row(fixture, 0, &row);
    json_t *view = row_view(fixture->table, 0, false);
    assert_non_null(view);
    assert_int_equal(json_object_size(view), ARRAY_LENGTH(plain_names));
    for (size_t i = 0; i < ARRAY_LENGTH(plain_names); i++) {
        if (json_object_get(view, plain_names[i]) == NULL) {
            fail_msg("%s is missing", plain_names[i]);
        }
    }
    json_decref(view);
}

static void what_is_not_known_is_null(void **state)
{
    static const char *const nulls[] = {
        "supportsListChanged", "lastActivity",   "worker",      "protocolVersion", "serverInfo", "toolCount",
        "toolsHash",           "connectedSince", "nextAttempt", "lastError",       "lastHeard",  "verifiedAt",
    };
    struct fixture *fixture = *state;
    struct row row = {.state = STATE_QUEUED, .server_id = "a"};
    create(fixture, CAPACITY);
    put_row(fixture, 0, &row);
    json_t *view = row_view(fixture->table, 0, true);
    for (size_t i = 0; i < ARRAY_LENGTH(nulls); i++) {
        check_null(view, nulls[i]);
    }
    check_null(view, "promptCount");
    check_null(view, "resourcesHash");
    check_null(view, "stateSince");
    assert_int_equal(json_array_size(json_object_get(view, "history")), 0);
    json_decref(view);
}

static void what_is_known_is_shown(void **state)
{
    struct fixture *fixture = *state;
    struct row row = {
        .server_id = "github",
        .server_name = "GitHub \xc3\xa4",
        .workspace_id = "w1",
        .user_id = "u1",
        .last_error = "refused",
        .server_info = "srv 1.0",
        .protocol_version = "2025-06-18",
        .state = STATE_LISTENING,
        .era = ERA_SESSION,
        .transport = TRANSPORT_HTTP,
        .source = SOURCE_RUNTIME,
        .attempts = 3,
        .last_activity_ms = 11,
        .connected_since_ms = 12,
        .next_attempt_ms = 13,
        .last_heard_ms = 14,
        .verified_ms = 15,
    };
    row.lists[KIND_TOOLS] = (struct row_list){.fingerprint = {0xab, 0xcd}, .count = 0, .advertised = 1};
    create(fixture, CAPACITY);
    put_row(fixture, 2, &row);
    table_row_set_owner(fixture->table, 2, 3, 1);
    table_change(fixture->table, 2, KIND_TOOLS, &row);
    table_change(fixture->table, 2, KIND_TOOLS, &row);
    table_set_published(fixture->table, 2, KIND_TOOLS, 1);

    json_t *view = row_view(fixture->table, 2, false);
    assert_string_equal(text_of(view, "serverId"), "github");
    assert_string_equal(text_of(view, "serverName"), "GitHub \xc3\xa4");
    assert_string_equal(text_of(view, "workspaceId"), "w1");
    assert_string_equal(text_of(view, "userId"), "u1");
    assert_string_equal(text_of(view, "state"), "listening");
    assert_true(json_is_true(json_object_get(view, "connected")));
    assert_true(json_is_true(json_object_get(view, "supportsListChanged")));
    assert_int_equal(number_of(view, "reconnectAttempts"), 3);
    assert_int_equal(number_of(view, "lastActivity"), 11);
    assert_int_equal(number_of(view, "worker"), 3);
    assert_string_equal(text_of(view, "era"), "session");
    assert_string_equal(text_of(view, "protocolVersion"), "2025-06-18");
    assert_string_equal(text_of(view, "serverInfo"), "srv 1.0");
    assert_int_equal(number_of(view, "toolCount"), 0);
    assert_string_equal(text_of(view, "toolsHash"), "00000000000000ab00000000000000cd");
    assert_int_equal(number_of(view, "generation"), 2);
    assert_int_equal(number_of(view, "published"), 1);
    assert_int_equal(number_of(view, "connectedSince"), 12);
    assert_int_equal(number_of(view, "nextAttempt"), 13);
    assert_string_equal(text_of(view, "lastError"), "refused");
    assert_string_equal(text_of(view, "source"), "runtime");
    assert_string_equal(text_of(view, "transport"), "http");
    assert_int_equal(number_of(view, "lastHeard"), 14);
    assert_int_equal(number_of(view, "verifiedAt"), 15);
    json_decref(view);
}

static void check_support(struct fixture *fixture, const struct row *row, json_type expected)
{
    put_row(fixture, 0, row);
    json_t *view = row_view(fixture->table, 0, false);
    assert_int_equal(json_typeof(json_object_get(view, "supportsListChanged")), expected);
    json_decref(view);
}

/* The flag that the server sets is a hint; what was heard counts. */
static void support_is_what_was_said_or_heard(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("a");
    create(fixture, CAPACITY);
    check_support(fixture, &row, JSON_NULL);
    row.era = ERA_STATELESS;
    check_support(fixture, &row, JSON_FALSE);
    row.lists[KIND_PROMPTS].advertised = 1;
    check_support(fixture, &row, JSON_FALSE);
    row.lists[KIND_TOOLS] = (struct row_list){.changed_ms = 1, .reason = REASON_POLL};
    check_support(fixture, &row, JSON_FALSE);
    row.lists[KIND_TOOLS].reason = REASON_NOTIFICATION;
    check_support(fixture, &row, JSON_TRUE);
    row.lists[KIND_TOOLS] = (struct row_list){.advertised = 1};
    check_support(fixture, &row, JSON_TRUE);
}

static void detail_has_history_latest_first(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("a");
    for (unsigned i = 1; i <= ROW_HISTORY + 2; i++) {
        row.history[row.history_next] =
            (struct row_change){.at_s = i, .from = STATE_QUEUED, .to = STATE_CONNECTING, .event = CONN_EVENT_ROOM};
        row.history_next = (uint8_t)((row.history_next + 1) % ROW_HISTORY);
    }
    row.events = 1u << KIND_TOOLS | 1u << KIND_RESOURCES;
    create(fixture, CAPACITY);
    put_row(fixture, 0, &row);
    json_t *view = row_view(fixture->table, 0, true);
    const json_t *history = json_object_get(view, "history");
    assert_int_equal(json_array_size(history), ROW_HISTORY);
    for (unsigned i = 0; i < ROW_HISTORY; i++) {
        assert_int_equal(number_of(json_array_get(history, i), "at"), (ROW_HISTORY + 2 - i) * 1000);
        assert_string_equal(text_of(json_array_get(history, i), "from"), "queued");
        assert_string_equal(text_of(json_array_get(history, i), "to"), "connecting");
        assert_string_equal(text_of(json_array_get(history, i), "why"), "room");
    }
    const json_t *events = json_object_get(view, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(json_string_value(json_array_get(events, 1)), "resources");
    json_decref(view);
}

/* Whatever a crashed process leaves in a row, what is shown is JSON. */
static void scribbled_row_is_shown(void **state)
{
    struct fixture *fixture = *state;
    struct row row;
    memset(&row, 0xff, sizeof(row));
    create(fixture, CAPACITY);
    put_row(fixture, 0, &row);
    json_t *view = row_view(fixture->table, 0, true);
    assert_non_null(view);
    assert_string_equal(text_of(view, "state"), "unknown");
    assert_string_equal(text_of(view, "era"), "unknown");
    assert_true(json_is_false(json_object_get(view, "connected")));
    assert_int_equal(text_of(view, "serverId")[0], '?');
    char *text = json_dumps(view, 0);
    json_t *again = json_loads(text, 0, NULL);
    assert_non_null(again);
    json_decref(again);
    free(text);
    json_decref(view);
}

static void nothing_to_see_is_null(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("a");
    create(fixture, CAPACITY);
    assert_null(row_view(fixture->table, 0, false));
    assert_null(row_view(fixture->table, CAPACITY, false));
    put_row(fixture, 0, &row);
    atomic_fetch_add(&fixture->table->rows[0].sequence, 1);
    assert_null(row_view(fixture->table, 0, false));
    assert_null(slot_view(fixture->table, 0));
}

static void states_are_counted_of_servers_that_are_there(void **state)
{
    struct fixture *fixture = *state;
    uint64_t total, unpublished;
    create(fixture, CAPACITY);
    for (uint32_t i = 0; i < 5; i++) {
        struct row row = row_called("a");
        row.state = i < 3 ? STATE_LISTENING : STATE_FAILED;
        put_row(fixture, i, &row);
        table_row_set_listed(fixture->table, i, i != 4);
        table_set_generation(fixture->table, i, KIND_PROMPTS, i);
    }
    table_set_published(fixture->table, 3, KIND_PROMPTS, 3);
    json_t *view = states_view(fixture->table, &total, &unpublished);
    assert_int_equal(total, 4);
    assert_int_equal(unpublished, 2);
    assert_int_equal(json_object_size(view), 2);
    assert_int_equal(number_of(view, "listening"), 3);
    assert_int_equal(number_of(view, "failed"), 1);
    json_decref(view);
}

static void slots_have_their_counters(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    table_slot_begin(fixture->table, 1, 4);
    table_slot_beat(fixture->table, 1, 250, 7);
    table_count(fixture->table, 1, COUNTER_CHANGES, 5);
    table_slot_begin(fixture->table, TABLE_HUB, 1);
    table_slot_end(fixture->table, TABLE_HUB);

    json_t *view = slot_view(fixture->table, 1);
    assert_int_equal(number_of(view, "worker"), 1);
    assert_int_equal(number_of(view, "pid"), getpid());
    assert_int_equal(number_of(view, "starts"), 4);
    assert_int_equal(number_of(view, "loopLagUs"), 250);
    assert_int_equal(number_of(view, "connections"), 7);
    assert_true(number_of(view, "heartbeat") >= number_of(view, "startedAt"));
    assert_int_equal(json_object_size(json_object_get(view, "counters")), COUNTER_COUNT);
    assert_int_equal(number_of(json_object_get(view, "counters"), "changes"), 5);
    json_decref(view);

    view = slot_view(fixture->table, TABLE_HUB);
    assert_string_equal(text_of(view, "worker"), "hub");
    check_null(view, "pid");
    json_decref(view);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names_are_the_contracts),         TEST(what_is_not_known_is_null),
        TEST(what_is_known_is_shown),          TEST(support_is_what_was_said_or_heard),
        TEST(detail_has_history_latest_first), TEST(scribbled_row_is_shown),
        TEST(nothing_to_see_is_null),          TEST(states_are_counted_of_servers_that_are_there),
        TEST(slots_have_their_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
