/* SPDX-License-Identifier: MIT */
/* Cells of one size: that none overlap, that each is zero, and that blocks go back to the system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/slab.h"

#include <pthread.h>
#include <string.h>

/* Two blocks' worth and a bit of cells of this size. */
struct cell {
    uint64_t words[16];
};
enum { CELLS = 2 * SLAB_BLOCK_SIZE / sizeof(struct cell) + 11 }; /* no multiple of 7 */

static void take_all(struct slab *slab, struct cell *cells[CELLS])
{
    for (size_t i = 0; i < CELLS; i++) {
        cells[i] = slab_take(slab, sizeof(struct cell));
        assert_non_null(cells[i]);
        for (size_t word = 0; word < 16; word++)
            assert_int_equal(cells[i]->words[word], 0);
        memset(cells[i], (int)(i % 255) + 1, sizeof *cells[i]);
    }
}

static void cells_do_not_overlap(void **state)
{
    (void)state;
    struct slab slab = {0};
    struct cell *cells[CELLS];
    take_all(&slab, cells);
    assert_int_equal(slab.blocks, 3);
    for (size_t i = 0; i < CELLS; i++) {
        const uint8_t *bytes = (const uint8_t *)cells[i];
        for (size_t at = 0; at < sizeof *cells[i]; at++)
            assert_int_equal(bytes[at], i % 255 + 1);
    }
    for (size_t i = 0; i < CELLS; i++)
        slab_give(&slab, cells[i], sizeof(struct cell));
}

static void blocks_go_back(void **state)
{
    (void)state;
    struct slab slab = {0};
    struct cell *cells[CELLS];
    for (int round = 0; round < 3; round++) {
        take_all(&slab, cells);
        assert_int_equal(slab.blocks, 3);
        for (size_t i = 0; i < CELLS; i++) /* neither first in, first out, nor last */
            slab_give(&slab, cells[i * 7 % CELLS], sizeof(struct cell));
        assert_int_equal(slab.blocks, 1);
    }
    void *only = slab_take(&slab, sizeof(struct cell));
    slab_give(&slab, only, sizeof(struct cell));
    assert_int_equal(slab.blocks, 1);
}

static void a_cell_is_zero_again(void **state)
{
    (void)state;
    struct slab slab = {0};
    struct cell *first = slab_take(&slab, sizeof(struct cell));
    struct cell *second = slab_take(&slab, sizeof(struct cell));
    memset(first, 0xff, sizeof *first);
    slab_give(&slab, first, sizeof(struct cell));
    struct cell *again = slab_take(&slab, sizeof(struct cell));
    assert_ptr_equal(again, first);
    for (size_t word = 0; word < 16; word++)
        assert_int_equal(again->words[word], 0);
    slab_give(&slab, again, sizeof(struct cell));
    slab_give(&slab, second, sizeof(struct cell));
    slab_give(&slab, NULL, sizeof(struct cell));
}

static void sizes_are_apart(void **state)
{
    (void)state;
    struct slab slab = {0};
    uint8_t *cells[SLAB_SIZE_MAX + 2];
    for (size_t size = 1; size < ARRAY_LENGTH(cells); size++) { /* the last one is the heap's */
        cells[size] = slab_take(&slab, size);
        assert_non_null(cells[size]);
        memset(cells[size], (int)(size % 255) + 1, size);
    }
    assert_int_equal(slab.blocks, SLAB_SIZE_MAX / SLAB_STEP);
    size_t spoiled = 0;
    for (size_t size = 1; size < ARRAY_LENGTH(cells); size++) {
        for (size_t at = 0; at < size; at++)
            spoiled += cells[size][at] != size % 255 + 1;
        size_t cell = (size + SLAB_STEP - 1) / SLAB_STEP * SLAB_STEP;
        assert_int_equal(slab_size_of(cells[size]), size <= SLAB_SIZE_MAX ? cell : 0);
        assert_int_equal((uintptr_t)cells[size] % (cell % 16 == 0 ? 16 : 8), 0);
        slab_give(&slab, cells[size], size);
    }
    assert_int_equal(spoiled, 0);
    slab_trim(&slab);
    assert_int_equal(slab.blocks, 0);
}

static void what_is_trimmed_was_empty(void **state)
{
    (void)state;
    struct slab slab = {0};
    uint64_t *kept = slab_take(&slab, 64);
    void *gone = slab_take(&slab, 128);
    *kept = 42;
    slab_give(&slab, gone, 128);
    slab_trim(&slab);
    assert_int_equal(slab.blocks, 1);
    assert_int_equal(*kept, 42);
    uint64_t *again = slab_take(&slab, 128);
    assert_int_equal(again[0], 0);
    slab_give(&slab, again, 128);
    slab_give(&slab, kept, 64);
    slab_trim(&slab);
    assert_int_equal(slab.blocks, 0);
}

static void texts_are_copied(void **state)
{
    (void)state;
    struct slab slab = {0};
    char *text = slab_take_text(&slab, "a session");
    assert_string_equal(text, "a session");
    slab_give_text(&slab, text);
    assert_ptr_equal(slab_take(&slab, sizeof "a session"), text);
    slab_give_text(&slab, NULL);
}

/* Takes cells, writes its own number into them, and looks whether that is still there when it gives them back. */
struct work {
    struct slab *slab;
    uint64_t number;
    size_t spoiled;
};

static void *take_and_give(void *argument)
{
    struct work *work = argument;
    uint64_t *cells[64] = {NULL};
    for (size_t i = 0; i < 1000000; i++) {
        uint64_t **cell = &cells[i * 7 % 64];
        if (*cell && **cell != work->number)
            work->spoiled++;
        slab_give(work->slab, *cell, 64);
        *cell = slab_take(work->slab, 64);
        if (**cell != 0)
            work->spoiled++;
        **cell = work->number;
    }
    for (size_t i = 0; i < 64; i++)
        slab_give(work->slab, cells[i], 64);
    return NULL;
}

static void threads_have_cells_of_their_own(void **state)
{
    (void)state;
    struct slab slab = {0};
    struct work works[3];
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        works[i] = (struct work){.slab = &slab, .number = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &works[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(works[i].spoiled, 0);
    }
    assert_int_equal(slab.blocks, 1);
}

static void sanitized_builds_use_the_heap(void **state)
{
    (void)state;
    struct slab slab = {.is_heap = true};
    struct cell *cell = slab_take(&slab, sizeof(struct cell));
    assert_int_equal(cell->words[15], 0);
    slab_give(&slab, cell, sizeof(struct cell));
    assert_int_equal(slab.blocks, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_do_not_overlap),          cmocka_unit_test(blocks_go_back),
        cmocka_unit_test(a_cell_is_zero_again),          cmocka_unit_test(sizes_are_apart),
        cmocka_unit_test(what_is_trimmed_was_empty),     cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(sanitized_builds_use_the_heap), cmocka_unit_test(threads_have_cells_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
