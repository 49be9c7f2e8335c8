/* SPDX-License-Identifier: MIT */
/* Tokens from files: one line or none, errors without a byte of it, and only the whole token matches. */
#include "common/token_file.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/test_token_file.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(path, "/tmp/test_token_file.XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static int read_text(const char *text, size_t size, struct token *token, char why[TOKEN_FILE_WHY_SIZE])
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return token_file_read(path, token, why);
}

static void one_line_is_a_token(void **state)
{
    (void)state;
    struct token token;
    char why[TOKEN_FILE_WHY_SIZE], longest[TOKEN_SIZE];
    memset(longest, 'x', sizeof(longest));
    longest[TOKEN_SIZE - 1] = '\n';
    assert_int_equal(read_text("0123456789abcdef", 16, &token, why), 0);
    assert_string_equal(token.text, "0123456789abcdef");
    assert_int_equal(read_text("0123456789abcdef\n", 17, &token, why), 0);
    assert_string_equal(token.text, "0123456789abcdef");
    assert_int_equal(read_text(longest, sizeof(longest), &token, why), 0);
    assert_int_equal(strlen(token.text), TOKEN_SIZE - 1);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "\n", "too-short", "0123456789 abcdef", "0123456789\nabcdefg", "0123456789\tabcdef"};
    struct token token;
    char why[TOKEN_FILE_WHY_SIZE], long_text[TOKEN_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_int_equal(read_text(bad[i], strlen(bad[i]), &token, why), 1);
        assert_null(strstr(why, "0123456789"));
    }
    memset(long_text, 'x', sizeof(long_text));
    assert_int_equal(read_text(long_text, sizeof(long_text), &token, why), 1);
    assert_int_equal(token_file_read("/no/such/file", &token, why), 1);
    assert_non_null(strstr(why, "No such file"));
}

static void only_the_token_matches(void **state)
{
    (void)state;
    struct token token;
    char why[TOKEN_FILE_WHY_SIZE], long_text[TOKEN_SIZE * 2] = {0};
    assert_int_equal(read_text("0123456789abcdef", 16, &token, why), 0);
    memset(long_text, '0', sizeof(long_text) - 1);
    assert_true(token_matches(&token, "0123456789abcdef"));
    assert_false(token_matches(&token, ""));
    assert_false(token_matches(&token, "0123456789abcde"));
    assert_false(token_matches(&token, "0123456789abcdefg"));
    assert_false(token_matches(&token, "0123456789abcdeF"));
    assert_false(token_matches(&token, long_text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line_is_a_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(anything_else_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_token_matches, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
