/* SPDX-License-Identifier: MIT */
/* Lines of keys in a text: at each level, past strings that look like structure, and for paths that end in nothing. */
#include "common/json_locate.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "\n"
                           "{ \"first\": \"} \\\" , {\",\n"
                           "  \"list\": [ [1, {\"a\": 2}],\n"
                           "     \"x,y\",\n"
                           "     {\"deep\":\n"
                           "        {\"er\": true}} ],\n"
                           "  \"esc\\u0061ped\": {\n"
                           "     \"k\": 1 },\n"
                           "  \"empty\": {}, \"none\": [],\n"
                           "  \"last\"\n"
                           "  : null }\n";

#define LINE(...)                                                                                                      \
    json_locate(text, sizeof text - 1, (const char *const[]){__VA_ARGS__},                                             \
                ARRAY_LENGTH(((const char *const[]){__VA_ARGS__})))

static void keys_are_found(void **state)
{
    (void)state;
    assert_int_equal(LINE("first"), 2);
    assert_int_equal(LINE("list"), 3);
    assert_int_equal(LINE("list", "0", "1", "a"), 3);
    assert_int_equal(LINE("list", "1"), 4);
    assert_int_equal(LINE("list", "2", "deep"), 5);
    assert_int_equal(LINE("list", "2", "deep", "er"), 6);
    assert_int_equal(LINE("escaped", "k"), 8);
    assert_int_equal(LINE("empty"), 9);
    assert_int_equal(LINE("last"), 10);
}

static void missing_parts_give_the_last_that_is_there(void **state)
{
    (void)state;
    assert_int_equal(LINE("nothing"), 1);
    assert_int_equal(LINE("list", "7"), 3);
    assert_int_equal(LINE("none", "0"), 9);
    assert_int_equal(LINE("empty", "k"), 9);
    assert_int_equal(LINE("escaped", "k", "deeper"), 8);
    assert_int_equal(LINE("last", "deeper"), 10);
}

/* Cut anywhere it must stay within the bytes given (the sanitizer looks on). */
static void cut_texts_do_no_harm(void **state)
{
    static const char *const path[] = {"escaped", "k", "0"};

    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        char *exact = test_malloc(size + 1);
        memcpy(exact, text, size);
        assert_true(json_locate(exact, size, path, ARRAY_LENGTH(path)) >= 1);
        test_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found),
        cmocka_unit_test(missing_parts_give_the_last_that_is_there),
        cmocka_unit_test(cut_texts_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
