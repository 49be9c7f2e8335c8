/* SPDX-License-Identifier: MIT */
/* Servers are found by id and by row, whatever came and went before; rows are given away again only when released. */
#include "broker/hub/roster.h"

#include "hub_fixture.h"

enum { ROWS = 64 };

static int open_roster(void **state)
{
    struct roster *roster;
    if (roster_create(ROWS, &roster) != 0)
        return -1;
    *state = roster;
    return 0;
}

static int close_roster(void **state)
{
    roster_destroy(*state);
    return 0;
}

static const char *id_of(unsigned number)
{
    static char id[32];
    snprintf(id, sizeof(id), "server-%u", number);
    return id;
}

static uint32_t add(struct roster *roster, const char *id)
{
    uint32_t row = ROSTER_NO_ROW;
    assert_int_equal(roster_add(roster, def_called(id, NULL), &row), 0);
    return row;
}

static void added_is_found(void **state)
{
    struct roster *roster = *state;
    uint32_t a = add(roster, "a"), b = add(roster, "b");
    assert_int_not_equal(a, b);
    assert_int_equal(roster_find(roster, "a"), a);
    assert_int_equal(roster_find(roster, "b"), b);
    assert_int_equal(roster_find(roster, "c"), ROSTER_NO_ROW);
    assert_string_equal(roster_def(roster, a)->id, "a");
    assert_null(roster_def(roster, ROWS - 1));
    assert_null(roster_def(roster, UINT32_MAX));
    assert_int_equal(roster_count(roster), 2);
}

static void known_id_is_not_added_twice(void **state)
{
    struct roster *roster = *state;
    uint32_t row;
    add(roster, "a");
    struct server_def *again = def_called("a", NULL);
    assert_int_equal(roster_add(roster, again, &row), ROSTER_KNOWN);
    server_def_destroy(again);
    assert_int_equal(roster_count(roster), 1);
}

static void full_is_told_and_released_rows_are_used_again(void **state)
{
    struct roster *roster = *state;
    uint32_t row;
    for (unsigned i = 0; i < ROWS; i++)
        add(roster, id_of(i));
    struct server_def *more = def_called("more", NULL);
    assert_int_equal(roster_add(roster, more, &row), ROSTER_FULL);
    uint32_t removed = roster_find(roster, id_of(7));
    roster_remove(roster, removed);
    assert_int_equal(roster_find(roster, id_of(7)), ROSTER_NO_ROW);
    assert_true(roster_is_held(roster, removed));
    assert_int_equal(roster_add(roster, more, &row), ROSTER_FULL); /* removed, not yet released */
    roster_release(roster, removed);
    assert_int_equal(roster_add(roster, more, &row), 0);
    assert_int_equal(row, removed);
}

static void rows_in_no_use_are_forgotten_and_used_again(void **state)
{
    struct roster *roster = *state;
    for (unsigned i = 0; i < ROWS; i++)
        add(roster, id_of(i));
    uint32_t kept = roster_find(roster, id_of(ROWS / 2));
    for (unsigned i = 0; i < ROWS; i++) {
        if (i == kept)
            continue;
        roster_remove(roster, i);
        assert_true(roster_is_in_use(roster, i));
        roster_release(roster, i);
        assert_false(roster_is_in_use(roster, i));
    }
    roster_forget(roster, 0, kept);
    roster_forget(roster, kept + 1, ROWS);
    assert_true(roster_is_in_use(roster, kept));
    assert_int_equal(roster_find(roster, id_of(ROWS / 2)), kept);
    for (unsigned i = 1; i < ROWS; i++)
        add(roster, id_of(ROWS + i));
    assert_int_equal(roster_count(roster), ROWS);
}

static void begins_anew_when_nobody_has_a_row(void **state)
{
    struct roster *roster = *state;
    for (unsigned i = 0; i < ROWS; i++)
        add(roster, id_of(i));
    for (unsigned i = 0; i < ROWS; i++) {
        roster_remove(roster, i);
        assert_int_equal(roster_end(roster), ROWS);
        roster_release(roster, i);
    }
    assert_int_equal(roster_end(roster), 0);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(roster_find(roster, id_of(i)), ROSTER_NO_ROW);
        assert_int_equal(add(roster, id_of(i)), i);
    }
}

static void removed_id_may_come_again_at_another_row(void **state)
{
    struct roster *roster = *state;
    uint32_t before = add(roster, "a");
    roster_remove(roster, before);
    uint32_t after = add(roster, "a");
    assert_int_not_equal(before, after);
    assert_int_equal(roster_find(roster, "a"), after);
    roster_release(roster, before);
    assert_int_equal(roster_find(roster, "a"), after);
}

static void held_rows_wait_for_their_ids(void **state)
{
    struct roster *roster = *state;
    assert_int_equal(roster_hold(roster, 3, "a"), 0);
    assert_int_equal(roster_hold(roster, 5, NULL), 0);
    assert_int_equal(roster_hold(roster, 9, "b"), 0);
    assert_int_equal(roster_hold(roster, 9, "c"), ROSTER_KNOWN);
    assert_int_equal(roster_hold(roster, 10, "a"), ROSTER_KNOWN);
    assert_int_equal(roster_find(roster, "a"), ROSTER_NO_ROW);
    assert_int_equal(roster_count(roster), 0);
    assert_int_equal(roster_end(roster), 10);
    assert_int_equal(add(roster, "b"), 9);
    assert_int_equal(add(roster, "a"), 3);
    uint32_t other = add(roster, "other");
    assert_true(other != 3 && other != 5 && other != 9);
    assert_true(roster_is_held(roster, 5));
    assert_false(roster_is_held(roster, 9));
    assert_false(roster_is_held(roster, 4));
    roster_release(roster, 5);
    assert_false(roster_is_held(roster, 5));
}

static void held_id_can_be_given_up(void **state)
{
    struct roster *roster = *state;
    assert_int_equal(roster_hold(roster, 2, "a"), 0);
    roster_release(roster, 2);
    assert_int_equal(roster_find(roster, "a"), ROSTER_NO_ROW);
    uint32_t row = add(roster, "a");
    assert_int_equal(roster_find(roster, "a"), row);
}

static void replaced_keeps_its_row_and_renews_its_identity(void **state)
{
    struct roster *roster = *state;
    uint32_t row = add(roster, "a");
    assert_string_equal(buf_text(roster_identity(roster, row)),
                        "{\"serverId\":\"a\",\"serverName\":\"a\",\"workspaceId\":\"\"");
    roster_replace(roster, row, def_called("a", "{\"name\": \"A\", \"workspaceId\": \"w\"}"));
    assert_int_equal(roster_find(roster, "a"), row);
    assert_string_equal(buf_text(roster_identity(roster, row)),
                        "{\"serverId\":\"a\",\"serverName\":\"A\",\"workspaceId\":\"w\"");
}

static void taken_definition_is_the_callers(void **state)
{
    struct roster *roster = *state;
    uint32_t row = add(roster, "a");
    struct server_def *def = roster_take(roster, row);
    assert_string_equal(def->id, "a");
    assert_null(roster_def(roster, row));
    server_def_destroy(def);
}

/* Comings and goings against a plain model, so that the index by id meets every kind of hole. */
static void index_survives_comings_and_goings(void **state)
{
    struct roster *roster = *state;
    uint32_t rows[2 * ROWS];
    unsigned present = 0;
    uint32_t random = 12345;
    for (unsigned i = 0; i < 2 * ROWS; i++)
        rows[i] = ROSTER_NO_ROW;
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525U + 1013904223U;
        unsigned chosen = random >> 16 & (2 * ROWS - 1);
        if (rows[chosen] != ROSTER_NO_ROW) {
            roster_remove(roster, rows[chosen]);
            roster_release(roster, rows[chosen]);
            rows[chosen] = ROSTER_NO_ROW;
            present--;
        } else if (present < ROWS) {
            rows[chosen] = add(roster, id_of(chosen));
            present++;
        }
        unsigned looked_for = random >> 8 & (2 * ROWS - 1);
        assert_int_equal(roster_find(roster, id_of(looked_for)), rows[looked_for]);
    }
    for (unsigned i = 0; i < 2 * ROWS; i++)
        assert_int_equal(roster_find(roster, id_of(i)), rows[i]);
    assert_int_equal(roster_count(roster), present);
}

#define ROSTER_TEST(name) cmocka_unit_test_setup_teardown(name, open_roster, close_roster)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROSTER_TEST(added_is_found),
        ROSTER_TEST(known_id_is_not_added_twice),
        ROSTER_TEST(full_is_told_and_released_rows_are_used_again),
        ROSTER_TEST(rows_in_no_use_are_forgotten_and_used_again),
        ROSTER_TEST(begins_anew_when_nobody_has_a_row),
        ROSTER_TEST(removed_id_may_come_again_at_another_row),
        ROSTER_TEST(held_rows_wait_for_their_ids),
        ROSTER_TEST(held_id_can_be_given_up),
        ROSTER_TEST(replaced_keeps_its_row_and_renews_its_identity),
        ROSTER_TEST(taken_definition_is_the_callers),
        ROSTER_TEST(index_survives_comings_and_goings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
