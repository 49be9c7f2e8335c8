/* SPDX-License-Identifier: MIT */
/* Durations: what is one, what is not, and that what is written can be read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/duration.h"

static void test_reads(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } samples[] = {
        {"0", 0},        {"0s", 0},         {"250ms", 250},   {"15s", 15000}, {"30m", 1800000},
        {"2h", 7200000}, {"7d", 604800000}, {"0015s", 15000}, {"000", 0},     {"10000d", UINT64_C(864000000000)},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        uint64_t ms = 77;
        assert_int_equal(duration_parse(samples[i].text, &ms), 0);
        assert_int_equal(ms, samples[i].ms);
    }
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "",
        "5",
        "s",
        "ms",
        "-1s",
        "+1s",
        " 1s",
        "1s ",
        "1 s",
        "1.5s",
        "1S",
        "1w",
        "1s500ms",
        "1msx",
        "10001d",
        "864000000001ms",
        "99999999999999999999999999s",
        "18446744073709551616ms",
        "0x10s",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        uint64_t ms = 77;
        assert_int_equal(duration_parse(samples[i], &ms), 1);
        assert_int_equal(ms, 77);
    }
}

static void test_writes_what_it_reads(void **state)
{
    (void)state;
    static const uint64_t samples[] = {0, 1, 999, 1000, 1001, 59000, 60000, 90000, 3600000, 86400000, 90061001};
    char text[DURATION_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        uint64_t ms = 77;
        assert_int_equal(duration_parse(duration_format(samples[i], text), &ms), 0);
        assert_int_equal(ms, samples[i]);
    }
    assert_string_equal(duration_format(90000, text), "90s");
    assert_string_equal(duration_format(1800000, text), "30m");
    assert_string_equal(duration_format(0, text), "0");
}

static void test_words(void **state)
{
    (void)state;
    char text[DURATION_TEXT_SIZE];
    assert_string_equal(duration_words(0, text), "0ms");
    assert_string_equal(duration_words(350, text), "350ms");
    assert_string_equal(duration_words(12999, text), "12s");
    assert_string_equal(duration_words(90500, text), "1m 30s");
    assert_string_equal(duration_words(3600000, text), "1h");
    assert_string_equal(duration_words(3605000, text), "1h");
    assert_string_equal(duration_words(273600000, text), "3d 4h");
    assert_string_equal(duration_words(UINT64_MAX, text), "213503982334d 14h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_writes_what_it_reads),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
