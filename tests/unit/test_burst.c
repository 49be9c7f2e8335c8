/* SPDX-License-Identifier: MIT */
/* Bursts on a clock of the test's own. The last test makes many random histories and checks the one rule: after the last
 * change that was heard there is an event, or (enriched) a list fetched after it. */
#include "worker/conn/burst.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct burst_options plain = {.window_ms = 100, .enrich = false};
static const struct burst_options enriched = {.window_ms = 100, .enrich = true};

static void test_first_at_once_and_the_rest_at_the_window_end(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    unsigned published = 0, coalesced = 0;
    for (unsigned i = 0; i < 1000; i++) {
        unsigned todo = burst_heard(&burst, &plain, 1000 + i / 20);
        published += (todo & BURST_PUBLISH) != 0;
        coalesced += (todo & BURST_COALESCED) != 0;
    }
    assert_int_equal(published, 1);
    assert_int_equal(coalesced, 998);
    assert_int_equal(burst_due(&burst), 1100);
    assert_int_equal(burst_expired(&burst, &plain, 1100), BURST_PUBLISH);
    assert_int_equal(burst_expired(&burst, &plain, 1200), 0);
    assert_int_equal(burst_heard(&burst, &plain, 1300), BURST_PUBLISH);
}

static void test_list_is_fetched_once_it_has_settled(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    uint64_t now = 1000;
    unsigned fetched = 0;
    for (; now < 15000; now += 500) {
        burst_heard(&burst, &plain, now);
        if (burst_expired(&burst, &plain, now + 250) & BURST_FETCH) {
            assert_in_range(now, 1000 + BURST_SETTLE_MAX_MS - 500, 1000 + BURST_SETTLE_MAX_MS);
            fetched++;
            burst_fetched(&burst, &plain, now + 250, true, 0);
        }
    }
    assert_int_equal(fetched, 1);
    assert_true(burst_expired(&burst, &plain, now - 500 + BURST_SETTLE_MS) & BURST_FETCH);
    assert_int_equal(burst_fetched(&burst, &plain, now + 1000, true, 0), BURST_FRESH | BURST_TOLD);
    assert_int_equal(burst_due(&burst), now + 1000 + BURST_SETTLE_MS);
    assert_int_equal(burst_expired(&burst, &plain, now + 1000 + BURST_SETTLE_MS), BURST_CONFIRM);
    assert_int_equal(burst_due(&burst), UINT64_MAX);
}

static void test_list_is_not_confirmed_when_a_change_is_heard_after_it(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    burst_heard(&burst, &plain, 1000);
    burst_expired(&burst, &plain, 1100);
    assert_int_equal(burst_expired(&burst, &plain, 2000), BURST_FETCH);
    burst_fetched(&burst, &plain, 2010, true, 0);
    assert_int_equal(burst_heard(&burst, &plain, 2020), BURST_PUBLISH);
    burst_expired(&burst, &plain, 2120);
    assert_int_equal(burst_expired(&burst, &plain, 3020), BURST_FETCH);
    burst_fetched(&burst, &plain, 3030, true, 0);
    assert_true(burst_want(&burst)); /* nor when it is fetched for another reason */
    assert_int_equal(burst_fetched(&burst, &plain, 3040, true, 0), BURST_FRESH | BURST_TOLD);
    assert_int_equal(burst_expired(&burst, &plain, 4040), BURST_CONFIRM);
}

static void test_what_waits_goes_out_with_a_fresh_list(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    burst_heard(&burst, &plain, 1000);
    burst_heard(&burst, &plain, 1010);
    assert_true(burst_want(&burst));
    assert_int_equal(burst_fetched(&burst, &plain, 1020, true, 0), BURST_FRESH | BURST_TOLD | BURST_OWED);
    assert_int_equal(burst_expired(&burst, &plain, 1100), 0);
    burst_heard(&burst, &plain, 1110);
    assert_int_equal(burst_due(&burst), 1210);
}

static void test_heard_while_fetching_is_fetched_again(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    assert_true(burst_want(&burst));
    assert_false(burst_want(&burst));
    assert_int_equal(burst_fetched(&burst, &plain, 1000, true, 0), 0);
    assert_int_equal(burst_expired(&burst, &plain, 1000 + BURST_SETTLE_MS), BURST_FETCH);
    assert_int_equal(burst_heard(&burst, &plain, 3000), BURST_PUBLISH);
    assert_int_equal(burst_fetched(&burst, &plain, 3001, true, 0), BURST_TOLD);
    assert_int_equal(burst_expired(&burst, &plain, 4001), BURST_FETCH);
    assert_int_equal(burst_fetched(&burst, &plain, 4002, true, 0), BURST_FRESH | BURST_TOLD);
}

static void test_a_failed_fetch_is_tried_again(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    assert_true(burst_want(&burst));
    assert_int_equal(burst_fetched(&burst, &plain, 1000, false, 7000), 0);
    assert_int_equal(burst_due(&burst), 8000);
    assert_int_equal(burst_expired(&burst, &plain, 8000), BURST_FETCH);
}

static void test_enriched_fetches_first(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    assert_int_equal(burst_heard(&burst, &enriched, 1000), BURST_FETCH);
    assert_int_equal(burst_fetched(&burst, &enriched, 1010, true, 0), BURST_FRESH | BURST_OWED);
    assert_int_equal(burst_heard(&burst, &enriched, 1020), 0); /* within the window */
    assert_int_equal(burst_heard(&burst, &enriched, 1030), BURST_COALESCED);
    assert_int_equal(burst_due(&burst), 1100);
    assert_int_equal(burst_expired(&burst, &enriched, 1100), BURST_FETCH);
    assert_int_equal(burst_heard(&burst, &enriched, 1105), 0); /* while fetching */
    assert_int_equal(burst_fetched(&burst, &enriched, 1110, true, 0), BURST_OWED);
    assert_int_equal(burst_expired(&burst, &enriched, 1200), BURST_FETCH);
    assert_int_equal(burst_fetched(&burst, &enriched, 1210, true, 0), BURST_FRESH | BURST_OWED);
}

static void test_enriched_gives_up_waiting(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    assert_int_equal(burst_heard(&burst, &enriched, 1000), BURST_FETCH);
    burst_expired(&burst, &enriched, 1100);
    assert_int_equal(burst_due(&burst), 1000 + BURST_LIST_MAX_MS);
    assert_int_equal(burst_expired(&burst, &enriched, 6000), BURST_PUBLISH);
    assert_int_equal(burst_fetched(&burst, &enriched, 7000, true, 0), BURST_FRESH | BURST_TOLD);

    assert_int_equal(burst_heard(&burst, &enriched, 8000), BURST_FETCH);
    assert_int_equal(burst_fetched(&burst, &enriched, 8001, false, 5000), BURST_PUBLISH);
    assert_int_equal(burst_expired(&burst, &enriched, 13001), BURST_FETCH);
}

static void test_flush_tells_what_is_owed_once(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    burst_heard(&burst, &plain, 1000);
    assert_false(burst_flush(&burst));
    burst_heard(&burst, &plain, 1010);
    assert_true(burst_flush(&burst));
    assert_false(burst_flush(&burst));
    struct burst other = {0};
    burst_heard(&other, &enriched, 1000);
    assert_true(burst_flush(&other));
}

struct history {
    struct burst burst;
    uint64_t last_heard, last_told, fetch_began, fetch_ends;
};

static void note(struct history *history, unsigned todo, uint64_t now, uint64_t takes)
{
    if (todo & BURST_PUBLISH)
        history->last_told = now;
    if (todo & BURST_FETCH) {
        history->fetch_began = now;
        history->fetch_ends = now + takes;
    }
}

static void live(const struct burst_options *options, uint32_t random)
{
    struct history history = {0};
    for (uint64_t now = 1000; now < 60000; now += 10) {
        random = random * 1664525U + 1013904223U;
        uint64_t takes = 10 + random % 4000 / 10 * 10;
        if (history.fetch_ends && now >= history.fetch_ends) {
            history.fetch_ends = 0;
            bool ok = (random >> 16) % 4 != 0;
            unsigned result = burst_fetched(&history.burst, options, now, ok, 500);
            note(&history, result, now, takes);
            if (ok && (result & BURST_OWED))
                history.last_told = history.fetch_began;
        }
        if (burst_due(&history.burst) <= now)
            note(&history, burst_expired(&history.burst, options, now), now, takes);
        if (now < 30000 && (random >> 12) % 20 == 0) {
            history.last_heard = now;
            note(&history, burst_heard(&history.burst, options, now), now, takes);
        }
    }
    assert_true(history.last_told >= history.last_heard);
    assert_int_equal(burst_due(&history.burst), UINT64_MAX);
    assert_false(burst_flush(&history.burst));
}

static void test_the_last_change_is_never_lost(void **unused)
{
    (void)unused;
    for (uint32_t seed = 1; seed <= 200; seed++) {
        live(&plain, seed);
        live(&enriched, seed);
    }
}

static void test_a_fetch_for_the_fingerprint_only_can_be_put_off(void **unused)
{
    (void)unused;
    struct burst burst = {0};
    assert_int_equal(burst_heard(&burst, &plain, 1000), BURST_PUBLISH);
    assert_true(burst_is_told(&burst));
    assert_int_equal(burst_heard(&burst, &plain, 1001), 0);
    assert_false(burst_is_told(&burst));
    assert_int_equal(burst_expired(&burst, &plain, 1100), BURST_PUBLISH);
    assert_int_equal(burst_expired(&burst, &plain, 1001 + BURST_SETTLE_MS), BURST_FETCH);
    assert_true(burst_is_told(&burst));
    burst_put_off(&burst, 3000, 5000);
    assert_int_equal(burst_expired(&burst, &plain, 7999), 0);
    assert_int_equal(burst_expired(&burst, &plain, 8000), BURST_FETCH);
    assert_int_equal(burst_fetched(&burst, &plain, 8001, true, 0), BURST_FRESH | BURST_TOLD);

    assert_int_equal(burst_heard(&burst, &enriched, 9000), BURST_FETCH);
    assert_false(burst_is_told(&burst));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_at_once_and_the_rest_at_the_window_end),
        cmocka_unit_test(test_list_is_fetched_once_it_has_settled),
        cmocka_unit_test(test_list_is_not_confirmed_when_a_change_is_heard_after_it),
        cmocka_unit_test(test_what_waits_goes_out_with_a_fresh_list),
        cmocka_unit_test(test_heard_while_fetching_is_fetched_again),
        cmocka_unit_test(test_a_failed_fetch_is_tried_again),
        cmocka_unit_test(test_enriched_fetches_first),
        cmocka_unit_test(test_enriched_gives_up_waiting),
        cmocka_unit_test(test_a_fetch_for_the_fingerprint_only_can_be_put_off),
        cmocka_unit_test(test_flush_tells_what_is_owed_once),
        cmocka_unit_test(test_the_last_change_is_never_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
