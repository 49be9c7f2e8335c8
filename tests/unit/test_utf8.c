/* SPDX-License-Identifier: MIT */
/* Characters at the edges of what UTF-8 can say, and texts with bytes that belong to none. */
#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_characters(void **state)
{
    (void)state;
    assert_int_equal(utf8_size(""), 1);
    assert_int_equal(utf8_size("\x7f"), 1);
    assert_int_equal(utf8_size("\xc2\x80"), 2);
    assert_int_equal(utf8_size("\xdf\xbf"), 2);
    assert_int_equal(utf8_size("\xe0\xa0\x80"), 3);
    assert_int_equal(utf8_size("\xed\x9f\xbf"), 3);
    assert_int_equal(utf8_size("\xef\xbf\xbf"), 3);
    assert_int_equal(utf8_size("\xf0\x90\x80\x80"), 4);
    assert_int_equal(utf8_size("\xf4\x8f\xbf\xbf"), 4);
}

static void test_no_characters(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\x80",
        "\xbf", /* begins in the middle */
        "\xc0\x80",
        "\xc1\xbf", /* longer than it need be */
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf", /* the same */
        "\xed\xa0\x80",
        "\xed\xbf\xbf", /* surrogates */
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff", /* past the last one */
        "\xc3",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xc3(",
        "\xe2" /* cut */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(utf8_size(texts[i]), 0);
}

static void test_mend(void **state)
{
    (void)state;
    char whole[] = "grün \xf0\x9f\x98\x80", broken[] = "a\xff\xc3z\xe2\x82", empty[] = "";
    utf8_mend(whole);
    assert_string_equal(whole, "grün \xf0\x9f\x98\x80");
    utf8_mend(broken);
    assert_string_equal(broken, "a?"
                                "?z?"
                                "?");
    utf8_mend(empty);
    assert_string_equal(empty, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_no_characters),
        cmocka_unit_test(test_mend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
