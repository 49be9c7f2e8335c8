/* SPDX-License-Identifier: MIT */
/* The limits: each alone, their order, what is given back, and the counts after many random histories. */
#include "worker/conn/admission.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct admission *make(uint64_t connections, uint64_t connecting, uint64_t per_host)
{
    struct admission_limits limits = {connections, connecting, per_host};
    struct admission *admission = admission_create(&limits);
    assert_non_null(admission);
    return admission;
}

static void test_held_ones_count_from_the_first_byte(void **unused)
{
    (void)unused;
    struct admission *admission = make(2, 10, 0);
    struct admission_node a = {0}, b = {0}, c = {0};
    assert_int_equal(admission_ask(admission, &a, "h"), 0);
    assert_int_equal(admission_ask(admission, &b, "h"), 0);
    assert_true(admission_is_full(admission));
    assert_int_equal(admission_ask(admission, &c, "h"), ADMISSION_FULL);
    admission_hold(admission, &a);
    assert_null(admission_next(admission)); /* held is held */
    admission_let_go(admission);
    assert_ptr_equal(admission_next(admission), &c);
    assert_null(admission_next(admission));
    admission_release(admission, &b);
    admission_release(admission, &c);
    admission_release(admission, &c); /* idle already */
    assert_int_equal(admission_connections(admission), 0);
    admission_destroy(admission);
}

static void test_waiting_is_in_order_and_nobody_overtakes(void **unused)
{
    (void)unused;
    struct admission *admission = make(10, 1, 0);
    struct admission_node nodes[5] = {0};
    assert_int_equal(admission_ask(admission, &nodes[0], "a"), 0);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(admission_ask(admission, &nodes[i], "b"), ADMISSION_PACED);
    admission_hold(admission, &nodes[0]);
    assert_int_equal(admission_ask(admission, &nodes[4], "c"), ADMISSION_PACED); /* others are first */
    admission_release(admission, &nodes[2]);                                     /* waits no more */
    static const size_t order[] = {1, 3, 4};
    for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
        assert_ptr_equal(admission_next(admission), &nodes[order[i]]);
        assert_null(admission_next(admission));
        admission_hold(admission, &nodes[order[i]]);
    }
    for (size_t i = 0; i < 4; i++)
        admission_let_go(admission);
    admission_destroy(admission);
}

static void test_a_slow_host_does_not_hold_up_the_others(void **unused)
{
    (void)unused;
    struct admission *admission = make(100, 100, 2);
    struct admission_node slow[4] = {0}, quick = {0};
    assert_int_equal(admission_ask(admission, &slow[0], "slow"), 0);
    assert_int_equal(admission_ask(admission, &slow[1], "slow"), 0);
    assert_int_equal(admission_ask(admission, &slow[2], "slow"), ADMISSION_PACED);
    assert_int_equal(admission_ask(admission, &slow[3], "slow"), ADMISSION_PACED);
    assert_int_equal(admission_ask(admission, &quick, "quick"), 0);
    assert_null(admission_next(admission));
    admission_hold(admission, &slow[1]); /* under way no more */
    assert_ptr_equal(admission_next(admission), &slow[2]);
    assert_null(admission_next(admission));
    struct admission_limits wider = {100, 100, 0};
    admission_set_limits(admission, &wider);
    assert_ptr_equal(admission_next(admission), &slow[3]);
    for (size_t i = 0; i < 4; i++)
        admission_release(admission, &slow[i]);
    admission_release(admission, &quick);
    admission_let_go(admission);
    admission_destroy(admission);
}

enum { NODES = 60, STEPS = 20000, CONNECTIONS = 25, CONNECTING = 9, PER_HOST = 3, HOSTS = 5 };

static void test_limits_hold_whatever_happens(void **unused)
{
    (void)unused;
    static struct admission_node nodes[NODES];
    static bool is_held[NODES];
    struct admission *admission = make(CONNECTIONS, CONNECTING, PER_HOST);
    uint32_t random = 7;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525U + 1013904223U;
        size_t i = (random >> 8) % NODES;
        char host[8];
        snprintf(host, sizeof(host), "h%u", (unsigned)(i % HOSTS));
        uint32_t what = (random >> 24) % 3;
        if (what == 0 && nodes[i].phase == ADMISSION_IDLE && !is_held[i]) {
            assert_true(admission_ask(admission, &nodes[i], host) >= 0);
        } else if (what == 1 && nodes[i].phase == ADMISSION_UNDER_WAY) {
            admission_hold(admission, &nodes[i]);
            is_held[i] = true;
        } else if (what == 2 && is_held[i]) {
            admission_let_go(admission);
            is_held[i] = false;
        } else if (what == 2) {
            admission_release(admission, &nodes[i]);
        }
        while (admission_next(admission)) {
        }
        unsigned phases[3] = {0}, held = 0, per_host[HOSTS] = {0};
        for (size_t n = 0; n < NODES; n++) {
            phases[nodes[n].phase]++;
            held += is_held[n];
            per_host[n % HOSTS] += nodes[n].phase == ADMISSION_UNDER_WAY;
        }
        unsigned connections = phases[ADMISSION_UNDER_WAY] + held;
        assert_in_range(connections, 0, CONNECTIONS);
        assert_in_range(phases[ADMISSION_UNDER_WAY], 0, CONNECTING);
        assert_int_equal(admission_connections(admission), connections);
        assert_int_equal(admission_waiting(admission), phases[ADMISSION_WAITING]);
        for (size_t n = 0; n < NODES; n++) {
            assert_in_range(per_host[n % HOSTS], 0, PER_HOST);
            /* who waits has a reason */
            bool room = connections < CONNECTIONS && phases[ADMISSION_UNDER_WAY] < CONNECTING;
            assert_false(nodes[n].phase == ADMISSION_WAITING && room && per_host[n % HOSTS] < PER_HOST);
        }
    }
    for (size_t i = 0; i < NODES; i++) {
        admission_release(admission, &nodes[i]);
        if (is_held[i])
            admission_let_go(admission);
    }
    admission_destroy(admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_ones_count_from_the_first_byte),
        cmocka_unit_test(test_waiting_is_in_order_and_nobody_overtakes),
        cmocka_unit_test(test_a_slow_host_does_not_hold_up_the_others),
        cmocka_unit_test(test_limits_hold_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
