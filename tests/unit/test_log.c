/* SPDX-License-Identifier: MIT */
/* Log lines as a reader of standard error gets them, a pipe here: both formats, escapes, cuts, and what becomes of lines
 * that the reader does not take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reader;
static int real_stderr;

static int set_up(void **state)
{
    (void)state;
    int ends[2];
    real_stderr = dup(STDERR_FILENO);
    if (real_stderr < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    reader = ends[0];
    fcntl(reader, F_SETFL, O_NONBLOCK);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(reader);
    return 0;
}

/* What was written since the last call. */
static const char *written(void)
{
    static char text[2 * LOG_LINE_MAX];
    ssize_t size = read(reader, text, sizeof(text) - 1);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

/* The line behind its time, checked to be one. */
static const char *written_text(void)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    const char *line = written();
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], form[i]);
    }
    return line + sizeof(form) - 1;
}

static void test_text(void **state)
{
    (void)state;
    log_open("worker-2", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_info("conn.state", LOG_TEXT("server", "github"), LOG_U64("attempt", 3), LOG_I64("delta", -4),
             LOG_TEXT("left_out", NULL));
    assert_string_equal(written_text(), "info worker-2 conn.state server=github attempt=3 delta=-4\n");
    log_error("none");
    assert_string_equal(written_text(), "error worker-2 none\n");
}

static void test_text_is_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *shown;
    } samples[] = {
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"quote\"back\\slash", "\"quote\\\"back\\\\slash\""},
        {"line\nbreak", "\"line\\nbreak\""},
        {"\x1b[31mred", "\"\\u001b[31mred\""},
        {"\x7f", "\"\\u007f\""},
        {"c1\xc2\x9b", "\"c1\\u009b\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"cut\xc3", "\"cut\\ufffd\""},
        {"\xff\xc0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
    };
    log_open("w", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        char expected[128];
        snprintf(expected, sizeof(expected), "info w e v=%s\n", samples[i].shown);
        log_info("e", LOG_TEXT("v", samples[i].value));
        assert_string_equal(written_text(), expected);
    }
}

static void test_json(void **state)
{
    (void)state;
    log_open("hub", LOG_LEVEL_DEBUG, LOG_FORMAT_AUTO); /* a pipe is no terminal */
    log_debug("relay.sent", LOG_TEXT("server", "a\"b\n\x01\xff"), LOG_U64("big", INT64_MAX), LOG_I64("small", -1));
    json_t *line = json_loads(written(), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "debug");
    assert_string_equal(json_string_value(json_object_get(line, "role")), "hub");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "relay.sent");
    assert_string_equal(json_string_value(json_object_get(line, "server")), "a\"b\n\x01\xef\xbf\xbd");
    assert_int_equal(json_integer_value(json_object_get(line, "small")), -1);
    json_decref(line);
}

static void test_audit_lines_are_of_no_level(void **state)
{
    (void)state;
    log_open("hub", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    log_audit("audit", LOG_TEXT("command", "scale"));
    assert_string_equal(written_text(), "audit hub audit command=scale\n");
}

static void test_levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_INFO;
    assert_int_equal(log_level_from_name("error", &level), 0);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_int_equal(log_level_from_name("debug", &level), 0);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_from_name("audit", &level), 1);
    assert_int_equal(log_level_from_name("", &level), 1);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void test_levels(void **state)
{
    (void)state;
    log_open("w", LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    log_info("hidden");
    assert_string_equal(written(), "");
    log_warn("shown");
    assert_string_equal(written_text(), "warn w shown\n");
    log_set_level(LOG_LEVEL_INFO);
    log_info("shown");
    assert_string_equal(written_text(), "info w shown\n");
}

/* A value is cut at its maximum, a line by whole fields, and what is left is still JSON. */
static void test_long_ones_are_cut(void **state)
{
    (void)state;
    char value[LOG_LINE_MAX];
    memset(value, 'x', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    log_open("w", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("e", LOG_TEXT("a", value), LOG_TEXT("b", value), LOG_TEXT("c", value), LOG_TEXT("d", value),
             LOG_TEXT("e", value), LOG_TEXT("f", value), LOG_TEXT("g", value), LOG_TEXT("h", value),
             LOG_TEXT("i", value), LOG_U64("last", 1));
    const char *text = written();
    assert_true(strlen(text) <= LOG_LINE_MAX);
    assert_int_equal(text[strlen(text) - 1], '\n');
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    assert_in_range(json_string_length(json_object_get(line, "a")), LOG_VALUE_MAX - 4, LOG_VALUE_MAX + 4);
    assert_null(json_object_get(line, "h"));
    assert_int_equal(json_integer_value(json_object_get(line, "last")), 1);
    json_decref(line);
}

/* A character is never cut in its middle. */
static void test_cut_at_a_character(void **state)
{
    (void)state;
    char value[LOG_VALUE_MAX + 8];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(value, 'x', sizeof(value));
        for (size_t at = shift; at + 3 < sizeof(value); at += 3)
            memcpy(value + at, "\xe2\x82\xac", 3);
        value[sizeof(value) - 1] = '\0';
        log_open("w", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
        log_info("e", LOG_TEXT("v", value));
        json_t *line = json_loads(written(), 0, NULL);
        assert_non_null(line);
        assert_null(strstr(json_string_value(json_object_get(line, "v")), "\xef\xbf\xbd"));
        json_decref(line);
    }
}

static void test_full_pipe_drops_and_tells(void **state)
{
    (void)state;
    enum { LINES = 5000 };
    char pad[LOG_VALUE_MAX + 1];
    memset(pad, 'x', LOG_VALUE_MAX);
    pad[LOG_VALUE_MAX] = '\0';
    log_open("w", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    for (unsigned i = 0; i < LINES; i++)
        log_info("filler", LOG_TEXT("pad", pad));
    unsigned got = 0;
    for (const char *text = written(); text[0] != '\0'; text = written())
        for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
            got++;
    assert_in_range(got, 1, LINES - 1);
    char expected[128];
    snprintf(expected, sizeof(expected), "info w next lines_dropped=%u\n", LINES - got);
    log_info("next");
    assert_string_equal(written_text(), expected);
    log_info("next");
    assert_string_equal(written_text(), "info w next\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_is_escaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_audit_lines_are_of_no_level, set_up, tear_down),
        cmocka_unit_test(test_levels_have_names),
        cmocka_unit_test_setup_teardown(test_long_ones_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_at_a_character, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_pipe_drops_and_tells, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
