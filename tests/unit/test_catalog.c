/* SPDX-License-Identifier: MIT */
#include "worker/peer/catalog.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct limits limits = {.list_pages = 100, .list_items = 1000, .list_size = 1024 * 1024};

/* Adds the page and takes the outcome; *cursor is copied out as text, "none" for NULL. */
static int add(struct catalog *catalog, const char *page, char cursor[64])
{
    json_t *result = json_loads(page, JSON_ALLOW_NUL, NULL);
    assert_non_null(result);
    const char *next = NULL;
    int outcome = catalog_add_page(catalog, result, &next);
    if (outcome == 0)
        snprintf(cursor, 64, "%s", next != NULL ? next : "none");
    json_decref(result);
    return outcome;
}

/* A finished catalog of the pages. */
static struct catalog *make(enum kind kind, const char *const pages[], size_t count)
{
    struct catalog *catalog = catalog_create(kind, &limits);
    assert_non_null(catalog);
    for (size_t i = 0; i < count; i++) {
        char cursor[64];
        assert_int_equal(add(catalog, pages[i], cursor), 0);
    }
    catalog_finish(catalog);
    return catalog;
}

static struct catalog *make_one(const char *page)
{
    return make(KIND_TOOLS, &page, 1);
}

static const char *print_hash(const struct catalog *catalog, char out[33])
{
    struct fingerprint fingerprint = catalog_fingerprint(catalog);
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, fingerprint.high, fingerprint.low);
    return out;
}

static const char *hash_of(const char *page, char out[33])
{
    struct catalog *catalog = make_one(page);
    print_hash(catalog, out);
    catalog_destroy(catalog);
    return out;
}

static const char LIST[] =
    "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\",\"x\":[1,{\"p\":1,\"q\":2}]}},"
    "{\"name\":\"b\"},{\"name\":\"c\"}]}";

static void same_list_same_hash(void **state)
{
    (void)state;
    static const char *const same[] = {
        "{\"tools\":[{\"name\":\"c\"},{\"inputSchema\":{\"x\":[1,{\"q\":2,\"p\":1}],\"type\":\"object\"},\"name\":"
        "\"a\"},"
        "{\"name\":\"b\"}]}",
        "{\"resultType\":\"complete\",\"ttlMs\":5,\"tools\":[ {\"name\" : \"b\"}, {\"name\":\"c\"},\n"
        "{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\",\"x\":[1,{\"p\":1,\"q\":2}]}}],\"nextCursor\":null}",
        "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\",\"x\":[1,{\"p\":1,\"q\":2}]}},"
        "{\"name\":\"\\u0062\"},{\"name\":\"c\",\"execution\":{\"taskSupport\":\"forbidden\"}}]}",
    };
    char first[33], other[33];
    hash_of(LIST, first);
    for (size_t i = 0; i < ARRAY_LENGTH(same); i++)
        assert_string_equal(hash_of(same[i], other), first);
}

static void pages_make_no_difference(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "{\"tools\":[{\"name\":\"b\"}],\"nextCursor\":\"\"}",
        "{\"tools\":[],\"nextCursor\":\"1\"}",
        "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\",\"x\":[1,{\"p\":1,\"q\":2}]}},{\"name\":"
        "\"c\"}]}",
    };
    char whole[33], paged[33];
    struct catalog *catalog = make(KIND_TOOLS, pages, ARRAY_LENGTH(pages));
    assert_int_equal(catalog_count(catalog), 3);
    assert_string_equal(print_hash(catalog, paged), hash_of(LIST, whole));
    catalog_destroy(catalog);
}

static void other_lists_have_other_hashes(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "{\"tools\":[]}",
        "{\"tools\":[{\"name\":\"\"}]}",
        "{\"tools\":[{\"name\":\"a\"}]}",
        "{\"tools\":[{\"name\":\"a\"},{\"name\":\"a\"}]}",
        "{\"tools\":[{\"name\":\"b\"}]}",
        "{\"tools\":[{\"name\":\"a\\u0000\"}]}",
        "{\"tools\":[{\"name\":\"a\",\"x\":1}]}",
        "{\"tools\":[{\"name\":\"a\",\"x\":\"1\"}]}",
        "{\"tools\":[{\"name\":\"a\",\"x\":[1,2]}]}",
        "{\"tools\":[{\"name\":\"a\",\"x\":[2,1]}]}",
        "{\"tools\":[{\"name\":\"a\",\"x\":{\"execution\":1}}]}",
        "{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
        "{\"tools\":[{\"name\":\"ab\"}]}",
    };
    char hashes[ARRAY_LENGTH(lists)][33];
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        hash_of(lists[i], hashes[i]);
        assert_string_not_equal(hashes[i], "00000000000000000000000000000000");
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(hashes[i], hashes[k]);
    }
}

/* Kept in tables and registries: a build that computes another one would see changes everywhere. */
static void hashes_are_the_same_for_ever(void **state)
{
    (void)state;
    char hash[33];
    assert_string_equal(hash_of("{\"tools\":[]}", hash), "2c0a8a99dc147d5445c3b49d035665b2");
    assert_string_equal(hash_of(LIST, hash), "0680a825b96285f2fa65099fa6e3bea0");
}

static void repeated_names_are_in_one_order(void **state)
{
    (void)state;
    char one[33], other[33];
    hash_of("{\"tools\":[{\"name\":\"a\",\"x\":1},{\"name\":\"a\",\"x\":2}]}", one);
    hash_of("{\"tools\":[{\"name\":\"a\",\"x\":2},{\"name\":\"a\",\"x\":1}]}", other);
    assert_string_equal(one, other);
}

static void each_kind_has_its_key_and_name(void **state)
{
    (void)state;
    const char *prompts = "{\"prompts\":[{\"name\":\"p\"}]}";
    const char *resources = "{\"resources\":[{\"uri\":\"file:///x\",\"name\":\"n\"}]}";
    struct catalog *catalog = make(KIND_PROMPTS, &prompts, 1);
    assert_int_equal(catalog_count(catalog), 1);
    catalog_destroy(catalog);
    catalog = make(KIND_RESOURCES, &resources, 1);
    assert_int_equal(catalog_count(catalog), 1);
    catalog_destroy(catalog);

    char cursor[64];
    catalog = catalog_create(KIND_RESOURCES, &limits);
    assert_int_equal(add(catalog, "{\"resources\":[{\"name\":\"n\"}]}", cursor), CATALOG_MALFORMED);
    catalog_destroy(catalog);
}

static void items_are_kept_as_they_came_when_that_is_wanted(void **state)
{
    (void)state;
    char cursor[64];
    struct catalog *catalog = catalog_create(KIND_TOOLS, &limits);
    assert_int_equal(catalog_keep_items(catalog), 0);
    assert_int_equal(add(catalog, "{\"tools\":[{\"name\":\"b\",\"execution\":1}],\"nextCursor\":\"x\"}", cursor), 0);
    assert_int_equal(add(catalog, "{\"tools\":[{\"name\":\"a\"}]}", cursor), 0);
    catalog_finish(catalog);
    char *text = json_dumps(catalog_items(catalog), JSON_COMPACT);
    assert_string_equal(text, "[{\"name\":\"b\",\"execution\":1},{\"name\":\"a\"}]");
    free(text);
    catalog_destroy(catalog);
    catalog = catalog_create(KIND_TOOLS, &limits);
    assert_null(catalog_items(catalog));
    catalog_destroy(catalog);
}

static void malformed_pages_are_told(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "{}",
        "[]",
        "{\"tools\":{}}",
        "{\"tools\":null}",
        "{\"tools\":[1]}",
        "{\"tools\":[{}]}",
        "{\"tools\":[{\"name\":1}]}",
        "{\"tools\":[],\"nextCursor\":7}",
        "{\"prompts\":[]}",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++) {
        char cursor[64];
        struct catalog *catalog = catalog_create(KIND_TOOLS, &limits);
        assert_int_equal(add(catalog, pages[i], cursor), CATALOG_MALFORMED);
        catalog_destroy(catalog);
    }
}

static void cursors_are_given_and_may_not_repeat(void **state)
{
    (void)state;
    char cursor[64];
    struct catalog *catalog = catalog_create(KIND_TOOLS, &limits);
    assert_int_equal(add(catalog, "{\"tools\":[],\"nextCursor\":\"a\"}", cursor), 0);
    assert_string_equal(cursor, "a");
    assert_int_equal(add(catalog, "{\"tools\":[],\"nextCursor\":\"\"}", cursor), 0);
    assert_string_equal(cursor, "");
    assert_int_equal(add(catalog, "{\"tools\":[],\"nextCursor\":\"a\"}", cursor), CATALOG_LOOPS);
    catalog_destroy(catalog);

    catalog = catalog_create(KIND_TOOLS, &limits);
    assert_int_equal(add(catalog, "{\"tools\":[]}", cursor), 0);
    assert_string_equal(cursor, "none");
    catalog_destroy(catalog);
}

static void pages_are_bounded(void **state)
{
    (void)state;
    struct catalog *catalog = catalog_create(KIND_TOOLS, &limits);
    char page[64], cursor[64];
    for (int i = 1; i < (int)limits.list_pages; i++) {
        snprintf(page, sizeof(page), "{\"tools\":[],\"nextCursor\":\"%d\"}", i);
        assert_int_equal(add(catalog, page, cursor), 0);
    }
    assert_int_equal(add(catalog, "{\"tools\":[],\"nextCursor\":\"more\"}", cursor), CATALOG_TOO_LARGE);
    catalog_destroy(catalog);
}

static int add_items(size_t count, size_t text_size, size_t name_size)
{
    json_t *array = json_array();
    char *text = malloc(text_size + name_size + 1);
    assert_non_null(text);
    memset(text, 'x', text_size + name_size);
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_pack("{s:s#, s:s#}", "name", text, (int)name_size, "text", text, (int)text_size);
        assert_int_equal(json_array_append_new(array, item), 0);
    }
    free(text);
    json_t *result = json_pack("{s:o}", "tools", array);
    struct catalog *catalog = catalog_create(KIND_TOOLS, &limits);
    const char *cursor;
    int outcome = catalog_add_page(catalog, result, &cursor);
    catalog_destroy(catalog);
    json_decref(result);
    return outcome;
}

static void items_bytes_and_names_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(add_items(limits.list_items, 1, 1), 0);
    assert_int_equal(add_items(limits.list_items + 1, 1, 1), CATALOG_TOO_LARGE);
    enum { AROUND = sizeof("{\"name\":\"x\",\"text\":\"\"}") - 1 };
    assert_int_equal(add_items(1, limits.list_size - AROUND, 1), 0);
    assert_int_equal(add_items(1, limits.list_size - AROUND + 1, 1), CATALOG_TOO_LARGE);
    assert_int_equal(add_items(2, limits.list_size / 2 - AROUND, 1), 0);
    assert_int_equal(add_items(2, limits.list_size / 2 - AROUND + 1, 1), CATALOG_TOO_LARGE);
    assert_int_equal(add_items(1, 1, CATALOG_NAME_MAX), 0);
    assert_int_equal(add_items(1, 1, CATALOG_NAME_MAX + 1), CATALOG_TOO_LARGE);
}

static void assert_diff(const char *before, const char *after, const char *wanted)
{
    struct catalog *old = make_one(before), *new = make_one(after);
    struct catalog_digest *digest = catalog_digest(old);
    assert_non_null(digest);
    catalog_destroy(old);
    json_t *diff = catalog_diff(digest, new);
    char *text = json_dumps(diff, JSON_COMPACT);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(diff);
    free(digest);
    catalog_destroy(new);
}

static void differences_are_told_by_name(void **state)
{
    (void)state;
    assert_diff("{\"tools\":[]}", "{\"tools\":[]}", "{\"added\":[],\"removed\":[],\"changed\":[]}");
    assert_diff(LIST, LIST, "{\"added\":[],\"removed\":[],\"changed\":[]}");
    assert_diff("{\"tools\":[]}", "{\"tools\":[{\"name\":\"b\"},{\"name\":\"a\"}]}",
                "{\"added\":[\"a\",\"b\"],\"removed\":[],\"changed\":[]}");
    assert_diff("{\"tools\":[{\"name\":\"b\"},{\"name\":\"a\"}]}", "{\"tools\":[]}",
                "{\"added\":[],\"removed\":[\"a\",\"b\"],\"changed\":[]}");
    assert_diff("{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"d\",\"x\":1}]}",
                "{\"tools\":[{\"name\":\"d\",\"x\":2},{\"name\":\"c\"},{\"name\":\"b\"}]}",
                "{\"added\":[\"c\"],\"removed\":[\"a\"],\"changed\":[\"d\"]}");
}

static void repeated_names_are_told_once(void **state)
{
    (void)state;
    const char *one = "{\"tools\":[{\"name\":\"a\"}]}", *two = "{\"tools\":[{\"name\":\"a\"},{\"name\":\"a\"}]}";
    assert_diff(one, two, "{\"added\":[],\"removed\":[],\"changed\":[\"a\"]}");
    assert_diff(two, one, "{\"added\":[],\"removed\":[],\"changed\":[\"a\"]}");
    assert_diff(two, two, "{\"added\":[],\"removed\":[],\"changed\":[]}");
    assert_diff("{\"tools\":[]}", two, "{\"added\":[\"a\"],\"removed\":[],\"changed\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_list_same_hash),
        cmocka_unit_test(pages_make_no_difference),
        cmocka_unit_test(other_lists_have_other_hashes),
        cmocka_unit_test(hashes_are_the_same_for_ever),
        cmocka_unit_test(repeated_names_are_in_one_order),
        cmocka_unit_test(each_kind_has_its_key_and_name),
        cmocka_unit_test(items_are_kept_as_they_came_when_that_is_wanted),
        cmocka_unit_test(malformed_pages_are_told),
        cmocka_unit_test(cursors_are_given_and_may_not_repeat),
        cmocka_unit_test(pages_are_bounded),
        cmocka_unit_test(items_bytes_and_names_are_bounded),
        cmocka_unit_test(differences_are_told_by_name),
        cmocka_unit_test(repeated_names_are_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
