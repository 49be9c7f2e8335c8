/* SPDX-License-Identifier: MIT */
/* Every value has one name, every name one value, and what comes from elsewhere is survived. */
#include "common/names.h"

#include "common/compiler.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The names that a list gives to 0 … count-1 are there and differ; anything past it is "unknown". */
static void check_names(const char *(*name)(unsigned), unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(name(i));
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(name(i), name(j));
        }
    }
    assert_string_equal(name(count), "unknown");
    assert_string_equal(name(255), "unknown");
    assert_string_equal(name(UINT_MAX), "unknown");
}

static void all_values_have_names(void **state)
{
    (void)state;
    check_names(kind_name, KIND_COUNT);
    check_names(state_name, STATE_COUNT);
    check_names(conn_event_name, CONN_EVENT_COUNT);
    check_names(conn_event_meaning, CONN_EVENT_COUNT);
    check_names(era_name, ERA_COUNT);
    check_names(transport_name, TRANSPORT_COUNT);
    check_names(source_name, SOURCE_COUNT);
    check_names(reason_name, REASON_COUNT);
}

/* Names are a contract with users; numbers are one with tables and registries that exist already. */
static void values_are_the_wires(void **state)
{
    (void)state;
    static const char *const states[] = {"none",        "queued",  "connecting",   "listening", "backoff", "failed",
                                         "unsupported", "polling", "unauthorized", "refused",   "disabled"};
    for (unsigned i = 0; i < ARRAY_LENGTH(states); i++) {
        assert_string_equal(state_name(i), states[i]);
    }
    assert_string_equal(kind_name(0), "tools");
    assert_string_equal(kind_name(1), "prompts");
    assert_string_equal(kind_name(2), "resources");
    assert_string_equal(era_name(0), "unknown");
    assert_string_equal(reason_name(0), "notification");
}

static void names_lead_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STATE_COUNT; i++) {
        enum state found = STATE_NONE;
        assert_true(state_from_name(state_name(i), &found));
        assert_int_equal(found, i);
    }
    for (unsigned i = 0; i < CONN_EVENT_COUNT; i++) {
        enum conn_event found = CONN_EVENT_COUNT;
        assert_true(conn_event_from_name(conn_event_name(i), &found));
        assert_int_equal(found, i);
    }
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        enum kind found = KIND_TOOLS;
        assert_true(kind_from_name(kind_name(i), &found));
        assert_int_equal(found, i);
    }
}

static void other_names_are_none(void **state)
{
    (void)state;
    enum state found_state = STATE_FAILED;
    enum kind found_kind = KIND_PROMPTS;
    assert_false(state_from_name("", &found_state));
    assert_false(state_from_name("Listening", &found_state));
    assert_false(state_from_name("unknown", &found_state));
    assert_false(kind_from_name("tool", &found_kind));
    assert_false(kind_from_name("toolsets", &found_kind));
    assert_int_equal(found_state, STATE_FAILED);
    assert_int_equal(found_kind, KIND_PROMPTS);
}

static void only_listening_is_connected(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(state_is_connected(i), i == STATE_LISTENING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_values_have_names),
        cmocka_unit_test(values_are_the_wires),
        cmocka_unit_test(names_lead_back),
        cmocka_unit_test(other_names_are_none),
        cmocka_unit_test(only_listening_is_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
