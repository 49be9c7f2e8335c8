/* SPDX-License-Identifier: MIT */
/* The table as a file: made, taken over, refused, and where it lies. The tests of the link need a run directory that is not
 * on tmpfs, and are skipped where /tmp is. */
#include "common/compiler.h"
#include "tests/unit/table_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static void same_table_is_taken_over(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("kept"), read;
    char instance[64];
    create(fixture, CAPACITY);
    snprintf(instance, sizeof(instance), "%s", table_instance(fixture->table));
    assert_int_equal(table_row_reserve(fixture->table, 9), 0);
    table_change(fixture->table, 9, KIND_TOOLS, &row);
    assert_true(create(fixture, CAPACITY));
    assert_string_equal(fixture->error, "");
    assert_string_equal(table_instance(fixture->table), instance);
    assert_int_equal(table_row_read(fixture->table, 9, &read), 0);
    assert_string_equal(read.server_id, "kept");
    assert_int_equal(table_generation(fixture->table, 9, KIND_TOOLS), 1);
}

/* A reader of the old table goes on reading it: the file was replaced, not changed. */
static void other_capacity_is_a_new_table(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("old"), read;
    struct table *reader;
    create(fixture, CAPACITY);
    assert_int_equal(table_row_reserve(fixture->table, 9), 0);
    table_row_write(fixture->table, 9, &row);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &reader, fixture->error), 0);
    assert_false(create(fixture, CAPACITY + 1));
    assert_non_null(strstr(fixture->error, "--capacity"));
    assert_int_equal(table_capacity(reader), CAPACITY);
    assert_int_equal(table_row_read(reader, 9, &read), 0);
    assert_string_equal(read.server_id, "old");
    assert_int_equal(table_row_read(fixture->table, 9, &read), 0);
    assert_string_equal(read.server_id, "");
    assert_string_not_equal(table_instance(fixture->table), table_instance(reader));
    table_close(reader);
}

static void read_only_sees_what_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("seen"), read;
    struct table *reader;
    create(fixture, CAPACITY);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &reader, fixture->error), 0);
    assert_int_equal(table_row_reserve(fixture->table, 1), 0);
    table_row_write(fixture->table, 1, &row);
    assert_int_equal(table_row_read(reader, 1, &read), 0);
    assert_string_equal(read.server_id, "seen");
    table_close(reader);
}

static void missing_table_is_absent(void **state)
{
    struct fixture *fixture = *state;
    struct table *table;
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), TABLE_ABSENT);
    assert_non_null(strstr(fixture->error, "no table in"));
    assert_non_null(strstr(fixture->error, "--run-dir"));
    assert_int_equal(table_open("/dev/shm/no/such/directory", TABLE_READ_ONLY, &table, fixture->error), TABLE_ABSENT);
}

static void create_needs_its_directory(void **state)
{
    struct fixture *fixture = *state;
    bool taken_over;
    assert_int_equal(table_create("/no/such/directory", 64, &fixture->table, &taken_over, fixture->error), -ENOENT);
    assert_non_null(strstr(fixture->error, "--run-dir"));
}

/* --- foreign files --- */

/* Opening refuses the file, and creating replaces it. */
static void check_refused(struct fixture *fixture, const char *expected_in_error)
{
    struct table *table;
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), TABLE_FOREIGN);
    if (strstr(fixture->error, expected_in_error) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", expected_in_error, fixture->error);
    }
    assert_int_equal(table_open(fixture->dir, TABLE_READ_WRITE, &table, fixture->error), TABLE_FOREIGN);
    assert_false(create(fixture, CAPACITY));
    assert_non_null(strstr(fixture->error, expected_in_error));
    assert_true(create(fixture, CAPACITY));
}

static void write_at(const char *path, off_t offset, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, offset), size);
    close(fd);
}

static void every_wrong_header_word_is_refused(void **state)
{
    static const struct {
        size_t offset, size;
        const char *error;
    } words[] = {
#define WORD(field, error) {offsetof(struct layout_header, field), sizeof(((struct layout_header *)0)->field), error}
        WORD(magic, "no table of mcp-broker"),
        WORD(layout_version, "table of layout"),
        WORD(layout_hash, "table of layout"),
        WORD(header_size, "damaged"),
        WORD(total_size, "damaged"),
        WORD(row_size, "damaged"),
        WORD(slot_size, "damaged"),
        WORD(slot_count, "damaged"),
        WORD(capacity, "damaged"),
        WORD(instance, "damaged"),
        WORD(hub_offset, "damaged"),
        WORD(slots_offset, "damaged"),
        WORD(dirty_offset, "damaged"),
        WORD(published_offset, "damaged"),
        WORD(rows_offset, "damaged"),
        WORD(reserved, "damaged"),
#undef WORD
    };
    static const uint8_t wrong[TABLE_PAGE] = {0x5a};
    uint8_t ones[64];
    memset(ones, 0xff, sizeof(ones));
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        create(fixture, CAPACITY);
        write_at(fixture->file, (off_t)words[i].offset, wrong, 1);
        if (words[i].offset != offsetof(struct layout_header, instance)) { /* any text is an instance */
            check_refused(fixture, words[i].error);
        }
        write_at(fixture->file, (off_t)words[i].offset, ones, words[i].size < 64 ? words[i].size : 64);
        check_refused(fixture, words[i].error);
    }
}

static void layout_error_names_both_versions(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t version = TABLE_LAYOUT_VERSION + 1;
    struct table *table;
    create(fixture, CAPACITY);
    write_at(fixture->file, offsetof(struct layout_header, layout_version), &version, sizeof(version));
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), TABLE_FOREIGN);
    assert_non_null(strstr(fixture->error, "table of layout 4"));
    assert_non_null(strstr(fixture->error, "this program has layout 3"));
    assert_non_null(strstr(fixture->error, "use the mcp-brokerctl of the running broker"));
}

static void every_wrong_length_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    create(fixture, CAPACITY);
    assert_int_equal(stat(fixture->file, &status), 0);
    const off_t lengths[] = {0, 1, 100, TABLE_PAGE - 1, TABLE_PAGE, status.st_size - 1, status.st_size + 1};
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        table_close(fixture->table); /* or the mapping would lose its pages */
        fixture->table = NULL;
        assert_int_equal(truncate(fixture->file, lengths[i]), 0);
        check_refused(fixture, lengths[i] < 8 ? "no table of mcp-broker" : "damaged");
    }
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct table *table;
    assert_int_equal(mkfifo(fixture->file, 0600), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), -EINVAL);
    assert_false(create(fixture, CAPACITY));
    assert_true(create(fixture, CAPACITY));
    unlink(fixture->file);
    assert_int_equal(symlink(fixture->file, fixture->file), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), -ELOOP);
    assert_false(create(fixture, CAPACITY));
}

/* --- a run directory on a disk --- */

static bool on_disk(const struct fixture *fixture)
{
    struct statfs filesystem;
    return statfs(fixture->dir, &filesystem) == 0 && filesystem.f_type != TMPFS_MAGIC;
}

static void read_target(struct fixture *fixture)
{
    ssize_t length = readlink(fixture->file, fixture->link_target, sizeof(fixture->link_target) - 1);
    assert_true(length > 0);
    fixture->link_target[length] = '\0';
}

static void table_on_disk_is_a_link_into_memory(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    struct table *reader;
    if (!on_disk(fixture)) {
        skip();
    }
    assert_false(create(fixture, CAPACITY));
    read_target(fixture);
    assert_int_equal(strncmp(fixture->link_target, "/dev/shm/mcp-broker-", 20), 0);
    assert_int_equal(stat(fixture->link_target, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &reader, fixture->error), 0);
    assert_string_equal(table_instance(reader), table_instance(fixture->table));
    table_close(reader);
    assert_true(create(fixture, CAPACITY));
}

static void stale_link_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct table *table;
    if (!on_disk(fixture)) {
        skip();
    }
    assert_int_equal(symlink("/dev/shm/no-such-table", fixture->file), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), TABLE_ABSENT);
    assert_false(create(fixture, CAPACITY));
    assert_true(create(fixture, CAPACITY));
}

/* After the run directory was emptied the file in memory may still be there; it is nobody's any more. */
static void file_without_its_link_is_not_taken_over(void **state)
{
    struct fixture *fixture = *state;
    if (!on_disk(fixture)) {
        skip();
    }
    assert_false(create(fixture, CAPACITY));
    unlink(fixture->file);
    assert_false(create(fixture, CAPACITY));
}

/* A regular file where the link should be was made by somebody else, or by a run directory on tmpfs. */
static void file_on_disk_is_replaced_by_a_link(void **state)
{
    struct fixture *fixture = *state;
    if (!on_disk(fixture)) {
        skip();
    }
    int fd = open(fixture->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_false(create(fixture, CAPACITY));
    read_target(fixture);
}

/* A link in /dev/shm is not followed, whoever planted it. */
static void planted_link_is_not_followed(void **state)
{
    struct fixture *fixture = *state;
    struct table *table;
    char victim[sizeof(fixture->dir) + 8];
    struct stat status;
    if (!on_disk(fixture)) {
        skip();
    }
    create(fixture, CAPACITY);
    read_target(fixture);
    snprintf(victim, sizeof(victim), "%s/victim", fixture->dir);
    int fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(unlink(fixture->link_target), 0);
    assert_int_equal(symlink(victim, fixture->link_target), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &table, fixture->error), -ELOOP);
    assert_false(create(fixture, CAPACITY));
    assert_int_equal(lstat(fixture->link_target, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(unlink(victim), 0);
}

/* Who may write is known until it is gone; who only reads does not matter. */
static void writers_are_known(void **state)
{
    struct fixture *fixture = *state;
    struct table *first, *second, *reader;
    assert_int_equal(table_in_use(fixture->dir), 0);
    create(fixture, CAPACITY);
    assert_int_equal(table_in_use(fixture->dir), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_ONLY, &reader, fixture->error), 0);
    assert_int_equal(table_in_use(fixture->dir), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_WRITE, &first, fixture->error), 0);
    assert_int_equal(table_open(fixture->dir, TABLE_READ_WRITE, &second, fixture->error), 0);
    table_close(first);
    assert_int_equal(table_in_use(fixture->dir), TABLE_IN_USE);
    table_close(second);
    assert_int_equal(table_in_use(fixture->dir), 0);
    table_close(reader);
}

int main(void)
{
#define TEST(name)      cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_on_disk, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(same_table_is_taken_over),
        TEST(other_capacity_is_a_new_table),
        TEST(read_only_sees_what_is_written),
        TEST(missing_table_is_absent),
        TEST(create_needs_its_directory),
        TEST(every_wrong_header_word_is_refused),
        TEST(layout_error_names_both_versions),
        TEST(every_wrong_length_is_refused),
        TEST(what_is_no_file_is_refused),
        TEST(writers_are_known),
        DISK_TEST(writers_are_known),
        DISK_TEST(table_on_disk_is_a_link_into_memory),
        DISK_TEST(stale_link_is_replaced),
        DISK_TEST(file_without_its_link_is_not_taken_over),
        DISK_TEST(file_on_disk_is_replaced_by_a_link),
        DISK_TEST(planted_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
