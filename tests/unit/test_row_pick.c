/* SPDX-License-Identifier: MIT */
/* Which rows are picked, and which of them comes first, for each order that there is. */
#include "common/row_pick.h"

#include "table_fixture.h"

/* Three servers that differ in everything. */
static void put_three(struct fixture *fixture)
{
    static const struct {
        const char *id, *workspace;
        uint8_t state;
        uint32_t tools, attempts;
        unsigned changes;
        uint64_t connected_ms, heard_ms, next_ms;
        int owner;
    } servers[] = {
        {"b", "w2", STATE_LISTENING, 3, 0, 0, 200, 900, 0, 1},
        {"c", "w1", STATE_FAILED, 0, 10, 2, 0, 0, 5000, 0},
        {"a", "w3", STATE_LISTENING, 7, 1, 9, 100, 950, 0, 2},
    };
    for (uint32_t i = 0; i < ARRAY_LENGTH(servers); i++) {
        struct row row = row_called(servers[i].id);
        table_text(row.server_name, sizeof(row.server_name), "The Server");
        table_text(row.workspace_id, sizeof(row.workspace_id), servers[i].workspace);
        row.state = servers[i].state;
        row.lists[KIND_TOOLS].count = servers[i].tools;
        row.lists[KIND_TOOLS].fingerprint.low = servers[i].tools;
        row.attempts = servers[i].attempts;
        row.connected_since_ms = servers[i].connected_ms;
        row.last_heard_ms = servers[i].heard_ms;
        row.next_attempt_ms = servers[i].next_ms;
        assert_int_equal(table_row_reserve(fixture->table, i), 0);
        table_row_write(fixture->table, i, &row);
        table_row_set_owner(fixture->table, i, servers[i].owner, 1);
        table_row_set_listed(fixture->table, i, true);
        table_set_generation(fixture->table, i, KIND_TOOLS, servers[i].changes);
    }
}

/* The ids picked, one after the other; their first character each. */
static void check(const struct fixture *fixture, const struct row_pick_options *options, const char *expected)
{
    struct row_pick *pick;
    char ids[CAPACITY + 1] = "";
    uint32_t count;
    int result;
    assert_int_equal(row_pick_begin(options, &pick), 0);
    while ((result = row_pick_step(pick, fixture->table, 2)) == 1)
        continue;
    assert_int_equal(result, 0);
    const struct row_rank *rows = row_pick_rows(pick, &count);
    assert_true(count <= options->limit);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = rows[i].server_id[0];
    assert_string_equal(ids, expected);
    row_pick_end(pick);
}

static const struct row_filter everything = {NULL, NULL, -1, -1};

static void each_order(void **state)
{
    static const struct {
        const char *name, *expected;
    } cases[] = {
        {"id", "abc"},      {"state", "cab"},    {"worker", "cba"},    {"workspace", "cba"}, {"tools", "abc"},
        {"changes", "acb"}, {"attempts", "cab"}, {"connected", "abc"}, {"heard", "bac"},     {"next", "cab"},
    };
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    put_three(fixture);
    assert_int_equal(ARRAY_LENGTH(cases), ROW_ORDER_COUNT - 1);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct row_pick_options options = {.filter = everything, .limit = CAPACITY};
        assert_true(row_order_from_name(cases[i].name, &options.order));
        assert_string_equal(row_order_name(options.order), cases[i].name);
        check(fixture, &options, cases[i].expected);
    }
    check(fixture, &(struct row_pick_options){.filter = everything, .limit = CAPACITY}, "bca");
}

static void other_names_are_none(void **state)
{
    (void)state;
    enum row_order order;
    assert_false(row_order_from_name("", &order));
    assert_false(row_order_from_name("serverId", &order));
}

static void filters_choose(void **state)
{
    static const struct {
        struct row_filter filter;
        const char *expected;
    } cases[] = {
        {{NULL, NULL, -1, -1}, "bca"},
        {{"w1", NULL, -1, -1}, "c"},
        {{"w", NULL, -1, -1}, ""},
        {{NULL, NULL, 2, -1}, "a"},
        {{NULL, NULL, 7, -1}, ""},
        {{NULL, NULL, -1, STATE_LISTENING}, "ba"},
        {{"w1", NULL, -1, STATE_LISTENING}, ""},
        {{NULL, "W2", -1, -1}, "b"},
        {{NULL, "server", -1, -1}, "bca"},
        {{NULL, "C", -1, -1}, "c"},
        {{NULL, "none of it", -1, -1}, ""},
    };
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    put_three(fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        check(fixture, &(struct row_pick_options){.filter = cases[i].filter, .limit = CAPACITY}, cases[i].expected);
}

/* However the rows lie, and however few are wanted: as if all had been sorted. */
static void the_first_ones_are_the_first_of_all(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    for (uint32_t i = 0; i < 52; i++) {
        const uint32_t letter = i * 17 % 52;
        const char id[] = {(char)(letter < 26 ? 'A' + letter : 'a' + letter - 26), '\0'};
        struct row row = row_called(id);
        assert_int_equal(table_row_reserve(fixture->table, i), 0);
        table_row_write(fixture->table, i, &row);
        table_row_set_listed(fixture->table, i, true);
    }
    const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (uint32_t limit = 1; limit <= 60; limit++) {
        char expected[64] = "";
        snprintf(expected, sizeof(expected), "%.*s", (int)limit, all);
        check(fixture, &(struct row_pick_options){.filter = everything, .order = ROW_ORDER_ID, .limit = limit},
              expected);
    }
}

static void pages_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    put_three(fixture);
    check(fixture, &(struct row_pick_options){.filter = everything, .limit = 2}, "bc");
    check(fixture, &(struct row_pick_options){.filter = everything, .limit = 2, .begin = 2}, "a");
    check(fixture, &(struct row_pick_options){.filter = everything, .limit = 2, .begin = UINT32_MAX}, "");
}

/* A server that was taken away is not shown, though its worker still has the row; one being written is counted. */
static void only_whole_rows_of_servers_that_are_there(void **state)
{
    struct fixture *fixture = *state;
    struct row_pick_options options = {.filter = everything, .limit = CAPACITY};
    struct row_pick *pick;
    uint32_t count;
    create(fixture, CAPACITY);
    put_three(fixture);
    table_row_set_listed(fixture->table, 1, false);
    check(fixture, &options, "ba");
    atomic_fetch_add(&fixture->table->rows[2].sequence, 1);
    assert_int_equal(row_pick_begin(&options, &pick), 0);
    assert_int_equal(row_pick_step(pick, fixture->table, CAPACITY), 0);
    assert_int_equal(row_pick_rows(pick, &count)->server_id[0], 'b');
    assert_int_equal(count, 1);
    assert_int_equal(row_pick_matching(pick), 1);
    assert_int_equal(row_pick_busy(pick), 1);
    row_pick_end(pick);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_order),
        TEST(other_names_are_none),
        TEST(filters_choose),
        TEST(the_first_ones_are_the_first_of_all),
        TEST(pages_follow_each_other),
        TEST(only_whole_rows_of_servers_that_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
