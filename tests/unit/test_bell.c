/* SPDX-License-Identifier: MIT */
#include "common/bell.h"
#include "common/event.h"
#include "common/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct heard {
    struct bell bell;
    struct bell_item items[8];
    size_t count;
};

static void on_item(void *user, const struct bell *bell, const struct bell_item *item)
{
    struct heard *heard = user;
    heard->bell = *bell;
    if (heard->count < ARRAY_LENGTH(heard->items)) {
        heard->items[heard->count] = *item;
        heard->items[heard->count].diff = item->diff ? json_deep_copy(item->diff) : NULL;
    }
    heard->count++;
}

static void assert_same_head(const struct bell *bell, const struct bell *expected)
{
    assert_int_equal(bell->slot, expected->slot);
    assert_int_equal(bell->start_count, expected->start_count);
    assert_int_equal(bell->sequence, expected->sequence);
    assert_int_equal(bell->rung_us, expected->rung_us);
}

static void test_round_trip(void **state)
{
    (void)state;
    json_t *diff = json_pack("{s:[s], s:[], s:[]}", "added", "tool", "removed", "changed");
    const struct bell bell = {
        .slot = 3, .start_count = UINT64_MAX, .sequence = 5000000000, .rung_us = 1750000000000123};
    const struct bell_item items[] = {
        {.row = 0, .incarnation = 1, .type = KIND_TOOLS, .diff = diff},
        {.row = UINT32_MAX, .incarnation = UINT32_MAX, .type = EVENT_STATUS, .diff = NULL},
    };
    struct buf buf;
    buf_init(&buf, BELL_BYTES_MAX);
    assert_int_equal(bell_write(&buf, &bell, items, 2), 0);

    struct heard heard = {0};
    struct bell read;
    assert_int_equal(bell_read(buf.bytes, buf.size, &read, on_item, &heard), 0);
    assert_same_head(&read, &bell);
    assert_same_head(&heard.bell, &bell);
    assert_int_equal(heard.count, 2);
    assert_int_equal(heard.items[0].row, 0);
    assert_int_equal(heard.items[0].incarnation, 1);
    assert_int_equal(heard.items[0].type, KIND_TOOLS);
    assert_true(json_equal(heard.items[0].diff, diff));
    assert_int_equal(heard.items[1].row, UINT32_MAX);
    assert_int_equal(heard.items[1].type, EVENT_STATUS);
    assert_null(heard.items[1].diff);
    json_decref((json_t *)(uintptr_t)heard.items[0].diff);

    for (size_t size = 0; size < buf.size; size++) {
        uint8_t *piece = malloc(size > 0 ? size : 1);
        memcpy(piece, buf.bytes, size);
        struct heard nothing = {0};
        assert_int_equal(bell_read(piece, size, &read, on_item, &nothing), 1);
        assert_int_equal(nothing.count, 0);
        free(piece);
    }
    buf_fini(&buf);
    json_decref(diff);
}

static void test_many(void **state)
{
    (void)state;
    struct bell_item *items = calloc(BELL_ITEMS_MAX, sizeof(*items));
    for (uint32_t i = 0; i < BELL_ITEMS_MAX; i++)
        items[i].row = i;
    struct buf buf;
    buf_init(&buf, BELL_BYTES_MAX);
    const struct bell bell = {.slot = 0};
    assert_int_equal(bell_write(&buf, &bell, items, BELL_ITEMS_MAX), 0);
    struct heard heard = {0};
    struct bell read;
    assert_int_equal(bell_read(buf.bytes, buf.size, &read, on_item, &heard), 0);
    assert_int_equal(heard.count, BELL_ITEMS_MAX);
    buf_fini(&buf);

    buf_init(&buf, 100);
    assert_int_equal(bell_write(&buf, &bell, items, BELL_ITEMS_MAX), BUF_FULL);
    buf_fini(&buf);
    free(items);
}

/* The same message, given as JSON: one that is good, and what is wrong with the others. */
static int read_json(const char *json, size_t *count)
{
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_int_equal(pack_write(&buf, value), 0);
    struct heard heard = {0};
    struct bell bell;
    int result = bell_read(buf.bytes, buf.size, &bell, on_item, &heard);
    *count = heard.count;
    for (size_t i = 0; i < heard.count && i < ARRAY_LENGTH(heard.items); i++)
        json_decref((json_t *)(uintptr_t)heard.items[i].diff);
    buf_fini(&buf);
    json_decref(value);
    return result;
}

static void test_checks(void **state)
{
    (void)state;
    size_t count;
    assert_int_equal(read_json("[1,0,1,1,1,[[0,0,0,{}],[1,0,3,null]]]", &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(read_json("[1,0,1,1,1,[]]", &count), 0);
    assert_int_equal(count, 0);
    static const char *const refused[] = {
        "{}",
        "[]",
        "[2,0,1,1,1,[]]",
        "[0,0,1,1,1,[]]",
        "[1,-1,1,1,1,[]]",
        "[1,2147483648,1,1,1,[]]",
        "[1,0,\"1\",1,1,[]]",
        "[1,0,1,-5,1,[]]",
        "[1,0,1,1,1.5,[]]",
        "[1,0,1,1,1,null]",
        "[1,0,1,1,1,{}]",
        "[1,0,1,1,1,[],0]",
        "[1,0,1,1,1]",
        "[1,0,1,1,1,[1]]",
        "[1,0,1,1,1,[[0,0,0,null],[0,0,0]]]",
        "[1,0,1,1,1,[[0,0,0,{\"added\":[\"a\"]}],[0,0,4,null]]]",
        "[1,0,1,1,1,[[0,0,0,{\"added\":[\"a\"]}],[4294967296,0,0,null]]]",
        "[1,0,1,1,1,[[0,0,0,{\"added\":[\"a\"]}],[0,4294967296,0,null]]]",
        "[1,0,1,1,1,[[0,0,0,{\"added\":[\"a\"]}],[-1,0,0,null]]]",
        "[1,0,1,1,1,[[0,0,0,{\"added\":[\"a\"]}],[0,0,0,[]]]]",
        "[1,0,1,1,1,[[0,0,0,{\"added\":[\"a\"]}],[0,0,0,\"x\"]]]",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        if (read_json(refused[i], &count) != 1 || count != 0)
            fail_msg("taken: %s", refused[i]);
}

static void test_too_many(void **state)
{
    (void)state;
    json_t *items = json_array();
    for (int i = 0; i <= BELL_ITEMS_MAX; i++)
        json_array_append_new(items, json_pack("[i,i,i,n]", i, 0, 0));
    json_t *message = json_pack("[i,i,i,i,i,o]", 1, 0, 1, 1, 1, items);
    char *text = json_dumps(message, JSON_COMPACT);
    size_t count;
    assert_int_equal(read_json(text, &count), 1);
    free(text);
    json_array_remove(items, 0);
    text = json_dumps(message, JSON_COMPACT);
    assert_int_equal(read_json(text, &count), 0);
    assert_int_equal(count, BELL_ITEMS_MAX);
    free(text);
    json_decref(message);
}

static void test_diff_that_is_no_text(void **state)
{
    (void)state;
    const char bytes[] = "\x96\x01\x00\x01\x01\x01\x92\x94\x00\x00\x00\xc0\x94\x00\x00\x00\x81\xa1k\xa1\xff";
    struct heard heard = {0};
    struct bell bell;
    assert_int_equal(bell_read(bytes, sizeof(bytes) - 1, &bell, on_item, &heard), 1);
    assert_int_equal(heard.count, 0);
    char good[sizeof(bytes)];
    memcpy(good, bytes, sizeof(good));
    good[sizeof(good) - 2] = 'v';
    assert_int_equal(bell_read(good, sizeof(good) - 1, &bell, on_item, &heard), 0);
    assert_int_equal(heard.count, 2);
    json_decref((json_t *)(uintptr_t)heard.items[1].diff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_diff_that_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
