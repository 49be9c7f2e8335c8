/* SPDX-License-Identifier: MIT */
/* What stands in the shared-memory table: rows whole, torn and repaired; generations, dirty bits, slots. */
#include "tests/unit/table_fixture.h"

#include <sys/stat.h>

static void new_table_is_empty(void **state)
{
    struct fixture *fixture = *state;
    assert_false(create(fixture, CAPACITY));
    assert_string_equal(fixture->error, "");
    assert_int_equal(table_capacity(fixture->table), CAPACITY);
    assert_int_equal(strlen(table_instance(fixture->table)), 32);
    assert_true(table_created_ms(fixture->table) > 0);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        struct row row = {.state = STATE_FAILED};
        uint32_t incarnation = 1;
        assert_int_equal(table_row_read(fixture->table, i, &row), 0);
        assert_int_equal(row.state, STATE_NONE);
        assert_int_equal(table_row_state(fixture->table, i), STATE_NONE);
        assert_int_equal(table_row_owner(fixture->table, i, &incarnation), TABLE_NO_OWNER);
        assert_int_equal(incarnation, 0);
        assert_false(table_row_is_torn(fixture->table, i));
    }
}

static void file_is_for_user_and_group(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    create(fixture, CAPACITY);
    assert_int_equal(stat(fixture->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

/* Looking at a whole table must not use the memory that rows would have. */
static void rows_without_memory_stay_without(void **state)
{
    struct fixture *fixture = *state;
    struct stat before, after;
    create(fixture, 100000);
    assert_int_equal(stat(fixture->file, &before), 0);
    for (uint32_t i = 0; i < 100000; i++) {
        struct row row;
        uint32_t incarnation;
        assert_int_equal(table_row_read(fixture->table, i, &row), 0);
        assert_int_equal(table_generation(fixture->table, i, KIND_TOOLS), 0);
        assert_int_equal(table_row_owner(fixture->table, i, &incarnation), TABLE_NO_OWNER);
    }
    assert_int_equal(stat(fixture->file, &after), 0);
    assert_int_equal(before.st_blocks, after.st_blocks);
    assert_int_equal(table_row_reserve(fixture->table, 50000), 0);
    assert_int_equal(table_row_reserve(fixture->table, 50000), 0);
    assert_int_equal(stat(fixture->file, &after), 0);
    assert_int_equal(before.st_blocks + TABLE_PAGE / 512, after.st_blocks);
}

static void rows_come_back_as_written(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        struct row written, read;
        memset(&written, (int)(i % 127 + 1), sizeof(written)); /* ASCII: texts */
        written.server_id[ROW_ID_SIZE - 1] = written.server_name[ROW_NAME_SIZE - 1] = '\0';
        written.workspace_id[ROW_SCOPE_SIZE - 1] = written.user_id[ROW_SCOPE_SIZE - 1] = '\0';
        written.last_error[ROW_ERROR_SIZE - 1] = written.server_info[ROW_SERVER_INFO_SIZE - 1] = '\0';
        written.protocol_version[ROW_VERSION_SIZE - 1] = '\0';
        assert_int_equal(table_row_reserve(fixture->table, i), 0);
        table_row_write(fixture->table, i, &written);
        assert_int_equal(table_row_read(fixture->table, i, &read), 0);
        assert_memory_equal(&written, &read, sizeof(read));
        assert_int_equal(table_row_state(fixture->table, i), written.state);
    }
    struct row row;
    assert_int_equal(table_row_read(fixture->table, CAPACITY, &row), TABLE_NO_ROW);
    assert_int_equal(table_row_read(fixture->table, UINT32_MAX, &row), TABLE_NO_ROW);
}

static void scribbled_texts_are_terminated(void **state)
{
    struct fixture *fixture = *state;
    struct row row;
    create(fixture, CAPACITY);
    memset(&row, 'x', sizeof(row));
    assert_int_equal(table_row_reserve(fixture->table, 0), 0);
    table_row_write(fixture->table, 0, &row);
    assert_int_equal(table_row_read(fixture->table, 0, &row), 0);
    assert_int_equal(strlen(row.server_id), ROW_ID_SIZE - 1);
    assert_int_equal(strlen(row.server_name), ROW_NAME_SIZE - 1);
    assert_int_equal(strlen(row.workspace_id), ROW_SCOPE_SIZE - 1);
    assert_int_equal(strlen(row.user_id), ROW_SCOPE_SIZE - 1);
    assert_int_equal(strlen(row.last_error), ROW_ERROR_SIZE - 1);
    assert_int_equal(strlen(row.server_info), ROW_SERVER_INFO_SIZE - 1);
    assert_int_equal(strlen(row.protocol_version), ROW_VERSION_SIZE - 1);
}

static void scribbled_texts_are_utf8(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    struct row row = row_called("a\xff"), copy;
    table_text(row.last_error, sizeof(row.last_error), "gr\xc3\xbcn \xc3");
    assert_int_equal(table_row_reserve(fixture->table, 3), 0);
    table_row_write(fixture->table, 3, &row);
    assert_int_equal(table_row_read(fixture->table, 3, &copy), 0);
    assert_string_equal(copy.server_id, "a?");
    assert_string_equal(copy.last_error, "gr\xc3\xbcn ?");
}

static void mark_that_was_wiped_lists_nothing(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    table_row_set_listed(fixture->table, 5, true); /* never reserved: as if another process had wiped it */
    assert_false(table_row_is_listed(fixture->table, 5));
    assert_int_equal(table_row_reserve(fixture->table, 5), 0);
    table_row_set_listed(fixture->table, 5, true);
    assert_true(table_row_is_listed(fixture->table, 5));
}

static void texts_are_cut_between_characters(void **state)
{
    (void)state;
    char field[8] = "zzzzzzz";
    table_text(field, sizeof(field), "ab");
    assert_memory_equal(field, "ab\0\0\0\0\0\0", sizeof(field));
    table_text(field, sizeof(field), "1234567");
    assert_string_equal(field, "1234567");
    table_text(field, sizeof(field), "12345678");
    assert_string_equal(field, "1234567");
    table_text(field, sizeof(field), "123456\xc3\xa4");
    assert_string_equal(field, "123456");
    table_text(field, sizeof(field), "12345\xf0\x9f\x98\x80");
    assert_string_equal(field, "12345");
    table_text(field, sizeof(field), "12345\xc3\xa4\xc3\xa4");
    assert_string_equal(field, "12345\xc3\xa4");
    table_text(field, sizeof(field), NULL);
    assert_memory_equal(field, "\0\0\0\0\0\0\0\0", sizeof(field));
}

static void rows_are_listed_when_the_hub_says_so(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    assert_false(table_row_is_listed(fixture->table, 3));
    assert_false(table_row_is_listed(fixture->table, CAPACITY));
    assert_int_equal(table_row_reserve(fixture->table, 3), 0);
    assert_false(table_row_is_listed(fixture->table, 3));
    table_row_set_listed(fixture->table, 3, true);
    assert_int_equal(table_row_reserve(fixture->table, 3), 0);
    assert_true(table_row_is_listed(fixture->table, 3));
    table_row_set_listed(fixture->table, 3, false);
    assert_false(table_row_is_listed(fixture->table, 3));
}

static int64_t memory_of(const struct fixture *fixture)
{
    struct stat status;
    assert_int_equal(stat(fixture->file, &status), 0);
    return (int64_t)status.st_blocks * 512;
}

static void reserve_all(struct table *table)
{
    for (uint32_t i = 0; i < CAPACITY; i++) {
        struct row row = row_called("a");
        assert_int_equal(table_row_reserve(table, i), 0);
        table_row_set_owner(table, i, TABLE_NO_OWNER, i + 1);
        table_row_write(table, i, &row);
    }
}

static void retire(struct table *table, uint32_t row)
{
    const struct row empty = {0};
    table_row_write(table, row, &empty);
    table_row_retire(table, row);
}

static void retired_rows_give_their_memory_back(void **state)
{
    struct fixture *fixture = *state;
    struct row row;
    uint32_t incarnation;
    create(fixture, CAPACITY);
    int64_t before = memory_of(fixture);
    reserve_all(fixture->table);
    int64_t full = memory_of(fixture);
    assert_true(full - before >= (int64_t)(CAPACITY * sizeof(struct layout_row)));
    for (uint32_t i = 0; i < CAPACITY; i += 2) /* no page of them is whole */
        retire(fixture->table, i);
    table_rows_give_back(fixture->table, 0, CAPACITY);
    assert_int_equal(memory_of(fixture), full);
    for (uint32_t i = 1; i < CAPACITY; i += 2) {
        assert_int_equal(table_row_read(fixture->table, i, &row), 0);
        assert_string_equal(row.server_id, "a");
    }
    for (uint32_t i = 1; i < CAPACITY - 1; i += 2) { /* one after the other, as it happens */
        retire(fixture->table, i);
        table_rows_give_back(fixture->table, i, i + 1);
    }
    assert_true(memory_of(fixture) - before <= 2 * TABLE_PAGE); /* of the last row */
    assert_int_equal(table_row_read(fixture->table, CAPACITY - 1, &row), 0);
    assert_string_equal(row.server_id, "a");
    assert_int_equal(table_row_read(fixture->table, 7, &row), 0);
    assert_string_equal(row.server_id, "");
    assert_int_equal(table_row_owner(fixture->table, 7, &incarnation), TABLE_NO_OWNER);
    assert_int_equal(incarnation, 8);
}

static void retired_row_goes_on_with_its_incarnation(void **state)
{
    struct fixture *fixture = *state;
    struct row row;
    uint32_t incarnation;
    create(fixture, CAPACITY);
    reserve_all(fixture->table);
    for (uint32_t i = 0; i < CAPACITY; i++)
        retire(fixture->table, i);
    assert_false(table_row_is_listed(fixture->table, 9));
    assert_int_equal(table_row_reserve(fixture->table, 9), 0); /* before its memory is gone */
    table_rows_give_back(fixture->table, 0, CAPACITY);
    assert_int_equal(table_row_reserve(fixture->table, 10), 0); /* after */
    for (uint32_t i = 9; i <= 10; i++) {
        assert_int_equal(table_row_owner(fixture->table, i, &incarnation), TABLE_NO_OWNER);
        assert_int_equal(incarnation, i + 1);
        assert_int_equal(table_row_read(fixture->table, i, &row), 0);
        assert_string_equal(row.server_id, "");
        assert_int_equal(table_generation(fixture->table, i, KIND_TOOLS), 0);
    }
}

static void owners_are_kept_with_their_incarnation(void **state)
{
    struct fixture *fixture = *state;
    uint32_t incarnation;
    create(fixture, CAPACITY);
    assert_int_equal(table_row_reserve(fixture->table, 3), 0);
    table_row_set_owner(fixture->table, 3, TABLE_SLOTS - 1, UINT32_MAX);
    assert_int_equal(table_row_owner(fixture->table, 3, &incarnation), TABLE_SLOTS - 1);
    assert_int_equal(incarnation, UINT32_MAX);
    table_row_set_owner(fixture->table, 3, TABLE_NO_OWNER, 7);
    assert_int_equal(table_row_owner(fixture->table, 3, &incarnation), TABLE_NO_OWNER);
    assert_int_equal(incarnation, 7);
    atomic_store(&fixture->table->rows[3].owner, TABLE_SLOTS + 1);
    assert_int_equal(table_row_owner(fixture->table, 3, &incarnation), TABLE_NO_OWNER);
    assert_int_equal(table_row_owner(fixture->table, CAPACITY, &incarnation), TABLE_NO_OWNER);
}

/* What a writer leaves that is killed between two words. */
static void tear(struct table *table, uint32_t row)
{
    atomic_fetch_add(&table->rows[row].sequence, 1);
    atomic_store(&table->rows[row].payload[0], UINT64_MAX);
}

static void torn_row_is_busy_and_can_be_repaired(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("before"), repaired = row_called("repaired"), read = row_called("untouched");
    struct row_list list = {.count = 42};
    uint64_t generation = 43;
    create(fixture, CAPACITY);
    assert_int_equal(table_row_reserve(fixture->table, 5), 0);
    table_row_write(fixture->table, 5, &row);
    assert_false(table_row_is_torn(fixture->table, 5));

    tear(fixture->table, 5);
    assert_true(table_row_is_torn(fixture->table, 5));
    assert_int_equal(table_row_read(fixture->table, 5, &read), TABLE_BUSY);
    assert_string_equal(read.server_id, "untouched");
    assert_int_equal(table_list_read(fixture->table, 5, KIND_TOOLS, &list, &generation), TABLE_BUSY);
    assert_int_equal(list.count, 42);
    assert_int_equal(generation, 43);

    table_row_repair(fixture->table, 5, &repaired);
    assert_false(table_row_is_torn(fixture->table, 5));
    assert_int_equal(table_row_read(fixture->table, 5, &read), 0);
    assert_memory_equal(&read, &repaired, sizeof(read));
}

/* A torn row survives the take-over as what it is. */
static void torn_row_is_found_by_the_next_owner(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    assert_int_equal(table_row_reserve(fixture->table, 5), 0);
    tear(fixture->table, 5);
    assert_true(create(fixture, CAPACITY));
    assert_true(table_row_is_torn(fixture->table, 5));
    assert_false(table_row_is_torn(fixture->table, 4));
}

static void changes_are_counted_and_marked(void **state)
{
    struct fixture *fixture = *state;
    struct row row = row_called("a");
    struct row_list list;
    uint64_t generation;
    create(fixture, CAPACITY);
    assert_int_equal(table_row_reserve(fixture->table, 129), 0);
    table_set_generation(fixture->table, 129, KIND_PROMPTS, 41);
    row.lists[KIND_PROMPTS] = (struct row_list){.changed_ms = 1234, .count = 5, .reason = REASON_POLL, .current = 1};
    assert_int_equal(table_change(fixture->table, 129, KIND_PROMPTS, &row), 42);
    row.lists[KIND_PROMPTS].changed_ms = 1235;
    assert_int_equal(table_change(fixture->table, 129, KIND_PROMPTS, &row), 43);

    assert_int_equal(table_generation(fixture->table, 129, KIND_PROMPTS), 43);
    assert_int_equal(table_generation(fixture->table, 129, KIND_TOOLS), 0);
    assert_int_equal(table_generation(fixture->table, CAPACITY, KIND_TOOLS), 0);
    assert_int_equal(table_list_read(fixture->table, 129, KIND_PROMPTS, &list, &generation), 0);
    assert_memory_equal(&list, &row.lists[KIND_PROMPTS], sizeof(list));
    assert_int_equal(generation, 43);
    assert_int_equal(table_list_read(fixture->table, 129, KIND_TOOLS, &list, &generation), 0);
    assert_int_equal(generation, 0);
    assert_int_equal(table_list_read(fixture->table, CAPACITY, KIND_TOOLS, &list, &generation), TABLE_NO_ROW);

    assert_int_equal(table_take_dirty(fixture->table, 0), 0);
    assert_int_equal(table_take_dirty(fixture->table, 1), 0);
    assert_int_equal(table_take_dirty(fixture->table, 2), 1u << 1);
    assert_int_equal(table_take_dirty(fixture->table, 2), 0);
}

static void dirty_bits_are_one_a_row(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    table_mark_dirty(fixture->table, 0);
    table_mark_dirty(fixture->table, 63);
    table_mark_dirty(fixture->table, 63);
    table_mark_dirty(fixture->table, 64);
    assert_true(table_take_dirty(fixture->table, 0) == (UINT64_C(1) | UINT64_C(1) << 63));
    assert_true(table_take_dirty(fixture->table, 1) == 1);
    assert_true(table_take_dirty(fixture->table, 0) == 0);
}

static void published_is_apart_from_the_row(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    table_set_published(fixture->table, 7, KIND_RESOURCES, UINT64_MAX);
    assert_true(table_published(fixture->table, 7, KIND_RESOURCES) == UINT64_MAX);
    assert_true(table_published(fixture->table, 7, KIND_TOOLS) == 0);
    assert_true(table_published(fixture->table, 8, KIND_TOOLS) == 0);
    assert_true(table_published(fixture->table, CAPACITY, KIND_TOOLS) == 0);
}

static void slots_tell_of_their_process(void **state)
{
    struct fixture *fixture = *state;
    struct slot slot;
    create(fixture, CAPACITY);
    table_slot_begin(fixture->table, 2, 1);
    assert_int_equal(table_next_bell(fixture->table, 2), 1);
    assert_int_equal(table_next_bell(fixture->table, 2), 2);
    table_count(fixture->table, 2, COUNTER_CHANGES, 3);
    table_slot_beat(fixture->table, 2, 1500, 9);
    table_slot_read(fixture->table, 2, &slot);
    assert_int_equal(slot.pid, getpid());
    assert_int_equal(slot.start_count, 1);
    assert_int_equal(slot.loop_lag_us, 1500);
    assert_int_equal(slot.connections, 9);
    assert_true(slot.heartbeat_ms >= slot.started_ms && slot.started_ms > 0);

    table_slot_end(fixture->table, 2);
    table_slot_read(fixture->table, 2, &slot);
    assert_int_equal(slot.pid, 0);
    assert_int_equal(slot.connections, 0);

    table_slot_begin(fixture->table, 2, 2);
    table_count(fixture->table, 2, COUNTER_CHANGES, 1);
    assert_int_equal(table_next_bell(fixture->table, 2), 3);
    table_slot_read(fixture->table, 2, &slot);
    assert_int_equal(slot.start_count, 2);
    assert_int_equal(slot.counters[COUNTER_CHANGES], 4);
    assert_int_equal(slot.counters[COUNTER_CONNECTS], 0);
}

static void slots_do_not_overlap(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, CAPACITY);
    for (int i = TABLE_HUB; i < table_slot_count(fixture->table); i++) {
        table_count(fixture->table, i, COUNTER_CONNECTS, (uint64_t)(i + 2));
        table_count(fixture->table, i, COUNTER_COUNT - 1, (uint64_t)(i + 3));
    }
    table_mark_dirty(fixture->table, 0);
    for (int i = TABLE_HUB; i < table_slot_count(fixture->table); i++) {
        struct slot slot;
        table_slot_read(fixture->table, i, &slot);
        assert_int_equal(slot.counters[COUNTER_CONNECTS], i + 2);
        assert_int_equal(slot.counters[COUNTER_COUNT - 1], i + 3);
        assert_int_equal(slot.pid, 0);
    }
}

static void counters_have_names_and_help(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        assert_true(strlen(counter_name(i)) > 0);
        assert_true(strlen(counter_help(i)) > 0);
    }
    assert_string_equal(counter_name(COUNTER_COUNT), "unknown");
    assert_string_equal(counter_help(COUNTER_COUNT), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(new_table_is_empty),
        TEST(file_is_for_user_and_group),
        TEST(rows_without_memory_stay_without),
        TEST(rows_come_back_as_written),
        TEST(scribbled_texts_are_terminated),
        TEST(scribbled_texts_are_utf8),
        TEST(mark_that_was_wiped_lists_nothing),
        TEST(texts_are_cut_between_characters),
        TEST(rows_are_listed_when_the_hub_says_so),
        TEST(retired_rows_give_their_memory_back),
        TEST(retired_row_goes_on_with_its_incarnation),
        TEST(owners_are_kept_with_their_incarnation),
        TEST(torn_row_is_busy_and_can_be_repaired),
        TEST(torn_row_is_found_by_the_next_owner),
        TEST(changes_are_counted_and_marked),
        TEST(dirty_bits_are_one_a_row),
        TEST(published_is_apart_from_the_row),
        TEST(slots_tell_of_their_process),
        TEST(slots_do_not_overlap),
        TEST(counters_have_names_and_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
