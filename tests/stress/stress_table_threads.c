/* SPDX-License-Identifier: MIT */
/* The table under ThreadSanitizer: one writer and two readers as threads on one mapping, since the sanitizer cannot look
 * across processes. It must have nothing to say, and the readers no copy that is not whole. */
#include "common/clock.h"
#include "common/table.h"
#include "tests/stress/numbered_row.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 2, READERS = 2, RUN_MS = 1000 };

static struct table *table;
static atomic_bool stop;
static atomic_uint broken_copies, whole_copies, changes_seen;

static void *read_rows(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        for (uint32_t row = 0; row < ROWS; row++) {
            struct row copy;
            struct row_list list;
            struct slot slot;
            uint64_t generation;
            if (table_row_read(table, row, &copy) == 0) {
                atomic_fetch_add(numbered_row_is_whole(&copy) ? &whole_copies : &broken_copies, 1);
            }
            if (table_list_read(table, row, KIND_PROMPTS, &list, &generation) == 0 && list.changed_ms != generation) {
                atomic_fetch_add(&broken_copies, 1);
            }
            if (table_take_dirty(table, 0) != 0) {
                atomic_fetch_add(&changes_seen, 1);
                table_set_published(table, row, KIND_PROMPTS, table_generation(table, row, KIND_PROMPTS));
            }
            table_slot_read(table, 0, &slot);
        }
    }
    return NULL;
}

static void write_rows(uint64_t end_ms)
{
    for (uint64_t number = 1; clock_mono_ms() < end_ms; number++) {
        for (uint32_t row = 0; row < ROWS; row++) {
            struct row value = numbered_row(number);
            table_change(table, row, KIND_PROMPTS, &value);
            table_count(table, 0, COUNTER_CHANGES, 1);
            table_slot_beat(table, 0, number, ROWS);
        }
    }
}

int main(void)
{
    char dir[] = "/dev/shm/stress_table_threads.XXXXXX", file[sizeof(dir) + 8], error[TABLE_ERROR_SIZE];
    pthread_t readers[READERS];
    bool taken_over;

    if (mkdtemp(dir) == NULL || table_create(dir, 64, &table, &taken_over, error) != 0) {
        return 1;
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        struct row value = numbered_row(0);
        if (table_row_reserve(table, row) != 0) {
            return 1;
        }
        table_row_write(table, row, &value);
    }
    for (int i = 0; i < READERS; i++) {
        if (pthread_create(&readers[i], NULL, read_rows, NULL) != 0) {
            return 1;
        }
    }
    write_rows(clock_mono_ms() + RUN_MS);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    table_close(table);
    snprintf(file, sizeof(file), "%s/table", dir);
    unlink(file);
    rmdir(dir);
    printf("%u whole copies, %u broken, %u changes seen\n", whole_copies, broken_copies, changes_seen);
    return whole_copies == 0 || broken_copies != 0 || changes_seen == 0;
}
