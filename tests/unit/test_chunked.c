/* SPDX-License-Identifier: MIT */
/* Chunked coding: whole, in pieces of every size, and broken. */
#include "worker/http/chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct decoded {
    char text[64];
    size_t size;
    size_t used; /* bytes of the input */
    int outcome; /* the last one */
};

/* Feeds `size` bytes in pieces of `piece`. */
static struct decoded decode(const char *bytes, size_t size, size_t piece)
{
    struct chunked chunked = {0};
    struct decoded decoded = {.outcome = 0};
    while (decoded.used < size && decoded.outcome == 0) {
        size_t left = size - decoded.used;
        const uint8_t *at = (const uint8_t *)bytes + decoded.used;
        const uint8_t *end = at + (piece < left ? piece : left);
        const uint8_t *data;
        size_t data_size;
        while ((decoded.outcome = chunked_next(&chunked, &at, end, &data, &data_size)) == CHUNKED_DATA) {
            assert_true(data_size > 0 && decoded.size + data_size < sizeof decoded.text);
            memcpy(decoded.text + decoded.size, data, data_size);
            decoded.size += data_size;
        }
        assert_true(decoded.outcome != 0 || at == end);
        decoded.used = (size_t)((const char *)at - bytes);
    }
    return decoded;
}

static const struct {
    const char *coded;
    const char *text;
    int outcome;
    size_t left; /* bytes behind the end */
} SAMPLES[] = {
    {"0\r\n\r\n", "", CHUNKED_END, 0},
    {"5\r\nhello\r\n0\r\n\r\n", "hello", CHUNKED_END, 0},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", CHUNKED_END, 0},
    {"5\r\nhello\r\n0\r\n\r\nHTTP/1.1", "hello", CHUNKED_END, 8},
    {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", CHUNKED_END, 0},
    {"0000a\r\n0123456789\r\n00\r\n\r\n", "0123456789", CHUNKED_END, 0},
    {"4;name=\"v\"\r\n\r\n\r\n\r\n0;last\r\n\r\n", "\r\n\r\n", CHUNKED_END, 0},
    {"2 \nhi\n0\n\n", "hi", CHUNKED_END, 0},
    {"2\r\nhi\r\n0\r\nOne: 1\r\nTwo: 2\r\n\r\n", "hi", CHUNKED_END, 0},
    {"5\r\nhel", "hel", 0, 0},
    {"5\r\nhello\r\n", "hello", 0, 0},
    {"00000000ffffffff\r\nx", "x", 0, 0},
    {"100000000\r\nx", "", CHUNKED_BAD, 3},
    {"zz\r\n{}\r\n", "", CHUNKED_BAD, 7},
    {"\r\n5\r\nhello\r\n", "", CHUNKED_BAD, 11},
    {"-5\r\nhello\r\n", "", CHUNKED_BAD, 10},
    {"5\r\nhelloo\r\n", "hello", CHUNKED_BAD, 2},
};

static void test_samples_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(SAMPLES); i++) {
        size_t size = strlen(SAMPLES[i].coded);
        for (size_t piece = 1; piece <= size; piece++) {
            struct decoded decoded = decode(SAMPLES[i].coded, size, piece);
            if (strcmp(decoded.text, SAMPLES[i].text) != 0 || decoded.outcome != SAMPLES[i].outcome ||
                size - decoded.used != SAMPLES[i].left)
                fail_msg("sample %zu in pieces of %zu: '%s', outcome %d, %zu left", i, piece, decoded.text,
                         decoded.outcome, size - decoded.used);
        }
    }
}

/* `unit` behind `begin`, over and over: bad once there is too much of it, and not before. */
static void check_bound(const char *begin, const char *unit)
{
    size_t begin_size = strlen(begin);
    size_t size = begin_size + CHUNKED_OVERHEAD_MAX + 16;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memcpy(bytes, begin, begin_size);
    for (size_t i = begin_size; i < size; i++)
        bytes[i] = unit[(i - begin_size) % strlen(unit)];
    struct decoded decoded = decode(bytes, size, 1000);
    assert_int_equal(decoded.outcome, CHUNKED_BAD);
    assert_int_equal(decoded.used, CHUNKED_OVERHEAD_MAX);
    free(bytes);
}

static void test_overhead_is_bounded(void **state)
{
    (void)state;
    check_bound("5;", "x");
    check_bound("0\r\n", "Name: value\r\n");
}

/* What is bad, and what is over, stays so. */
static void test_nothing_comes_after_the_end(void **state)
{
    (void)state;
    static const uint8_t MORE[] = "5\r\nhello\r\n";
    static const uint8_t LAST[] = "0\r\n\r\n";
    struct chunked chunked = {0};
    const uint8_t *at = LAST, *data;
    size_t size;
    assert_int_equal(chunked_next(&chunked, &at, LAST + 5, &data, &size), CHUNKED_END);
    at = MORE;
    assert_int_equal(chunked_next(&chunked, &at, MORE + 10, &data, &size), CHUNKED_END);
    assert_ptr_equal(at, MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_in_pieces),
        cmocka_unit_test(test_overhead_is_bounded),
        cmocka_unit_test(test_nothing_comes_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
