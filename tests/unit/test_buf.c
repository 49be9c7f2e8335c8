/* SPDX-License-Identifier: MIT */
/* The byte buffer: growth to its maximum and not past it, and content that stays terminated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"

#include <stdlib.h>
#include <string.h>

static void test_empty(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_string_equal(buf_text(&buf), "");
    assert_null(buf_take(&buf));
    buf_consume(&buf, 3);
    buf_clear(&buf);
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    assert_int_equal(buf.size, 0);
    assert_null(buf_take(&buf));
    buf_fini(&buf);
}

static void test_stops_at_the_maximum(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_int_equal(buf_append_text(&buf, "abc"), 0);
    assert_int_equal(buf_append_text(&buf, "def"), BUF_FULL);
    assert_string_equal(buf_text(&buf), "abc");
    assert_int_equal(buf_printf(&buf, "%d", 100), BUF_FULL);
    assert_string_equal(buf_text(&buf), "abc");
    assert_int_equal(buf_printf(&buf, "%d", 42), 0);
    assert_string_equal(buf_text(&buf), "abc42");
    assert_int_equal(buf_append(&buf, "", 1), BUF_FULL);
    assert_int_equal(buf_append(&buf, "", SIZE_MAX), BUF_FULL);
    buf_fini(&buf);
}

static void test_grows(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    struct buf buf;
    buf_init(&buf, SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(buf_append(&buf, &(char){(char)('a' + i % 26)}, 1), 0);
    assert_int_equal(buf.size, SIZE);
    assert_int_equal(strlen(buf_text(&buf)), SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(buf.bytes[i], 'a' + i % 26);
    buf_fini(&buf);
}

static void test_consumes_from_the_front(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append_text(&buf, "one two"), 0);
    buf_consume(&buf, 4);
    assert_string_equal(buf_text(&buf), "two");
    buf_consume(&buf, 100);
    assert_string_equal(buf_text(&buf), "");
    buf_fini(&buf);
}

static void test_gives_its_memory_away(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append_text(&buf, "mine"), 0);
    uint8_t *bytes = buf_take(&buf);
    assert_string_equal((const char *)bytes, "mine");
    assert_int_equal(buf.size, 0);
    assert_int_equal(buf_append_text(&buf, "next"), 0);
    assert_string_equal((const char *)bytes, "mine");
    free(bytes);
    buf_fini(&buf);
}

static void numbers_are_decimal(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 24);
    assert_int_equal(buf_append_number(&buf, 0), 0);
    assert_int_equal(buf_append_number(&buf, 10), 0);
    assert_int_equal(buf_append_number(&buf, UINT64_MAX), 0);
    assert_string_equal(buf_text(&buf), "01018446744073709551615");
    assert_int_equal(buf_append_number(&buf, 12), BUF_FULL);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_stops_at_the_maximum),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_consumes_from_the_front),
        cmocka_unit_test(test_gives_its_memory_away),
        cmocka_unit_test(numbers_are_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
