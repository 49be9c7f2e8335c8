/* SPDX-License-Identifier: MIT */
/* Memory that a wave leaves free is given back once; under a sanitizer, whose heap tells nothing, there is nothing to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/trim.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 4096, PIECE = 4096 };

/* Pieces with holes between them. */
static void *wave(void **held)
{
    void *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = malloc(PIECE);
        assert_non_null(pieces[i]);
        memset(pieces[i], 1, PIECE);
    }
    for (size_t i = 0; i < PIECES - 1; i++)
        free(pieces[i]);
    *held = pieces[PIECES - 1];
    return *held;
}

static void holes_are_given_back_once(void **state)
{
    (void)state;
    struct trim trim = {0};
    (void)trim_look(&trim); /* what was free before */
    if (mallinfo2().arena == 0)
        skip(); /* a heap that does not tell */
    for (int round = 0; round < 3; round++) {
        void *held;
        assert_false(trim_look(&trim));
        assert_non_null(wave(&held));
        assert_true(trim_look(&trim));
        assert_false(trim_look(&trim));
        void *again[PIECES];
        for (size_t i = 0; i < PIECES; i++)
            again[i] = malloc(PIECE); /* out of the holes */
        assert_false(trim_look(&trim));
        for (size_t i = 0; i < PIECES; i++)
            free(again[i]);
        assert_true(trim_look(&trim)); /* they are in use no more */
        free(held);
    }
}

static void looks_only_when_little_is_done(void **unused)
{
    (void)unused;
    struct trim trim = {.settled = 1};
    assert_true(trim_is_calm(&trim, TRIM_CALM - 1));
    assert_true(trim_is_calm(&trim, 2 * TRIM_CALM - 2));
    assert_int_equal(trim.settled, 1);
    assert_false(trim_is_calm(&trim, 3 * TRIM_CALM));
    assert_int_equal(trim.settled, 0); /* what was given back before may have been used */
    assert_true(trim_is_calm(&trim, 3 * TRIM_CALM));
    assert_true(trim_is_calm(&trim, 2 * TRIM_CALM + 1)); /* there is less than there was */
    assert_false(trim_is_calm(&trim, TRIM_CALM + 1));
}

static void clears_what_it_was_given_and_nothing_else(void **unused)
{
    (void)unused;
    enum { SIZE = 5 * 4096 };
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t first = 0; first < 5000; first += 611) {
        for (size_t end = first; end <= SIZE; end += 1777) {
            memset(bytes, 1, SIZE);
            trim_clear(bytes + first, end - first);
            for (size_t i = 0; i < SIZE; i++)
                assert_int_equal(bytes[i], i < first || i >= end);
        }
    }
    free(bytes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(clears_what_it_was_given_and_nothing_else),
                                              cmocka_unit_test(holes_are_given_back_once),
                                              cmocka_unit_test(looks_only_when_little_is_done)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
