/* SPDX-License-Identifier: MIT */
/* Who is told what, and in which order: a row has one owner at a time, moves only when the old one has let go, and work
 * that a worker has not acknowledged is told again. */
#include "broker/hub/assign.h"

#include "hub_fixture.h"

enum { START = 7, MORE = 100 };

struct scene {
    struct fixture *fixture;
    struct roster *roster;
    struct assign *assign;
    uint32_t freed[CAPACITY];
    size_t freed_count;
};

static void on_free(void *user, uint32_t row)
{
    struct scene *scene = user;
    scene->freed[scene->freed_count++] = row;
}

static void begin_process(struct scene *scene, int slot, uint64_t start_count)
{
    table_slot_begin(scene->fixture->table, slot, start_count);
    table_slot_beat(scene->fixture->table, slot, 0, 0);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    void *fixture;
    if (!scene || set_up(&fixture) != 0)
        return -1;
    scene->fixture = fixture;
    create(scene->fixture, CAPACITY);
    for (int slot = 0; slot < 4; slot++)
        begin_process(scene, slot, START);
    if (roster_create(CAPACITY, &scene->roster) != 0 ||
        assign_create(scene->fixture->table, scene->roster, on_free, scene, &scene->assign) != 0)
        return -1;
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    assign_destroy(scene->assign);
    roster_destroy(scene->roster);
    void *fixture = scene->fixture;
    free(scene);
    return tear_down(&fixture);
}

static void serve(struct scene *scene, int count)
{
    static const int slots[] = {0, 1, 2, 3};
    assign_set_slots(scene->assign, slots, (size_t)count);
}

static uint32_t add(struct scene *scene, const char *id)
{
    uint32_t row;
    assert_int_equal(roster_add(scene->roster, def_called(id, NULL), &row), 0);
    assert_int_equal(table_row_reserve(scene->fixture->table, row), 0);
    assign_put(scene->assign, row);
    return row;
}

static int owner_of(const struct scene *scene, uint32_t row)
{
    uint32_t incarnation;
    return table_row_owner(scene->fixture->table, row, &incarnation);
}

/* What the slot is told after `since`, as text: "+3 -5 r3 t3". Returns the revision to ask from. */
static uint64_t told(const struct scene *scene, int slot, uint64_t since, const char *expected)
{
    static const char marks[] = {
        [ASSIGN_PUT] = '+', [ASSIGN_DROP] = '-', [ASSIGN_RECONNECT] = 'r', [ASSIGN_TOUCH] = 't'};
    struct assign_change changes[MORE];
    char text[MORE * 8] = "";
    uint64_t upto;
    bool more;
    size_t count = assign_changes(scene->assign, slot, since, changes, MORE, &upto, &more);
    assert_false(more);
    assert_int_equal(assign_has_changes(scene->assign, slot, since), count > 0);
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%c%u", i ? " " : "", marks[changes[i].type], changes[i].row);
    }
    assert_string_equal(text, expected);
    return upto;
}

static void acknowledge(struct scene *scene, int slot, uint64_t since)
{
    assert_int_equal(assign_acknowledge(scene->assign, slot, START, since), 0);
}

static void new_servers_are_told_in_order_and_once(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint64_t since = told(scene, 0, 0, "");
    assert_true(since > 0);
    add(scene, "a");
    add(scene, "b");
    assert_int_equal(owner_of(scene, 0), 0);
    since = told(scene, 0, since, "+0 +1");
    told(scene, 0, since, "");
    add(scene, "c");
    told(scene, 0, since, "+2");
    told(scene, 0, 0, "+0 +1 +2");
    told(scene, 1, 0, "");
}

static void changed_one_goes_to_the_end(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t a = add(scene, "a");
    add(scene, "b");
    uint64_t since = told(scene, 0, 0, "+0 +1");
    assign_put(scene->assign, a);
    told(scene, 0, since, "+0");
    told(scene, 0, 0, "+1 +0");
}

static void pages_follow_each_other(void **state)
{
    struct scene *scene = *state;
    struct assign_change changes[3];
    uint64_t since = 0;
    bool more;
    serve(scene, 1);
    char id[16];
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        add(scene, id);
    }
    uint32_t next = 0;
    for (size_t expected = 3, page = 0; page < 3; page++) {
        size_t count = assign_changes(scene->assign, 0, since, changes, 3, &since, &more);
        expected = page < 2 ? 3 : 2;
        assert_int_equal(count, expected);
        assert_int_equal(more, page < 2);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(changes[i].row, next++);
    }
    told(scene, 0, since, "");
}

static void nobody_in_service_leaves_servers_waiting(void **state)
{
    struct scene *scene = *state;
    uint32_t a = add(scene, "a");
    assert_int_equal(owner_of(scene, a), TABLE_NO_OWNER);
    serve(scene, 1);
    told(scene, 0, 0, "+0");
}

static void removed_one_is_free_when_its_drop_is_acknowledged(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t a = add(scene, "a");
    uint64_t since = told(scene, 0, 0, "+0");
    roster_remove(scene->roster, a);
    assign_withdraw(scene->assign, a);
    acknowledge(scene, 0, since); /* of what was before */
    assert_int_equal(scene->freed_count, 0);
    assert_int_equal(owner_of(scene, a), 0);
    since = told(scene, 0, since, "-0");
    acknowledge(scene, 0, since);
    assert_int_equal(scene->freed_count, 1);
    assert_int_equal(owner_of(scene, a), TABLE_NO_OWNER);
    told(scene, 0, 0, "");
}

static void withdrawn_without_owner_is_free_at_once(void **state)
{
    struct scene *scene = *state;
    uint32_t a = add(scene, "a");
    roster_remove(scene->roster, a);
    assign_withdraw(scene->assign, a);
    assert_int_equal(scene->freed_count, 1);
}

static void disabled_one_is_taken_away(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t a = add(scene, "a");
    uint64_t since = told(scene, 0, 0, "+0");
    roster_replace(scene->roster, a, def_called("a", "{\"enabled\": false}"));
    assign_put(scene->assign, a);
    since = told(scene, 0, since, "-0");
    acknowledge(scene, 0, since);
    assert_int_equal(scene->freed_count, 1);
    assert_int_equal(owner_of(scene, a), TABLE_NO_OWNER);
    roster_replace(scene->roster, a, def_called("a", NULL));
    assign_put(scene->assign, a);
    told(scene, 0, since, "+0");
}

/* Ids whose owner is slot 1 as soon as there are two. */
static uint32_t add_mover(struct scene *scene)
{
    char id[16];
    for (int i = 0;; i++) {
        snprintf(id, sizeof(id), "mover%d", i);
        uint32_t row = add(scene, id);
        serve(scene, 2);
        bool moves = owner_of(scene, row) == 0 && assign_has_changes(scene->assign, 0, 0);
        struct assign_change changes[MORE];
        uint64_t upto;
        bool more, dropped = false;
        size_t count = assign_changes(scene->assign, 0, 0, changes, MORE, &upto, &more);
        for (size_t j = 0; j < count; j++)
            dropped |= changes[j].row == row && changes[j].type == ASSIGN_DROP;
        serve(scene, 1);
        if (moves && dropped)
            return row;
    }
}

static bool is_told(const struct scene *scene, int slot, uint64_t since, uint32_t row, enum assign_type type)
{
    struct assign_change changes[MORE];
    uint64_t upto;
    bool more;
    size_t count = assign_changes(scene->assign, slot, since, changes, MORE, &upto, &more);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].row == row && changes[i].type == type)
            return true;
    }
    return false;
}

static uint64_t now(const struct scene *scene, int slot)
{
    struct assign_change changes[MORE];
    uint64_t upto;
    bool more;
    (void)assign_changes(scene->assign, slot, 0, changes, MORE, &upto, &more);
    return upto;
}

static void moving_waits_for_the_old_owner(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t row = add_mover(scene);
    uint64_t since = now(scene, 0);
    serve(scene, 2);
    assert_true(is_told(scene, 0, since, row, ASSIGN_DROP));
    assert_false(is_told(scene, 1, 0, row, ASSIGN_PUT));
    assert_int_equal(owner_of(scene, row), 0);
    acknowledge(scene, 0, now(scene, 0));
    assert_int_equal(owner_of(scene, row), 1);
    assert_true(is_told(scene, 1, 0, row, ASSIGN_PUT));
    assert_false(is_told(scene, 0, 0, row, ASSIGN_DROP));
    assert_int_equal(scene->freed_count, 0);
}

static void coming_back_before_the_drop_puts_it_again(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t row = add_mover(scene);
    serve(scene, 2);
    uint64_t dropped = now(scene, 0);
    serve(scene, 1);
    assert_true(is_told(scene, 0, dropped, row, ASSIGN_PUT));
    acknowledge(scene, 0, dropped);
    assert_int_equal(owner_of(scene, row), 0);
}

static void another_process_of_the_slot_holds_nothing(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t row = add_mover(scene);
    serve(scene, 2);
    begin_process(scene, 0, START + 1);
    assert_int_equal(assign_acknowledge(scene->assign, 0, START, UINT64_MAX), ASSIGN_STALE);
    assert_int_equal(owner_of(scene, row), 0);
    assert_int_equal(assign_acknowledge(scene->assign, 0, START + 1, 0), 0);
    assert_int_equal(owner_of(scene, row), 1);
}

static void process_that_is_gone_holds_nothing(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t row = add_mover(scene);
    serve(scene, 2);
    assign_check_gone(scene->assign); /* this very process: alive */
    assert_int_equal(owner_of(scene, row), 0);
    table_slot_end(scene->fixture->table, 0);
    assign_check_gone(scene->assign);
    assert_int_equal(owner_of(scene, row), 1);
}

static void rows_are_kept_over_a_restart_of_the_hub(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t a = add(scene, "a"), b = add(scene, "b");
    assign_destroy(scene->assign);
    roster_remove(scene->roster, b);
    assert_int_equal(assign_create(scene->fixture->table, scene->roster, on_free, scene, &scene->assign), 0);
    assert_true(assign_keep(scene->assign, a));
    assert_true(assign_keep(scene->assign, b));
    assign_withdraw(scene->assign, b);
    assert_int_equal(owner_of(scene, b), 0);
    serve(scene, 1);
    uint64_t since = told(scene, 0, 0, "+0 -1");
    acknowledge(scene, 0, 0); /* the first question of a worker that lived on says nothing */
    assert_int_equal(scene->freed_count, 0);
    acknowledge(scene, 0, since);
    assert_int_equal(scene->freed_count, 1);
    assert_int_equal(scene->freed[0], b);
}

static void commands_are_told_until_acknowledged(void **state)
{
    struct scene *scene = *state;
    serve(scene, 1);
    uint32_t a = add(scene, "a");
    uint64_t before = told(scene, 0, 0, "+0");
    assert_int_equal(assign_command(scene->assign, a, ASSIGN_RECONNECT), 0);
    assert_int_equal(assign_command(scene->assign, a, ASSIGN_TOUCH), 0);
    uint64_t since = told(scene, 0, before, "r0 t0");
    told(scene, 0, before, "r0 t0");
    acknowledge(scene, 0, since);
    told(scene, 0, 0, "+0");
}

static void commands_are_bounded_and_need_an_owner(void **state)
{
    struct scene *scene = *state;
    uint32_t a = add(scene, "a");
    assert_int_equal(assign_command(scene->assign, a, ASSIGN_TOUCH), ASSIGN_UNOWNED);
    serve(scene, 1);
    for (int i = 0; i < ASSIGN_COMMANDS_MAX; i++)
        assert_int_equal(assign_command(scene->assign, a, ASSIGN_TOUCH), 0);
    assert_int_equal(assign_command(scene->assign, a, ASSIGN_TOUCH), ASSIGN_BUSY);
    acknowledge(scene, 0, UINT64_MAX);
    assert_int_equal(assign_command(scene->assign, a, ASSIGN_TOUCH), 0);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(new_servers_are_told_in_order_and_once),
        SCENE_TEST(changed_one_goes_to_the_end),
        SCENE_TEST(pages_follow_each_other),
        SCENE_TEST(nobody_in_service_leaves_servers_waiting),
        SCENE_TEST(removed_one_is_free_when_its_drop_is_acknowledged),
        SCENE_TEST(withdrawn_without_owner_is_free_at_once),
        SCENE_TEST(disabled_one_is_taken_away),
        SCENE_TEST(moving_waits_for_the_old_owner),
        SCENE_TEST(coming_back_before_the_drop_puts_it_again),
        SCENE_TEST(another_process_of_the_slot_holds_nothing),
        SCENE_TEST(process_that_is_gone_holds_nothing),
        SCENE_TEST(rows_are_kept_over_a_restart_of_the_hub),
        SCENE_TEST(commands_are_told_until_acknowledged),
        SCENE_TEST(commands_are_bounded_and_need_an_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
