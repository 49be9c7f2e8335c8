/* SPDX-License-Identifier: MIT */
/* Every time within reach comes back whole, wherever the lower half begins anew. */
#include "worker/conn/moment.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint64_t DAY_MS = UINT64_C(24) * 60 * 60 * 1000;

static void test_comes_back(void **unused)
{
    (void)unused;
    const uint64_t now[] = {0, 1000, UINT32_MAX, UINT64_C(1) << 32, 30 * DAY_MS, 4000 * DAY_MS};
    const uint64_t wait[] = {0, 1, DAY_MS, 24 * DAY_MS, 25 * DAY_MS, 45 * DAY_MS};
    for (size_t i = 0; i < ARRAY_LENGTH(now); i++)
        for (size_t j = 0; j < ARRAY_LENGTH(wait); j++)
            assert_int_equal(moment_ms(moment_of(now[i] + wait[j]), now[i]), now[i] + wait[j]);
}

static void test_what_is_over_is_not_to_come(void **unused)
{
    (void)unused;
    const uint64_t then = (UINT64_C(1) << 32) - 1;
    for (uint64_t late_ms = 0; late_ms <= MOMENT_PAST_MS; late_ms += MOMENT_PAST_MS / 8)
        assert_int_equal(moment_ms(moment_of(then), then + late_ms), then);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_what_is_over_is_not_to_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
