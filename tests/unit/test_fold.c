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
#include <unistd.h>

/* More than stay as they are once they are at rest. */
enum { MANY = 100 };

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
    unsigned char pages[FOLD_SIZE / 4096 + 1];
    size_t count = FOLD_SIZE / (size_t)sysconf(_SC_PAGESIZE);
    int present = 0;
    assert_int_equal(mincore(memory, FOLD_SIZE, pages), 0);
    for (size_t i = 0; i < count; i++)
        present += pages[i] & 1;
    return present;
}

/* So that what was at rest before is folded. */
static void let_many_rest(void)
{
    void *others[MANY];
    for (size_t i = 0; i < MANY; i++)
        others[i] = taken();
    for (size_t i = 0; i < MANY; i++)
        fold_rest(others[i]);
    for (size_t i = 0; i < MANY; i++)
        fold_give(others[i]);
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
        let_many_rest();
        assert_int_equal(resident(memory), 0);
        fold_wake(memory);
        assert_memory_equal(memory, wanted, FOLD_SIZE);
        fold_wake(memory);
        assert_memory_equal(memory, wanted, FOLD_SIZE);
    }
    fold_give(memory);
}

static void the_latest_stay_as_they_are(void **state)
{
    (void)state;
    unsigned char *memory = taken();
    for (int i = 0; i < MANY; i++) {
        fold_rest(memory);
        assert_int_not_equal(resident(memory), 0);
        fold_wake(memory);
        assert_int_equal(memory[i], 0xee);
    }
    fold_give(memory);
}

static void one_at_rest_may_be_given_back(void **state)
{
    (void)state;
    unsigned char *memory = taken();
    fold_rest(memory);
    fold_give(memory); /* not folded yet */
    let_many_rest();
    memory = taken();
    fold_rest(memory);
    let_many_rest();
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
    unsigned char *all[5 * MANY];
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
        assert_int_equal(all[i][(i * 8 + 8) % FOLD_SIZE], 0xee);
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
    let_many_rest();
    assert_int_equal(memory[1], 1);
    fold_wake(memory);
    free(memory);
    assert_false(fold_has(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(the_latest_stay_as_they_are),
        cmocka_unit_test(one_at_rest_may_be_given_back),
        cmocka_unit_test(each_has_its_own),
        cmocka_unit_test(memory_from_elsewhere_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
