/* SPDX-License-Identifier: MIT */
/* A few at once, then as time goes by; a long rest saves nothing up. */
#include "worker/conn/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned take_all(struct pace *pace, uint64_t now_ms)
{
    unsigned taken = 0;
    while (pace_take(pace, 100, now_ms))
        taken++;
    return taken;
}

static void test_a_few_at_once_then_by_the_clock(void **unused)
{
    (void)unused;
    struct pace pace = {0};
    assert_int_equal(take_all(&pace, 5000), 10);
    assert_int_equal(take_all(&pace, 5009), 0);
    assert_int_equal(take_all(&pace, 5010), 1);
    assert_int_equal(take_all(&pace, 5060), 5);
}

static void test_rest_saves_nothing_up(void **unused)
{
    (void)unused;
    struct pace pace = {0};
    assert_int_equal(take_all(&pace, 1), 10);
    assert_int_equal(take_all(&pace, 3600000), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_few_at_once_then_by_the_clock),
        cmocka_unit_test(test_rest_saves_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
