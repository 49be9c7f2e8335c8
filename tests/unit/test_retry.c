/* SPDX-License-Identifier: MIT */
/* Waits: doubling, bounds, jitter at both its ends, what servers ask for, and the guards against hot loops. */
#include "worker/conn/retry.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint32_t least = 0, middle = UINT32_MAX / 2 + 1, most = UINT32_MAX;

static void test_backoff_doubles_up_to_its_bound(void **unused)
{
    (void)unused;
    static const uint64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (unsigned i = 0; i < ARRAY_LENGTH(waits); i++) {
        assert_in_range(retry_backoff(1000, 60000, i + 1, 0, middle), waits[i] - 1, waits[i] + 1);
        assert_int_equal(retry_backoff(1000, 60000, i + 1, 0, least), waits[i] * 4 / 5);
        assert_in_range(retry_backoff(1000, 60000, i + 1, 0, most), waits[i] * 6 / 5 - 1, waits[i] * 6 / 5);
    }
    assert_in_range(retry_backoff(1000, 60000, UINT32_MAX, 0, middle), 59999, 60001);
    assert_in_range(retry_backoff(5000, 1000, 1, 0, middle), 999, 1001);
    assert_in_range(retry_backoff(3, UINT64_MAX / 2, 1000, 0, most), UINT64_MAX / 2, UINT64_MAX);
}

static void test_what_a_server_asks_for_is_a_lower_bound_within_bounds(void **unused)
{
    (void)unused;
    assert_int_equal(retry_backoff(1000, 60000, 1, 30000, most), 30000);
    assert_int_equal(retry_backoff(1000, 60000, 1, 1, least), 800);
    assert_int_equal(retry_backoff(1000, 60000, 1, UINT64_MAX, middle), RETRY_ASKED_MAX_MS);
}

static void test_jitter_is_a_fifth_each_way(void **unused)
{
    (void)unused;
    assert_int_equal(retry_jitter(900000, least), 720000);
    assert_in_range(retry_jitter(900000, most), 1079999, 1080000);
    assert_int_equal(retry_jitter(0, most), 0);
    assert_int_not_equal(retry_jitter(1, least), 0);
}

static void test_exhausted(void **unused)
{
    (void)unused;
    assert_false(retry_exhausted(9, 10));
    assert_true(retry_exhausted(10, 10));
    assert_true(retry_exhausted(11, 10));
}

static void test_a_session_is_replaced_at_once_only_once_in_a_while(void **unused)
{
    (void)unused;
    assert_true(retry_session_at_once(0, 5, 60000));
    assert_false(retry_session_at_once(1000, 1001, 60000));
    assert_false(retry_session_at_once(1000, 60999, 60000));
    assert_true(retry_session_at_once(1000, 61000, 60000));
}

static void test_spread_grows_with_the_shard(void **unused)
{
    (void)unused;
    assert_int_equal(retry_spread(0, most), 0);
    assert_in_range(retry_spread(100, most), 18, 20);
    assert_in_range(retry_spread(1000000, most), RETRY_SPREAD_MAX_MS - 1, RETRY_SPREAD_MAX_MS);
    assert_int_equal(retry_spread(1000000, least), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_doubles_up_to_its_bound),
        cmocka_unit_test(test_what_a_server_asks_for_is_a_lower_bound_within_bounds),
        cmocka_unit_test(test_jitter_is_a_fifth_each_way),
        cmocka_unit_test(test_exhausted),
        cmocka_unit_test(test_a_session_is_replaced_at_once_only_once_in_a_while),
        cmocka_unit_test(test_spread_grows_with_the_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
