/* SPDX-License-Identifier: MIT */
/* Walks over the table: each question is answered, and the loop turns in between. */
#include "broker/hub/walks.h"

#include "table_fixture.h"

enum { ROWS = 10000, FIRST = 3 };

struct answers {
    unsigned count;
    const struct bus_question *questions[WALKS_MAX + 1];
    char ids[WALKS_MAX + 1][ROW_ID_SIZE]; /* of the first server in each */
    uint32_t matching;
};

static void on_end(void *user, struct bus_question *question, const struct row_pick_options *wanted,
                   struct row_pick *pick)
{
    struct answers *answers = user;
    uint32_t count;
    assert_non_null(pick);
    const struct row_rank *rows = row_pick_rows(pick, &count);
    assert_int_equal(count, wanted->limit);
    snprintf(answers->ids[answers->count], ROW_ID_SIZE, "%s", rows[0].server_id);
    answers->matching = row_pick_matching(pick);
    answers->questions[answers->count++] = question;
}

static void count_turn(uv_check_t *check)
{
    ++*(unsigned *)check->data;
}

static void fill(struct fixture *fixture)
{
    create(fixture, ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%05u", ROWS - i);
        struct row row = row_called(id);
        assert_int_equal(table_row_reserve(fixture->table, i), 0);
        table_row_write(fixture->table, i, &row);
        table_row_set_listed(fixture->table, i, true);
    }
}

static void every_question_is_answered_while_the_loop_turns(void **state)
{
    struct fixture *fixture = *state;
    static char names[WALKS_MAX + 1]; /* questions are not looked into: any address will do */
    struct answers answers = {.count = 0};
    const struct row_pick_options wanted = {
        .filter = {.worker = -1, .state = -1}, .order = ROW_ORDER_ID, .limit = FIRST};
    struct walks *walks;
    uv_loop_t loop;
    uv_check_t check;
    unsigned turns = 0;
    fill(fixture);
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_check_init(&loop, &check);
    check.data = &turns;
    uv_check_start(&check, count_turn);
    uv_unref((uv_handle_t *)&check);
    assert_int_equal(walks_open(&loop, fixture->table, on_end, &answers, &walks), 0);
    json_t *args = json_object();
    for (unsigned i = 0; i < WALKS_MAX; i++)
        assert_int_equal(walks_add(walks, (struct bus_question *)(void *)&names[i], &wanted, args), 0);
    assert_int_equal(walks_add(walks, (struct bus_question *)(void *)&names[WALKS_MAX], &wanted, args), 1);
    json_decref(args);
    assert_int_equal(answers.count, 0);

    uv_run(&loop, UV_RUN_DEFAULT); /* ends by itself: nothing keeps the loop awake when all are answered */
    assert_int_equal(answers.count, WALKS_MAX);
    assert_int_equal(answers.matching, ROWS);
    for (unsigned i = 0; i < WALKS_MAX; i++) {
        assert_ptr_equal(answers.questions[i], &names[i]);
        assert_string_equal(answers.ids[i], "s00001");
    }
    assert_true(turns >= WALKS_MAX * 3);
    walks_close(walks);
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_question_is_answered_while_the_loop_turns, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
