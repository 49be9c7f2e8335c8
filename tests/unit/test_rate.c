/* SPDX-License-Identifier: MIT */
/* common/rate.c on a clock of the test's own. */
#include "common/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_counts_within_a_minute(void **state)
{
    (void)state;
    struct rate rate = {0};
    for (uint32_t n = 1; n <= 1000; n++)
        assert_int_equal(rate_count(&rate, 5000 + n), n);
    assert_int_equal(rate_count(&rate, 5000 + RATE_MS - 1), 1001);
    assert_int_equal(rate_count(&rate, 5000 + RATE_MS), 1);
}

/* It does not begin before there is something to count. */
static void test_a_minute_begins_with_the_first(void **state)
{
    (void)state;
    struct rate rate = {0};
    assert_int_equal(rate_count(&rate, 59000), 1);
    assert_int_equal(rate_count(&rate, 61000), 2);
    assert_int_equal(rate_count(&rate, 59000 + RATE_MS), 1);
    assert_int_equal(rate_count(&rate, 59000 + 10 * RATE_MS), 1);
}

static void test_the_ends_of_numbers(void **state)
{
    (void)state;
    struct rate rate = {.since_s = UINT32_MAX - 1, .count = 1};
    uint64_t end_ms = UINT64_C(1000) << 32;
    assert_int_equal(rate_count(&rate, end_ms - 1), 2);
    assert_int_equal(rate_count(&rate, end_ms + 1000), 3); /* its seconds have begun anew */
    rate.count = UINT32_MAX;
    assert_int_equal(rate_count(&rate, end_ms + 1000), UINT32_MAX);
    assert_int_equal(rate_count(&rate, end_ms + RATE_MS), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_within_a_minute),
        cmocka_unit_test(test_a_minute_begins_with_the_first),
        cmocka_unit_test(test_the_ends_of_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
