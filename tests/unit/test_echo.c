/* SPDX-License-Identifier: MIT */
/* One's own events are known again, each as often as it was sent, and the oldest are forgotten when there are too many. */
#include "broker/hub/echo.h"

#include "common/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CAPACITY = 8 };

static int set_up(void **state)
{
    struct echo *echo;
    if (echo_create(CAPACITY, &echo) != 0)
        return -1;
    *state = echo;
    return 0;
}

static int tear_down(void **state)
{
    echo_destroy(*state);
    return 0;
}

static void send(struct echo *echo, unsigned type, const char *text)
{
    echo_remember(echo, type, text, strlen(text));
}

static bool comes_back(struct echo *echo, unsigned type, const char *text)
{
    return echo_take(echo, type, text, strlen(text));
}

static void own_is_taken_once(void **state)
{
    send(*state, KIND_TOOLS, "a");
    assert_true(comes_back(*state, KIND_TOOLS, "a"));
    assert_false(comes_back(*state, KIND_TOOLS, "a"));
}

static void foreign_is_not_taken(void **state)
{
    assert_false(comes_back(*state, KIND_TOOLS, "a"));
    send(*state, KIND_TOOLS, "a");
    assert_false(comes_back(*state, KIND_TOOLS, "b"));
    assert_false(comes_back(*state, KIND_TOOLS, ""));
}

static void channel_matters(void **state)
{
    send(*state, KIND_TOOLS, "a");
    assert_false(comes_back(*state, KIND_PROMPTS, "a"));
    assert_true(comes_back(*state, KIND_TOOLS, "a"));
}

static void sent_twice_comes_twice(void **state)
{
    send(*state, KIND_TOOLS, "a");
    send(*state, KIND_TOOLS, "a");
    assert_true(comes_back(*state, KIND_TOOLS, "a"));
    assert_true(comes_back(*state, KIND_TOOLS, "a"));
    assert_false(comes_back(*state, KIND_TOOLS, "a"));
}

static void oldest_is_forgotten(void **state)
{
    char text[16];
    for (int i = 0; i < CAPACITY + 3; i++) {
        snprintf(text, sizeof(text), "event %d", i);
        send(*state, KIND_TOOLS, text);
    }
    for (int i = 0; i < CAPACITY + 3; i++) {
        snprintf(text, sizeof(text), "event %d", i);
        assert_int_equal(comes_back(*state, KIND_TOOLS, text), i >= 3);
    }
}

static void ring_goes_round_with_holes(void **state)
{
    char text[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "event %d", i);
        send(*state, KIND_TOOLS, text);
        if (i % 3 != 0)
            assert_true(comes_back(*state, KIND_TOOLS, text));
    }
    assert_true(comes_back(*state, KIND_TOOLS, "event 999"));
    assert_true(comes_back(*state, KIND_TOOLS, "event 993"));
    assert_false(comes_back(*state, KIND_TOOLS, "event 990"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own_is_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_is_not_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(channel_matters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sent_twice_comes_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(oldest_is_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ring_goes_round_with_holes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
