/* SPDX-License-Identifier: MIT */
/* Servers stay where they are when workers come and go, and are spread evenly. */
#include "common/shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SERVERS = 20000, SLOTS_MAX = 16 };

static const char *id_of(int server)
{
    static char id[32];
    snprintf(id, sizeof(id), "server-%d", server);
    return id;
}

static void slots_upto(int *slots, int count)
{
    for (int i = 0; i < count; i++) {
        slots[i] = i;
    }
}

static void nobody_owns_without_workers(void **state)
{
    (void)state;
    int slot = 7;
    assert_int_equal(shard_owner("a", NULL, 0), -1);
    assert_int_equal(shard_owner("a", &slot, 1), 7);
    assert_int_equal(shard_owner("", &slot, 1), 7);
}

static void order_does_not_matter(void **state)
{
    (void)state;
    const int forward[] = {0, 1, 2, 5, 9}, backward[] = {9, 5, 2, 1, 0}, mixed[] = {5, 0, 9, 2, 1};
    for (int i = 0; i < 1000; i++) {
        int owner = shard_owner(id_of(i), forward, 5);
        assert_int_equal(owner, shard_owner(id_of(i), backward, 5));
        assert_int_equal(owner, shard_owner(id_of(i), mixed, 5));
    }
}

/* Nothing moves but to the new worker, and that is its share. */
static void one_more_worker_takes_its_share_only(void **state)
{
    (void)state;
    int slots[SLOTS_MAX + 1];
    slots_upto(slots, SLOTS_MAX + 1);
    for (int count = 1; count <= SLOTS_MAX; count++) {
        int moved = 0;
        for (int i = 0; i < SERVERS; i++) {
            int before = shard_owner(id_of(i), slots, (size_t)count);
            int after = shard_owner(id_of(i), slots, (size_t)count + 1);
            if (before != after) {
                assert_int_equal(after, count);
                moved++;
            }
        }
        int share = SERVERS / (count + 1);
        assert_in_range(moved, share * 85 / 100, share * 115 / 100);
    }
}

/* The servers of a worker that goes away are the only ones that move. */
static void a_worker_less_moves_its_own_only(void **state)
{
    (void)state;
    const int all[] = {0, 1, 2, 3}, without[] = {0, 1, 3};
    for (int i = 0; i < SERVERS; i++) {
        int before = shard_owner(id_of(i), all, 4);
        int after = shard_owner(id_of(i), without, 3);
        assert_true(before == 2 ? after != 2 : after == before);
    }
}

static void shares_are_even(void **state)
{
    (void)state;
    int slots[SLOTS_MAX], shares[SLOTS_MAX] = {0};
    slots_upto(slots, SLOTS_MAX);
    for (int i = 0; i < SERVERS; i++) {
        shares[shard_owner(id_of(i), slots, SLOTS_MAX)]++;
    }
    for (int i = 0; i < SLOTS_MAX; i++) {
        assert_in_range(shares[i], SERVERS / SLOTS_MAX * 85 / 100, SERVERS / SLOTS_MAX * 115 / 100);
    }
}

/* A new version that placed servers elsewhere would move all of them when it is rolled out. */
static void placement_is_pinned(void **state)
{
    (void)state;
    int slots[8];
    slots_upto(slots, 8);
    assert_int_equal(shard_owner("github", slots, 8), 7);
    assert_int_equal(shard_owner("server-1", slots, 8), 3);
    assert_int_equal(shard_owner("", slots, 8), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_owns_without_workers),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(one_more_worker_takes_its_share_only),
        cmocka_unit_test(a_worker_less_moves_its_own_only),
        cmocka_unit_test(shares_are_even),
        cmocka_unit_test(placement_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
