/* SPDX-License-Identifier: MIT */
/* What a row begins with, after each way in which a broker can have ended: nothing that was told is forgotten, nothing is
 * believed that may be wrong, and no generation comes twice. */
#include "broker/hub/history.h"

#include "broker/hub/rows.h"
#include "common/table_map.h"
#include "hub_fixture.h"

enum { ROW = 3 };

struct scene {
    struct fixture *fixture;
    struct registry *registry;
    struct history history;
    char state_dir[64];
    struct server_def *def;
};

static void begin(struct scene *scene)
{
    char error[REGISTRY_ERROR_SIZE];
    create(scene->fixture, CAPACITY);
    assert_int_equal(registry_open(scene->state_dir, &scene->registry, error), 0);
    assert_int_equal(history_open(scene->registry, scene->fixture->table, &scene->history), 0);
}

static void end(struct scene *scene)
{
    registry_close(scene->registry);
    scene->registry = NULL;
}

static void lose_table(struct scene *scene)
{
    assert_int_equal(unlink(scene->fixture->file), 0);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    void *fixture;
    if (!scene || set_up(&fixture) != 0)
        return -1;
    scene->fixture = fixture;
    scene->def = def_called("a", NULL);
    snprintf(scene->state_dir, sizeof(scene->state_dir), "/dev/shm/test_history.XXXXXX");
    *state = scene;
    return mkdtemp(scene->state_dir) ? 0 : -1;
}

static int close_scene(void **state)
{
    static const char *const names[] = {"registry.db", "registry.db-wal", "registry.db-shm"};
    struct scene *scene = *state;
    void *fixture = scene->fixture;
    char path[128];
    registry_close(scene->registry);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", scene->state_dir, names[i]);
        unlink(path);
    }
    int result = rmdir(scene->state_dir);
    server_def_destroy(scene->def);
    free(scene);
    return tear_down(&fixture) || result;
}

static void store(struct scene *scene, uint64_t generation, uint64_t published, bool known)
{
    const struct registry_level level = {.generation = generation,
                                         .published = published,
                                         .seen_ms = 1000,
                                         .fingerprint = {.high = 1, .low = 2},
                                         .count = 7,
                                         .known = known};
    assert_int_equal(registry_begin(scene->registry), 0);
    assert_int_equal(registry_store_level(scene->registry, "a", KIND_TOOLS, &level), 0);
    assert_int_equal(registry_commit(scene->registry), 0);
}

static struct row_list begin_row(struct scene *scene)
{
    struct row row;
    assert_int_equal(rows_begin(scene->fixture->table, &scene->history, ROW, scene->def), 0);
    assert_int_equal(table_row_read(scene->fixture->table, ROW, &row), 0);
    return row.lists[KIND_TOOLS];
}

static uint64_t generation(const struct scene *scene)
{
    return table_generation(scene->fixture->table, ROW, KIND_TOOLS);
}

static uint64_t published(const struct scene *scene)
{
    return table_published(scene->fixture->table, ROW, KIND_TOOLS);
}

/* What conn_list takes for a history that was lost. */
static bool counts_as_changed(const struct row_list *list)
{
    return list->fingerprint.high == 0 && list->fingerprint.low == 0 && list->changed_ms != 0;
}

static void first_start_knows_nothing(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    assert_false(scene->history.doubtful);
    struct row_list list = begin_row(scene);
    assert_int_equal(list.changed_ms, 0);
    assert_int_equal(list.fingerprint.low, 0);
    assert_int_equal(generation(scene), 0);
}

static void after_leaving_in_order_the_registry_is_right(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    assert_int_equal(history_settle(&scene->history), 0);
    store(scene, 6, 5, true);
    assert_int_equal(history_leave(&scene->history), 0);
    end(scene);
    lose_table(scene);
    begin(scene);
    assert_false(scene->history.doubtful);
    struct row_list list = begin_row(scene);
    assert_int_equal(list.fingerprint.low, 2);
    assert_true(list.current);
    assert_int_equal(generation(scene), 6);
    assert_int_equal(published(scene), 5);
}

static void list_that_was_not_fetched_after_its_change_counts_as_changed(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    store(scene, 6, 6, false);
    assert_int_equal(history_leave(&scene->history), 0);
    end(scene);
    lose_table(scene);
    begin(scene);
    struct row_list list = begin_row(scene);
    assert_true(counts_as_changed(&list));
    assert_int_equal(generation(scene), published(scene));
}

static void after_a_power_failure_all_counts_as_changed(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    assert_int_equal(history_settle(&scene->history), 0);
    store(scene, 6, 5, true);
    end(scene);
    lose_table(scene);
    begin(scene);
    assert_true(scene->history.doubtful);
    struct row_list list = begin_row(scene);
    assert_true(counts_as_changed(&list));
    assert_false(list.current);
    assert_true(generation(scene) >= 6 + HISTORY_GAP);
    assert_int_equal(published(scene), generation(scene) - 1); /* it was owed, and still is */

    server_def_destroy(scene->def); /* one that was never stored may have changed, too, and been told */
    scene->def = def_called("b", NULL);
    list = begin_row(scene);
    assert_true(counts_as_changed(&list));
    assert_true(generation(scene) >= HISTORY_GAP);
    assert_int_equal(published(scene), generation(scene));

    assert_int_equal(history_settle(&scene->history), 0);
    list = begin_row(scene); /* and one that comes later is new */
    assert_int_equal(list.changed_ms, 0);
}

static void while_the_table_lives_nothing_is_in_doubt(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    assert_int_equal(history_settle(&scene->history), 0);
    end(scene);
    begin(scene);
    assert_false(scene->history.doubtful);
    assert_int_equal(scene->history.floor, 0);
}

static void removed_and_added_again_counts_on(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    assert_int_equal(history_settle(&scene->history), 0);
    begin_row(scene);
    table_set_generation(scene->fixture->table, ROW, KIND_TOOLS, 40);
    rows_clear(scene->fixture->table, &scene->history, ROW, &(struct rows_freed){0});
    begin_row(scene);
    assert_int_equal(generation(scene), 40);
    assert_int_equal(published(scene), 40);
    end(scene);
    begin(scene);
    assert_int_equal(scene->history.floor, 40);
}

static void torn_row_at_rest_counts_as_changed(void **state)
{
    struct scene *scene = *state;
    struct row row;
    begin(scene);
    assert_int_equal(history_settle(&scene->history), 0);
    begin_row(scene);
    rows_rest(scene->fixture->table, ROW, scene->def);
    assert_int_equal(table_row_read(scene->fixture->table, ROW, &row), 0);
    assert_int_equal(row.lists[KIND_TOOLS].changed_ms, 0);
    atomic_fetch_add(&scene->fixture->table->rows[ROW].sequence, 1); /* its writer was killed */
    rows_rest(scene->fixture->table, ROW, scene->def);
    assert_int_equal(table_row_read(scene->fixture->table, ROW, &row), 0);
    assert_string_equal(row.server_id, "a");
    assert_true(counts_as_changed(&row.lists[KIND_TOOLS]));
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(first_start_knows_nothing),
        SCENE_TEST(after_leaving_in_order_the_registry_is_right),
        SCENE_TEST(list_that_was_not_fetched_after_its_change_counts_as_changed),
        SCENE_TEST(after_a_power_failure_all_counts_as_changed),
        SCENE_TEST(while_the_table_lives_nothing_is_in_doubt),
        SCENE_TEST(removed_and_added_again_counts_on),
        SCENE_TEST(torn_row_at_rest_counts_as_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
