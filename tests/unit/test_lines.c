/* SPDX-License-Identifier: MIT */
/* Each sample is fed whole, cut in two at every place, and byte by byte: what comes out must be the same each time. */
#include "worker/stdio/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINE_MAX_BYTES = 8 };

struct sample {
    const char *name;
    const char *bytes;
    size_t size; /* 0: bytes is text */
    enum lines_policy policy;
    const char *lines; /* "line;" for each; a NUL in a line as 0 */
    const char *rest;  /* what the end gives, likewise */
    int outcome;
};

static const struct sample SAMPLES[] = {
    {"nothing", "", .lines = "", .rest = ""},
    {"one line", "hello\n", .lines = "hello;", .rest = ""},
    {"several lines", "a\nb\nc\n", .lines = "a;b;c;", .rest = ""},
    {"carriage returns belong to the end", "a\r\nb\r\n", .lines = "a;b;", .rest = ""},
    {"one of them", "a\r\r\n", .lines = "a\r;", .rest = ""},
    {"and not in between", "a\rb\n\rc\n", .lines = "a\rb;\rc;", .rest = ""},
    {"empty lines", "\n\r\n\n", .lines = ";;;", .rest = ""},
    {"without an end", "a\nb", .lines = "a;", .rest = "b;"},
    {"with half an end", "a\nb\r", .lines = "a;", .rest = "b;"},
    {"NUL",
     "a\0"
     "b\nc\n",
     6, .lines = "a0b;c;", .rest = ""},
    {"longest line", "12345678\n12345678\r\n", .lines = "12345678;12345678;", .rest = ""},
    {"too long by one", "a\n123456789\nb\n", .lines = "a;", .rest = NULL, .outcome = LINES_TOO_LONG},
    {"too long by a carriage return that ends nothing", "12345678\rx\n", .lines = "", .rest = NULL,
     .outcome = LINES_TOO_LONG},
    {"too long without an end", "1234567890", .lines = "", .rest = NULL, .outcome = LINES_TOO_LONG},
    {"cut", "a\n123456789012345\nb\r\n", .policy = LINES_CUT, .lines = "a;12345678;b;", .rest = ""},
    {"cut without an end", "a\n1234567890", .policy = LINES_CUT, .lines = "a;", .rest = "12345678;"},
    {"not cut", "12345678\r\n", .policy = LINES_CUT, .lines = "12345678;", .rest = ""},
};

struct told {
    char text[64];
    size_t size;
    size_t stop_after; /* lines; 0: never */
    size_t count;
};

static bool on_line(void *user, const char *line, size_t size)
{
    struct told *told = user;
    assert_true(told->size + size + 2 < sizeof(told->text));
    assert_int_equal(line[size], '\0');
    for (size_t i = 0; i < size; i++)
        told->text[told->size++] = line[i] == '\0' ? '0' : line[i];
    told->text[told->size++] = ';';
    return ++told->count != told->stop_after;
}

/* A copy of exactly that size, so that reading beyond it is found. */
static int feed(struct lines *lines, const char *bytes, size_t size, struct told *told)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    int outcome = lines_feed(lines, copy, size, on_line, told);
    free(copy);
    return outcome;
}

/* Feeds it in pieces: the first `first` bytes, then `step` bytes each time. */
static void check(const struct sample *sample, size_t first, size_t step)
{
    size_t size = sample->size > 0 ? sample->size : strlen(sample->bytes);
    struct told told = {.size = 0}, rest = {.size = 0};
    struct lines lines;
    lines_init(&lines, LINE_MAX_BYTES, sample->policy);
    int outcome = 0;
    for (size_t at = 0, piece = first; at < size && outcome == 0; at += piece, piece = step) {
        if (piece > size - at)
            piece = size - at;
        outcome = feed(&lines, sample->bytes + at, piece, &told);
    }
    if (outcome != sample->outcome || strcmp(told.text, sample->lines) != 0)
        fail_msg("%s, %zu + %zu: outcome %d, lines \"%s\"", sample->name, first, step, outcome, told.text);
    if (sample->rest != NULL) {
        assert_int_equal(lines_end(&lines, on_line, &rest), 0);
        if (strcmp(rest.text, sample->rest) != 0)
            fail_msg("%s, %zu + %zu: rest \"%s\"", sample->name, first, step, rest.text);
    }
    lines_fini(&lines);
}

static void every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(SAMPLES); i++) {
        size_t size = SAMPLES[i].size > 0 ? SAMPLES[i].size : strlen(SAMPLES[i].bytes);
        for (size_t first = 1; first <= size + 1; first++)
            check(&SAMPLES[i], first, size + 1);
        check(&SAMPLES[i], 1, 1);
    }
}

static void a_handler_stops_it(void **state)
{
    (void)state;
    struct told told = {.stop_after = 2};
    struct lines lines;
    lines_init(&lines, LINE_MAX_BYTES, LINES_REFUSE);
    assert_int_equal(feed(&lines, "a\nb\nc\n", 6, &told), LINES_STOPPED);
    assert_string_equal(told.text, "a;b;");
    lines_fini(&lines);
}

static void no_memory_between_lines(void **state)
{
    (void)state;
    struct told told = {.size = 0};
    struct lines lines;
    lines_init(&lines, LINE_MAX_BYTES, LINES_REFUSE);
    assert_int_equal(feed(&lines, "a\nb\n", 4, &told), 0);
    assert_null(lines.part.bytes);
    lines_fini(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split),
        cmocka_unit_test(a_handler_stops_it),
        cmocka_unit_test(no_memory_between_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
