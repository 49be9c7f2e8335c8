/* SPDX-License-Identifier: MIT */
/* Writers of the table are killed at random moments, under readers: no reader may ever get a copy that is not whole, and
 * who comes after a killed writer must find the row that it left torn, and be able to repair it.
 *
 *   readers   two processes; they copy rows and lists all the time and check each copy
 *   writer    one process after the other; writes rows as fast as it can until it gets SIGKILL
 *   main      kills the writer, looks at every row as its successor would, repairs, starts the next
 *
 * Which moment a kill hits is chance; the sequence of pauses is not (SEED). */
#include "common/clock.h"
#include "common/table.h"
#include "tests/stress/numbered_row.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 4, READERS = 2, RUN_MS = 3000, PAUSE_MAX_US = 3000, SEED = 20260131, ROUNDS_AT_LEAST = 50 };

static char dir[] = "/dev/shm/stress_table.XXXXXX";

static void die(const char *what)
{
    fprintf(stderr, "stress_table: %s\n", what);
    _exit(1);
}

static struct table *open_table(enum table_access access)
{
    struct table *table;
    char error[TABLE_ERROR_SIZE];
    if (table_open(dir, access, &table, error) != 0) {
        die(error);
    }
    return table;
}

/* The list's time is the generation in every row that table_change stores here, and both come from one moment. */
static void check_list(const struct table *table, uint32_t row)
{
    struct row_list list;
    uint64_t generation;
    if (table_list_read(table, row, KIND_PROMPTS, &list, &generation) == 0 && list.changed_ms != generation) {
        die("a list and its generation are of different moments");
    }
}

static void read_until(uint64_t end_ms)
{
    struct table *table = open_table(TABLE_READ_ONLY);
    uint64_t whole = 0;
    while (clock_mono_ms() < end_ms) {
        for (uint32_t row = 0; row < ROWS; row++) {
            struct row copy;
            int result = table_row_read(table, row, &copy);
            if (result == 0 && !numbered_row_is_whole(&copy)) {
                die("a torn copy was returned as whole");
            }
            if (result != 0 && result != TABLE_BUSY) {
                die("a reader was told something else than busy");
            }
            whole += result == 0;
            check_list(table, row);
        }
    }
    if (whole == 0) {
        die("a reader has read nothing");
    }
    table_close(table);
    _exit(0);
}

/* Stores what belongs to the next number. */
static void change(struct table *table, uint32_t row)
{
    struct row value = numbered_row(table_generation(table, row, KIND_PROMPTS) + 1);
    if (table_change(table, row, KIND_PROMPTS, &value) != value.notifications) {
        die("a generation was not counted");
    }
}

static void write_for_ever(void)
{
    struct table *table = open_table(TABLE_READ_WRITE);
    for (uint32_t i = 0;; i++) {
        change(table, i % ROWS);
    }
}

static pid_t start_reader(uint64_t end_ms)
{
    pid_t pid = fork();
    if (pid == 0) {
        read_until(end_ms);
    }
    return pid;
}

static pid_t start_writer(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        write_for_ever();
    }
    return pid;
}

static void kill_and_reap(pid_t writer)
{
    int status;
    kill(writer, SIGKILL);
    if (waitpid(writer, &status, 0) != writer || !WIFSIGNALED(status)) {
        die("a writer ended by itself");
    }
}

/* What the next owner does with its rows. Returns how many were torn. */
static unsigned succeed(struct table *table, uint64_t *generations)
{
    unsigned torn = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        struct row copy;
        uint64_t generation = table_generation(table, row, KIND_PROMPTS);
        if (generation < generations[row]) {
            die("a generation went backwards");
        }
        generations[row] = generation;
        if (table_row_is_torn(table, row)) {
            if (table_row_read(table, row, &copy) != TABLE_BUSY) {
                die("a torn row could be read");
            }
            struct row repaired = numbered_row(generation);
            table_row_repair(table, row, &repaired);
            torn++;
        }
        if (table_row_read(table, row, &copy) != 0 || copy.notifications != generation ||
            !numbered_row_is_whole(&copy)) {
            die("a row that nobody writes is not whole");
        }
    }
    return torn;
}

static struct table *make_table(void)
{
    struct table *table;
    bool taken_over;
    char error[TABLE_ERROR_SIZE];
    if (mkdtemp(dir) == NULL) {
        die("no directory in /dev/shm");
    }
    if (table_create(dir, 64, &table, &taken_over, error) != 0) {
        die(error);
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        if (table_row_reserve(table, row) != 0) {
            die("no memory for a row");
        }
        change(table, row);
    }
    return table;
}

static void remove_table(struct table *table)
{
    char file[sizeof(dir) + 8];
    table_close(table);
    snprintf(file, sizeof(file), "%s/table", dir);
    unlink(file);
    rmdir(dir);
}

int main(void)
{
    struct table *table = make_table();
    uint64_t end_ms = clock_mono_ms() + RUN_MS;
    uint64_t generations[ROWS] = {0};
    unsigned rounds = 0, torn = 0, failed_readers = 0;
    pid_t readers[READERS];

    srand(SEED);
    for (int i = 0; i < READERS; i++) {
        readers[i] = start_reader(end_ms);
    }
    for (; clock_mono_ms() < end_ms; rounds++) {
        pid_t writer = start_writer();
        struct timespec pause = {.tv_nsec = rand() % PAUSE_MAX_US * 1000L};
        nanosleep(&pause, NULL);
        kill_and_reap(writer);
        torn += succeed(table, generations);
    }
    for (int i = 0; i < READERS; i++) {
        int status;
        failed_readers += waitpid(readers[i], &status, 0) != readers[i] || status != 0;
    }
    printf("%u writers killed, %u torn rows repaired, last generation %" PRIu64 "\n", rounds, torn, generations[0]);
    remove_table(table);
    return failed_readers != 0 || rounds < ROUNDS_AT_LEAST || torn == 0;
}
