/* SPDX-License-Identifier: MIT */
/* Bells over a real bus: items reach the hub, and a bell that did not come is noticed, whether another one follows it or
 * not. Whatever the bus drops is found by this. */
#include "broker/hub/bells.h"

#include "common/bus.h"
#include "common/event.h"
#include "common/paths.h"
#include "table_fixture.h"

#include <uv.h>

enum { SLOT = 3, ROW = 7, PATIENCE_MS = 10000 };

struct scene {
    struct fixture *fixture;
    uv_loop_t loop;
    uv_timer_t limit;
    struct bells *bells;
    struct bus_pub *worker;
    unsigned items, gaps, successors;
};

static void on_item(void *user, const struct bell_item *item)
{
    struct scene *scene = user;
    assert_int_equal(item->row, ROW);
    scene->items++;
}

static void on_gap(void *user)
{
    struct scene *scene = user;
    scene->gaps++;
}

static void on_successor(void *user)
{
    struct scene *scene = user;
    scene->successors++;
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("no bell in time");
}

static int open_scene(void **state)
{
    static const struct bells_handlers handlers = {.on_item = on_item, .on_gap = on_gap, .on_successor = on_successor};
    struct scene *scene = calloc(1, sizeof(*scene));
    void *fixture;
    char path[128];
    if (!scene || set_up(&fixture) != 0 || uv_loop_init(&scene->loop) != 0)
        return -1;
    scene->fixture = fixture;
    create(scene->fixture, CAPACITY);
    table_slot_begin(scene->fixture->table, SLOT, 1);
    table_row_set_owner(scene->fixture->table, ROW, SLOT, 1);
    uv_timer_init(&scene->loop, &scene->limit);
    uv_timer_start(&scene->limit, on_limit, PATIENCE_MS, 0);
    *state = scene;
    return bells_open(&scene->loop, scene->fixture->dir, 64, scene->fixture->table, &handlers, scene, &scene->bells) ||
           paths_join(path, sizeof(path), scene->fixture->dir, PATHS_BELLS) ||
           bus_pub_open(&(struct bus_pub_options){.path = path, .end = BUS_DIAL, .queue = 16}, &scene->worker);
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    void *fixture = scene->fixture;
    bus_pub_close(scene->worker);
    bells_close(scene->bells);
    uv_close((uv_handle_t *)&scene->limit, NULL);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&scene->loop) != 0)
        return -1;
    free(scene);
    return tear_down(&fixture);
}

/* Sends a bell with one item. */
static void ring(struct scene *scene, uint64_t start_count, uint64_t sequence, uint32_t incarnation)
{
    const struct bell bell = {.slot = SLOT, .start_count = start_count, .sequence = sequence};
    const struct bell_item item = {.row = ROW, .incarnation = incarnation, .type = KIND_TOOLS};
    struct buf message;
    buf_init(&message, BELL_BYTES_MAX);
    assert_int_equal(bell_write(&message, &bell, &item, 1), 0);
    assert_int_equal(bus_pub_send(scene->worker, message.bytes, message.size), 0);
    buf_fini(&message);
}

static uint64_t heard(const struct scene *scene)
{
    struct slot hub;
    table_slot_read(scene->fixture->table, TABLE_HUB, &hub);
    return hub.counters[COUNTER_BELLS_HEARD];
}

static void until_heard(struct scene *scene, uint64_t count)
{
    while (heard(scene) < count)
        uv_run(&scene->loop, UV_RUN_ONCE);
}

/* The first bells of a connection go nowhere until it is made: rings 1 until one is heard. */
static void connect_bus(struct scene *scene)
{
    while (heard(scene) == 0) {
        ring(scene, 1, 1, 1);
        usleep(1000); /* so that repetitions do not pile up */
        uv_run(&scene->loop, UV_RUN_NOWAIT);
    }
    ring(scene, 1, 2, 1);
    unsigned before = 0;
    while (before != scene->items) { /* until the repetitions are through */
        before = scene->items;
        uint64_t count = heard(scene);
        ring(scene, 1, 2, 1);
        until_heard(scene, count + 1);
    }
}

static void items_are_told_and_those_of_former_servers_are_not(void **state)
{
    struct scene *scene = *state;
    connect_bus(scene);
    unsigned items = scene->items;
    uint64_t count = heard(scene);
    ring(scene, 1, 3, 0);
    ring(scene, 1, 4, 1);
    until_heard(scene, count + 2);
    assert_int_equal(scene->items, items + 1);
    assert_int_equal(scene->gaps, 0);
}

static void gap_between_two_is_noticed(void **state)
{
    struct scene *scene = *state;
    connect_bus(scene);
    ring(scene, 1, 5, 1);
    while (scene->gaps == 0)
        uv_run(&scene->loop, UV_RUN_ONCE);
    assert_int_equal(scene->gaps, 1);
    uint64_t count = heard(scene);
    ring(scene, 1, 4, 1); /* late is not lost */
    ring(scene, 1, 6, 1);
    until_heard(scene, count + 2);
    assert_int_equal(scene->gaps, 1);
    ring(scene, 2, 9, 1); /* of a process that has not the slot */
    until_heard(scene, count + 3);
    assert_int_equal(scene->gaps, 1);
    struct slot hub;
    table_slot_read(scene->fixture->table, TABLE_HUB, &hub);
    assert_int_equal(hub.counters[COUNTER_BELL_GAPS], 1);
}

static void lost_one_at_the_end_is_noticed_a_second_later(void **state)
{
    struct scene *scene = *state;
    struct table *table = scene->fixture->table;
    table_next_bell(table, SLOT); /* rung, and never heard */
    bells_check_tails(scene->bells);
    assert_int_equal(scene->gaps, 0); /* it may be on its way */
    bells_check_tails(scene->bells);
    assert_int_equal(scene->gaps, 1);
    bells_check_tails(scene->bells);
    assert_int_equal(scene->gaps, 1);
}

static void another_process_is_noticed(void **state)
{
    struct scene *scene = *state;
    bells_check_tails(scene->bells);
    assert_int_equal(scene->successors, 0);
    usleep(2000); /* a process is told from another by the millisecond of its start */
    table_slot_begin(scene->fixture->table, SLOT, 2);
    bells_check_tails(scene->bells);
    assert_int_equal(scene->successors, 1);
    bells_check_tails(scene->bells);
    assert_int_equal(scene->successors, 1);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(items_are_told_and_those_of_former_servers_are_not),
        SCENE_TEST(gap_between_two_is_noticed),
        SCENE_TEST(lost_one_at_the_end_is_noticed_a_second_later),
        SCENE_TEST(another_process_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
