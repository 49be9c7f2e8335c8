/* SPDX-License-Identifier: MIT */
/* The order of times: against a plain search over many random sets, moves and clears. */
#include "worker/conn/timeline.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NODES = 200, STEPS = 20000 };

static void test_empty(void **unused)
{
    (void)unused;
    struct timeline timeline = {0};
    struct timeline_node node = {0};
    timeline_clear(&timeline, &node);
    assert_int_equal(timeline_next(&timeline), TIMELINE_NEVER);
    assert_null(timeline_take_due(&timeline, TIMELINE_NEVER));
    timeline_fini(&timeline);
}

static void test_takes_in_order_and_only_what_is_due(void **unused)
{
    (void)unused;
    struct timeline timeline = {0};
    struct timeline_node a = {0}, b = {0}, c = {0};
    assert_int_equal(timeline_reserve(&timeline, 3), 0);
    timeline_set(&timeline, &a, 0, 30);
    timeline_set(&timeline, &b, 0, 10);
    timeline_set(&timeline, &c, 0, 20);
    timeline_set(&timeline, &a, 0, 5); /* moved */
    assert_int_equal(timeline_next(&timeline), 5);
    assert_null(timeline_take_due(&timeline, 4));
    assert_ptr_equal(timeline_take_due(&timeline, 15), &a);
    assert_ptr_equal(timeline_take_due(&timeline, 15), &b);
    assert_null(timeline_take_due(&timeline, 15));
    timeline_set(&timeline, &c, 0, TIMELINE_NEVER);
    assert_int_equal(timeline.count, 0);
    timeline_fini(&timeline);
}

static void test_room_follows_the_nodes(void **unused)
{
    (void)unused;
    struct timeline timeline = {0};
    struct timeline_node nodes[NODES] = {{0}};
    assert_int_equal(timeline_reserve(&timeline, NODES), 0);
    size_t most = timeline.capacity;
    for (size_t i = 0; i < NODES; i++)
        timeline_set(&timeline, &nodes[i], 0, NODES - i);
    for (size_t left = NODES; left-- > 0;) {
        timeline_clear(&timeline, &nodes[left]);
        timeline_release(&timeline, left);
        assert_true(timeline.capacity >= left);
        assert_int_equal(timeline_next(&timeline), left ? NODES - left + 1 : TIMELINE_NEVER);
    }
    assert_true(timeline.capacity < most);
    assert_int_equal(timeline_reserve(&timeline, NODES), 0);
    assert_int_equal(timeline.capacity, most);
    timeline_fini(&timeline);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

static uint64_t earliest(const uint64_t *due)
{
    uint64_t least = TIMELINE_NEVER;
    for (size_t i = 0; i < NODES; i++)
        if (due[i] < least)
            least = due[i];
    return least;
}

static void test_agrees_with_a_search(void **unused)
{
    (void)unused;
    static struct timeline_node nodes[NODES];
    static uint64_t due[NODES];
    struct timeline timeline = {0};
    uint32_t random = 1;
    uint64_t now_ms = UINT32_MAX - 5000; /* so that moments begin anew on the way */
    assert_int_equal(timeline_reserve(&timeline, NODES), 0);
    for (size_t i = 0; i < NODES; i++)
        due[i] = TIMELINE_NEVER;
    for (int step = 0; step < STEPS; step++) {
        size_t i = next_random(&random) % NODES;
        uint32_t what = next_random(&random) % 4;
        if (what == 0) {
            timeline_clear(&timeline, &nodes[i]);
            due[i] = TIMELINE_NEVER;
        } else if (what == 1 && timeline_next(&timeline) != TIMELINE_NEVER) {
            uint64_t least = earliest(due);
            struct timeline_node *taken = timeline_take_due(&timeline, least);
            assert_non_null(taken);
            assert_int_equal(due[taken - nodes], least);
            now_ms = least;
            due[taken - nodes] = TIMELINE_NEVER;
        } else {
            due[i] = now_ms + next_random(&random) % 1000;
            timeline_set(&timeline, &nodes[i], now_ms, due[i]);
        }
        assert_int_equal(timeline_next(&timeline), earliest(due));
    }
    timeline_fini(&timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_takes_in_order_and_only_what_is_due),
        cmocka_unit_test(test_room_follows_the_nodes),
        cmocka_unit_test(test_agrees_with_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
