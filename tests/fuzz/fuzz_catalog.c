/* SPDX-License-Identifier: MIT */
/* Fuzz target of lists. The first byte says of which kind; the rest is JSON, an array of the pages of one list. A list
 * that is taken must be taken in one page, too, with its items in the other order and the keys in each of them reversed,
 * and must then have the same fingerprint and no difference; and another one without its first item. */
#include "worker/peer/catalog.h"

#include "worker/peer/jsonrpc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool is_same(struct fingerprint a, struct fingerprint b)
{
    return a.high == b.high && a.low == b.low;
}

/* The value with the keys of all its objects in the other order; a new reference. */
static json_t *reversed(json_t *value)
{
    json_t *copy = NULL;
    if (json_is_array(value)) {
        copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(copy, reversed(json_array_get(value, i)));
    } else if (json_is_object(value)) {
        json_t *keys = json_array();
        const char *key;
        json_t *member;
        json_object_foreach (value, key, member)
            json_array_insert_new(keys, 0, json_string(key));
        copy = json_object();
        for (size_t i = 0; i < json_array_size(keys); i++) {
            key = json_string_value(json_array_get(keys, i));
            json_object_set_new(copy, key, reversed(json_object_get(value, key)));
        }
        json_decref(keys);
    } else {
        copy = json_deep_copy(value);
    }
    require(copy != NULL);
    return copy;
}

static const struct limits LIMITS = {.list_pages = 100, .list_items = 10000, .list_size = 16 << 20};

/* All pages; NULL when the list is not taken. Its items are put before those of `items`, reversed. */
static struct catalog *read_pages(enum kind kind, const json_t *pages, json_t *items)
{
    struct catalog *catalog = catalog_create(kind, &LIMITS);
    for (size_t i = 0; i < json_array_size(pages); i++) {
        const json_t *page = json_array_get(pages, i);
        const char *cursor;
        if (catalog_add_page(catalog, page, &cursor) != 0) {
            catalog_destroy(catalog);
            return NULL;
        }
        const json_t *list = json_object_get(page, kind_name(kind));
        for (size_t at = 0; at < json_array_size(list); at++)
            json_array_insert_new(items, 0, reversed(json_array_get(list, at)));
    }
    catalog_finish(catalog);
    return catalog;
}

static struct catalog *read_items(enum kind kind, json_t *items)
{
    json_t *page = json_pack("{s:O}", kind_name(kind), items);
    struct catalog *catalog = catalog_create(kind, &LIMITS);
    const char *cursor;
    require(catalog_add_page(catalog, page, &cursor) == 0 && cursor == NULL);
    catalog_finish(catalog);
    json_decref(page);
    return catalog;
}

static void check_no_difference(const struct catalog *before, const struct catalog *after)
{
    struct catalog_digest *digest = catalog_digest(before);
    json_t *diff = catalog_diff(digest, after), *names;
    const char *key;
    require(json_object_size(diff) == 3);
    json_object_foreach (diff, key, names)
        require(json_array_size(names) == 0);
    json_decref(diff);
    free(digest);
}

static void check(enum kind kind, const json_t *pages)
{
    json_t *items = json_array();
    struct catalog *paged = read_pages(kind, pages, items);
    if (paged != NULL) {
        struct catalog *whole = read_items(kind, items);
        require(catalog_count(paged) == json_array_size(items) && catalog_count(whole) == catalog_count(paged));
        require(is_same(catalog_fingerprint(paged), catalog_fingerprint(whole)));
        check_no_difference(paged, whole);
        if (json_array_remove(items, 0) == 0) {
            struct catalog *less = read_items(kind, items);
            require(!is_same(catalog_fingerprint(paged), catalog_fingerprint(less)));
            catalog_destroy(less);
        }
        catalog_destroy(whole);
    }
    catalog_destroy(paged);
    json_decref(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    json_t *pages;
    if (size == 0 || jsonrpc_parse(bytes + 1, size - 1, &(struct limits_json){64, 100000, 1000}, &pages) != 0)
        return 0;
    check((enum kind)(bytes[0] % KIND_COUNT), pages);
    json_decref(pages);
    return 0;
}
