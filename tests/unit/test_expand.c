/* SPDX-License-Identifier: MIT */
/* ${NAME}, ${file:PATH} and $${: what they become, and what is said when they can't. */
#include "common/expand.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test_expand_XXXXXX";
static char secret_file[64];

static void expect(const char *text, const char *expanded)
{
    char error[EXPAND_ERROR_SIZE] = "";
    char *got = expand_text(text, error);

    assert_non_null(got);
    assert_string_equal(got, expanded);
    assert_string_equal(error, "");
    free(got);
}

static void expect_error(const char *text, const char *part)
{
    char error[EXPAND_ERROR_SIZE] = "";

    assert_null(expand_text(text, error));
    assert_non_null(strstr(error, part));
}

static void write_file(const void *bytes, size_t size)
{
    FILE *file = fopen(secret_file, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void variables_are_replaced(void **state)
{
    (void)state;
    setenv("TEST_ONE", "one ${TEST_TWO}", 1);
    setenv("TEST_TWO", "2", 1);
    setenv("TEST_EMPTY", "", 1);
    expect("", "");
    expect("plain $5 $ text$", "plain $5 $ text$");
    expect("${TEST_EMPTY}", "");
    expect("a${TEST_TWO}b${TEST_TWO}", "a2b2");
    expect("${TEST_ONE}", "one ${TEST_TWO}"); /* what was put in is not looked at again */
}

static void dollars_escape(void **state)
{
    (void)state;
    expect("$${TEST_TWO}", "${TEST_TWO}");
    expect("$$${", "$${");
    expect("$$", "$$");
}

static void errors_name_the_variable(void **state)
{
    (void)state;
    unsetenv("TEST_MISSING");
    expect_error("x ${TEST_MISSING}", "TEST_MISSING");
    expect_error("${TEST_TWO", "without its }");
    expect_error("${}", "name of a variable");
    expect_error("${1X}", "name of a variable");
    expect_error("${TEST_TWO:-default}", "name of a variable");
}

static void files_are_read(void **state)
{
    char text[96];

    (void)state;
    snprintf(text, sizeof text, "<${file:%s}>", secret_file);
    write_file("secret\n", 7);
    expect(text, "<secret>");
    write_file("two\nlines\r\n", 11);
    expect(text, "<two\nlines>");
    write_file("\n\n", 2);
    expect(text, "<\n>");
    write_file("", 0);
    expect(text, "<>");
    write_file("a\0b", 3);
    expect_error(text, "NUL");
}

static void files_have_a_bound(void **state)
{
    char *large = calloc(1, EXPAND_FILE_MAX + 1);
    char text[96];

    (void)state;
    assert_non_null(large);
    memset(large, 'x', EXPAND_FILE_MAX + 1);
    snprintf(text, sizeof text, "${file:%s}", secret_file);
    write_file(large, EXPAND_FILE_MAX + 1);
    expect_error(text, "larger than 64 KiB");
    write_file(large, EXPAND_FILE_MAX);
    large[EXPAND_FILE_MAX] = '\0';
    expect(text, large);
    free(large);
}

static void what_is_no_file_is_refused(void **state)
{
    char text[96];

    (void)state;
    expect_error("${file:/nonexistent/secret}", "No such file");
    snprintf(text, sizeof text, "${file:%s}", directory);
    expect_error(text, "no regular file");
    unlink(secret_file);
    assert_int_equal(mkfifo(secret_file, 0600), 0);
    snprintf(text, sizeof text, "${file:%s}", secret_file);
    expect_error(text, "no regular file");
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(secret_file, sizeof secret_file, "%s/secret", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(secret_file);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced),   cmocka_unit_test(dollars_escape),
        cmocka_unit_test(errors_name_the_variable), cmocka_unit_test(files_are_read),
        cmocka_unit_test(files_have_a_bound),       cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
