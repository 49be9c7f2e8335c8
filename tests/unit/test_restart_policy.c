/* SPDX-License-Identifier: MIT */
/* When a dead child comes back: at once, later, or not by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/supervisor/restart_policy.h"

enum { RETRY_MS = 60000, MIDDLE = 20 /* dice for a factor of exactly 1 */ };

static struct restart_decision die(struct restart_history *history, uint64_t at_ms, bool was_ready)
{
    struct death death = {.at_ms = at_ms, .was_ready = was_ready};
    return restart_decide(history, &death, RETRY_MS, MIDDLE);
}

static void test_one_crash_restarts_at_once(void **state)
{
    (void)state;
    struct restart_history history = {0};
    assert_int_equal(die(&history, 1000, true).restart, RESTART_NOW);
    assert_int_equal(die(&history, 2000, true).restart, RESTART_NOW);
    /* An hour later the two are forgotten. */
    assert_int_equal(die(&history, 3600000, true).restart, RESTART_NOW);
    assert_int_equal(die(&history, 3601000, true).restart, RESTART_NOW);
}

static void test_three_in_ten_seconds_wait(void **state)
{
    (void)state;
    struct restart_history history = {0};
    die(&history, 1000, true);
    die(&history, 2000, true);
    struct restart_decision decision = die(&history, 11000, true);
    assert_int_equal(decision.restart, RESTART_LATER);
    assert_int_equal(decision.delay_ms, 500);

    history = (struct restart_history){0};
    die(&history, 1000, true);
    die(&history, 2000, true);
    assert_int_equal(die(&history, 11001, true).restart, RESTART_NOW);
}

static void test_never_ready_waits_longer_and_longer(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {500, 1000, 2000, 4000};
    struct restart_history history = {0};
    uint64_t now_ms = 1000;
    for (unsigned i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
        struct restart_decision decision = die(&history, now_ms, false);
        assert_int_equal(decision.restart, RESTART_LATER);
        assert_int_equal(decision.delay_ms, delays_ms[i]);
        now_ms += decision.delay_ms;
    }
    struct restart_decision decision = die(&history, now_ms, false);
    assert_int_equal(decision.restart, RESTART_FAIL);
    assert_int_equal(decision.delay_ms, RETRY_MS);
    /* Still hopeless when it was tried again. */
    assert_int_equal(die(&history, now_ms + RETRY_MS, false).restart, RESTART_FAIL);
    /* It came up and stayed: all is forgiven. */
    assert_int_equal(die(&history, now_ms + 10 * RETRY_MS, true).restart, RESTART_NOW);
    assert_int_equal(die(&history, now_ms + 11 * RETRY_MS, false).delay_ms, 500);
}

static void test_ten_in_a_minute_fail(void **state)
{
    (void)state;
    struct restart_history history = {0};
    for (unsigned i = 0; i < 9; i++)
        assert_int_not_equal(die(&history, 1000 + i * 6000, true).restart, RESTART_FAIL);
    struct restart_decision decision = die(&history, 61000, true);
    assert_int_equal(decision.restart, RESTART_FAIL);
    assert_int_equal(decision.delay_ms, RETRY_MS);

    history = (struct restart_history){0};
    for (unsigned i = 0; i < 9; i++)
        die(&history, 1000 + i * 6000, true);
    assert_int_not_equal(die(&history, 61001, true).restart, RESTART_FAIL);
}

static void test_wrong_configuration_is_not_tried_again(void **state)
{
    (void)state;
    struct restart_history history = {0};
    struct death death = {.at_ms = 1000, .was_ready = true, .bad_configuration = true};
    struct restart_decision decision = restart_decide(&history, &death, RETRY_MS, MIDDLE);
    assert_int_equal(decision.restart, RESTART_FAIL);
    assert_int_equal(decision.delay_ms, 0);
}

static void test_jitter_is_a_fifth(void **state)
{
    (void)state;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t dice = 0; dice < 1000; dice++) {
        struct restart_history history = {0};
        struct death death = {.at_ms = 1000};
        uint64_t delay_ms = restart_decide(&history, &death, RETRY_MS, dice * 7919).delay_ms;
        least = delay_ms < least ? delay_ms : least;
        most = delay_ms > most ? delay_ms : most;
    }
    assert_int_equal(least, 400);
    assert_int_equal(most, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_crash_restarts_at_once),
        cmocka_unit_test(test_three_in_ten_seconds_wait),
        cmocka_unit_test(test_never_ready_waits_longer_and_longer),
        cmocka_unit_test(test_ten_in_a_minute_fail),
        cmocka_unit_test(test_wrong_configuration_is_not_tried_again),
        cmocka_unit_test(test_jitter_is_a_fifth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
