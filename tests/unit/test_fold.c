/* SPDX-License-Identifier: MIT */
/* Memory at rest: that it comes back as it was, wherever words are zero, and that it costs less in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "worker/http/fold.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *taken(void)
{
    unsigned char *memory = fold_take();
    assert_non_null(memory);
    memset(memory, 0xee, FOLD_SIZE);
    return memory;
}

/* Pages that are in memory, of those of one. */
static int resident(void *memory)
{
    unsigned char pages[2];
    int present = 0;
    assert_int_equal(mincore(memory, 8192, pages), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
        present += pages[i] & 1;
    return present;
}

static void fold_all(void)
{
    assert_false(fold_oldest(0, SIZE_MAX));
}

/* Words that are zero here and there, everywhere, and nowhere. */
static void fill(unsigned char *memory, size_t pattern)
{
    memset(memory, 0, FOLD_SIZE);
    for (size_t i = 0; i < FOLD_SIZE; i++)
        if (pattern == 0 || (pattern > 1 && i % (pattern * 7) == pattern))
            memory[i] = (unsigned char)(i * pattern + 1 + i / 256) | 1;
}

static void it_comes_back_as_it_was(void **state)
{
    (void)state;
    static unsigned char wanted[FOLD_SIZE];
    unsigned char *memory = taken();
    for (size_t pattern = 0; pattern < 40; pattern++) {
        fill(wanted, pattern);
        memcpy(memory, wanted, FOLD_SIZE);
        fold_rest(memory);
        fold_all();
        assert_int_equal(resident(memory), 0);
        fold_wake(memory);
        assert_memory_equal(memory, wanted, FOLD_SIZE);
        fold_wake(memory);
        assert_memory_equal(memory, wanted, FOLD_SIZE);
    }
    fold_give(memory);
}

static void the_oldest_fold_first_and_not_at_once(void **state)
{
    (void)state;
    void *all[] = {taken(), taken(), taken()};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        fold_rest(all[i]);
    assert_true(fold_oldest(3600 * 1000, SIZE_MAX));
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        assert_int_not_equal(resident(all[i]), 0);
    fold_rest(all[0]); /* which makes it the latest */
    assert_true(fold_oldest(0, 1));
    assert_int_equal(resident(all[1]), 0);
    assert_int_not_equal(resident(all[0]), 0);
    fold_wake(all[0]); /* and it is no more at rest */
    assert_false(fold_oldest(0, 1));
    assert_int_equal(resident(all[2]), 0);
    assert_int_not_equal(resident(all[0]), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        fold_give(all[i]);
}

static void one_at_rest_may_be_given_back(void **state)
{
    (void)state;
    unsigned char *memory = taken();
    fold_rest(memory);
    fold_give(memory); /* not folded yet */
    fold_all();
    memory = taken();
    fold_rest(memory);
    fold_all();
    fold_give(memory);
    unsigned char *next = fold_take(); /* the same place: nothing of what it was comes back */
    assert_ptr_equal(next, memory);
    memset(next, 0x11, FOLD_SIZE);
    fold_wake(next);
    assert_int_equal(next[FOLD_SIZE - 1], 0x11);
    fold_give(next);
}

static void each_has_its_own(void **state)
{
    (void)state;
    unsigned char *all[500];
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        all[i] = taken();
        memset(all[i] + i * 8, (int)i, 8);
        fold_rest(all[i]);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(all); i += 3)
        fold_give(all[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        if (i % 3 == 0)
            continue;
        fold_wake(all[i]);
        assert_int_equal(all[i][i * 8], i % 256);
        assert_int_equal(all[i][i * 8 + 7], i % 256);
        assert_int_equal(all[i][i * 8 + 8], 0xee);
        fold_give(all[i]);
    }
}

static void memory_from_elsewhere_is_left_alone(void **state)
{
    (void)state;
    unsigned char *memory = calloc(1, FOLD_SIZE);
    assert_non_null(memory);
    assert_false(fold_has(memory));
    memory[1] = 1;
    fold_rest(memory);
    fold_all();
    assert_int_equal(memory[1], 1);
    fold_wake(memory);
    free(memory);
    assert_false(fold_has(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(the_oldest_fold_first_and_not_at_once),
        cmocka_unit_test(one_at_rest_may_be_given_back),
        cmocka_unit_test(each_has_its_own),
        cmocka_unit_test(memory_from_elsewhere_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
