/* SPDX-License-Identifier: MIT */
/* Fingerprints and compares lists. Of each item only its name and a hash of its canonical text are kept, so that a list
 * of megabytes costs some kilobytes while its pages come in, and a few dozen bytes an item afterwards.
 *
 *   item         XXH3-128 of the item as JSON, keys sorted at every level, no white space, without `execution`
 *   fingerprint  XXH3-128 of  count, then for each item, sorted:  length of name, name, hash of item
 *
 * Numbers are 64 bits, little-endian; hashes in xxHash's canonical form. Items are sorted by name, and by hash where
 * names are the same: a server should not repeat a name, but one that does has a stable fingerprint, too.
 *
 * The same list must give the same fingerprint in every era, or a server that is upgraded would seem to have changed
 * all its tools. So what only one revision has is not hashed (`execution`, of 2025-11-25), and what a client of one era
 * would have to leave out (tools with an `x-mcp-header` that is not valid) is. */
#include "worker/peer/catalog.h"

#include "common/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct item {
    struct fingerprint hash;
    uint32_t name; /* offset into the names */
    uint32_t length;
};

struct catalog {
    size_t size_max;
    unsigned items_max, pages_max;
    enum kind kind;
    bool finished;
    uint32_t count;
    uint32_t capacity;
    struct item *items;
    struct buf names;
    size_t bytes; /* of canonical text so far */
    XXH3_state_t *state;
    uint32_t pages;
    struct buf cursors; /* that were seen, hashed */
    struct fingerprint fingerprint;
    json_t *kept; /* the items, or NULL */
};

struct catalog_digest {
    uint32_t count;
    struct item items[]; /* the names follow */
};

/* A sorted run of items and their names: what a catalog and a digest have in common. */
struct run {
    const struct item *items;
    uint32_t count;
    const char *names;
};

static const char *const NAME_KEYS[KIND_COUNT] = {
    [KIND_TOOLS] = "name", [KIND_PROMPTS] = "name", [KIND_RESOURCES] = "uri"};

struct catalog *catalog_create(enum kind kind, const struct limits *limits)
{
    struct catalog *catalog = calloc(1, sizeof(*catalog));
    if (catalog == NULL)
        return NULL;
    catalog->kind = kind;
    catalog->size_max = limits->list_size;
    catalog->items_max = limits->list_items;
    catalog->pages_max = limits->list_pages;
    buf_init(&catalog->names, limits->list_size);
    buf_init(&catalog->cursors, limits->list_pages * sizeof(XXH128_hash_t));
    catalog->state = XXH3_createState();
    if (catalog->state == NULL) {
        free(catalog);
        return NULL;
    }
    return catalog;
}

int catalog_keep_items(struct catalog *catalog)
{
    assert(catalog->count == 0 && catalog->kept == NULL);
    catalog->kept = json_array();
    return catalog->kept == NULL ? CATALOG_NO_MEMORY : 0;
}

void catalog_destroy(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    XXH3_freeState(catalog->state);
    json_decref(catalog->kept);
    buf_fini(&catalog->names);
    buf_fini(&catalog->cursors);
    free(catalog->items);
    free(catalog);
}

/* --- pages --- */

static struct fingerprint from_xxh(XXH128_hash_t hash)
{
    return (struct fingerprint){.high = hash.high64, .low = hash.low64};
}

/* Takes canonical text from jansson, in small pieces; -1 ends the dump. */
static int hash_text(const char *text, size_t size, void *user)
{
    struct catalog *catalog = user;
    if (catalog->bytes + size > catalog->size_max)
        return -1;
    catalog->bytes += size;
    return XXH3_128bits_update(catalog->state, text, size) == XXH_OK ? 0 : -1;
}

static const char ONE_ERA_KEY[] = "execution";

/* Hashes the item. 0 or an enum catalog_outcome. */
static int hash_item(struct catalog *catalog, json_t *object, struct fingerprint *hash)
{
    bool has_key = json_object_get(object, ONE_ERA_KEY) != NULL;
    json_t *hashed = has_key ? json_copy(object) : json_incref(object);
    if (hashed == NULL)
        return CATALOG_NO_MEMORY;
    if (has_key)
        (void)json_object_del(hashed, ONE_ERA_KEY);
    XXH3_128bits_reset(catalog->state);
    int result = json_dump_callback(hashed, hash_text, catalog, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(hashed);
    if (result != 0)
        return CATALOG_TOO_LARGE;
    *hash = from_xxh(XXH3_128bits_digest(catalog->state));
    return 0;
}

static int grow(struct catalog *catalog)
{
    if (catalog->count >= catalog->items_max)
        return CATALOG_TOO_LARGE;
    if (catalog->count < catalog->capacity)
        return 0;
    uint32_t capacity = catalog->capacity == 0 ? 32 : catalog->capacity * 2;
    struct item *items = realloc(catalog->items, capacity * sizeof(*items));
    if (items == NULL)
        return CATALOG_NO_MEMORY;
    catalog->items = items;
    catalog->capacity = capacity;
    return 0;
}

static int add_item(struct catalog *catalog, json_t *object)
{
    const json_t *name = json_object_get(object, NAME_KEYS[catalog->kind]);
    if (!json_is_string(name))
        return CATALOG_MALFORMED;
    size_t length = json_string_length(name);
    if (length > CATALOG_NAME_MAX)
        return CATALOG_TOO_LARGE;
    int outcome = grow(catalog);
    if (outcome != 0)
        return outcome;

    struct item item = {.name = (uint32_t)catalog->names.size, .length = (uint32_t)length};
    outcome = hash_item(catalog, object, &item.hash);
    if (outcome != 0)
        return outcome;
    outcome = buf_append(&catalog->names, json_string_value(name), length);
    if (outcome != 0)
        return outcome == BUF_FULL ? CATALOG_TOO_LARGE : CATALOG_NO_MEMORY;
    if (catalog->kept != NULL && json_array_append(catalog->kept, object) != 0)
        return CATALOG_NO_MEMORY;
    catalog->items[catalog->count++] = item;
    return 0;
}

/* Remembers the cursor that the page ends with. */
static int add_cursor(struct catalog *catalog, const json_t *cursor)
{
    if (!json_is_string(cursor))
        return CATALOG_MALFORMED;
    XXH128_hash_t hash = XXH3_128bits(json_string_value(cursor), json_string_length(cursor));
    for (size_t at = 0; at < catalog->cursors.size; at += sizeof(hash)) {
        if (memcmp(catalog->cursors.bytes + at, &hash, sizeof(hash)) == 0)
            return CATALOG_LOOPS;
    }
    if (catalog->pages + 1 >= catalog->pages_max)
        return CATALOG_TOO_LARGE;
    catalog->pages++;
    return buf_append(&catalog->cursors, &hash, sizeof(hash)) == 0 ? 0 : CATALOG_NO_MEMORY;
}

int catalog_add_page(struct catalog *catalog, const json_t *result, const char **cursor)
{
    assert(!catalog->finished);
    const json_t *items = json_object_get(result, kind_name(catalog->kind));
    if (!json_is_array(items))
        return CATALOG_MALFORMED;
    for (size_t i = 0; i < json_array_size(items); i++) {
        int outcome = add_item(catalog, json_array_get(items, i));
        if (outcome != 0)
            return outcome;
    }
    const json_t *next = json_object_get(result, "nextCursor");
    if (next == NULL || json_is_null(next)) {
        *cursor = NULL;
        return 0;
    }
    int outcome = add_cursor(catalog, next);
    if (outcome == 0)
        *cursor = json_string_value(next);
    return outcome;
}

/* --- the whole --- */

static int compare_hashes(struct fingerprint a, struct fingerprint b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low == b.low ? 0 : a.low < b.low ? -1 : 1;
}

static int compare_names(const char *a, uint32_t a_length, const char *b, uint32_t b_length)
{
    uint32_t common = a_length < b_length ? a_length : b_length;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    if (order != 0)
        return order;
    return a_length == b_length ? 0 : a_length < b_length ? -1 : 1;
}

static int compare_items(const void *left, const void *right, void *names)
{
    const struct item *a = left, *b = right;
    const char *text = names;
    int order = compare_names(text + a->name, a->length, text + b->name, b->length);
    return order != 0 ? order : compare_hashes(a->hash, b->hash);
}

static void hash_number(XXH3_state_t *state, uint64_t number)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
    XXH3_128bits_update(state, bytes, sizeof(bytes));
}

void catalog_finish(struct catalog *catalog)
{
    assert(!catalog->finished);
    catalog->finished = true;
    char *names = (char *)catalog->names.bytes;
    if (catalog->count > 1)
        qsort_r(catalog->items, catalog->count, sizeof(*catalog->items), compare_items, names);

    XXH3_128bits_reset(catalog->state);
    hash_number(catalog->state, catalog->count);
    for (uint32_t i = 0; i < catalog->count; i++) {
        const struct item *item = &catalog->items[i];
        hash_number(catalog->state, item->length);
        if (item->length > 0)
            XXH3_128bits_update(catalog->state, names + item->name, item->length);
        XXH128_canonical_t hash;
        XXH128_canonicalFromHash(&hash, (XXH128_hash_t){.high64 = item->hash.high, .low64 = item->hash.low});
        XXH3_128bits_update(catalog->state, hash.digest, sizeof(hash.digest));
    }
    catalog->fingerprint = from_xxh(XXH3_128bits_digest(catalog->state));
    if (catalog->fingerprint.high == 0 && catalog->fingerprint.low == 0)
        catalog->fingerprint.low = 1; /* all zero means: never seen */
}

struct fingerprint catalog_fingerprint(const struct catalog *catalog)
{
    assert(catalog->finished);
    return catalog->fingerprint;
}

uint32_t catalog_count(const struct catalog *catalog)
{
    return catalog->count;
}

json_t *catalog_items(const struct catalog *catalog)
{
    return catalog->kept;
}

/* --- comparing --- */

struct catalog_digest *catalog_digest(const struct catalog *catalog)
{
    assert(catalog->finished);
    size_t items_size = catalog->count * sizeof(struct item);
    struct catalog_digest *digest = malloc(sizeof(*digest) + items_size + catalog->names.size);
    if (digest == NULL)
        return NULL;
    digest->count = catalog->count;
    if (catalog->count > 0)
        memcpy(digest->items, catalog->items, items_size);
    if (catalog->names.size > 0)
        memcpy((char *)digest->items + items_size, catalog->names.bytes, catalog->names.size);
    return digest;
}

/* Takes the items of the next name from the front of `run`. */
static struct run take_name(struct run *run)
{
    struct run group = {.items = run->items, .names = run->names};
    const struct item *first = run->items;
    while (run->count > 0 && compare_names(run->names + first->name, first->length, run->names + run->items->name,
                                           run->items->length) == 0) {
        group.count++;
        run->items++;
        run->count--;
    }
    return group;
}

static int compare_fronts(const struct run *a, const struct run *b)
{
    if (a->count == 0 || b->count == 0)
        return a->count == b->count ? 0 : a->count == 0 ? 1 : -1;
    return compare_names(a->names + a->items->name, a->items->length, b->names + b->items->name, b->items->length);
}

static bool same_hashes(const struct run *a, const struct run *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (compare_hashes(a->items[i].hash, b->items[i].hash) != 0)
            return false;
    }
    return true;
}

static int append_name(json_t *array, const struct run *group)
{
    return json_array_append_new(array, json_stringn(group->names + group->items->name, group->items->length));
}

/* Merges the two sorted runs. 0, or -1 without memory. */
static int compare_runs(struct run before, struct run after, json_t *added, json_t *removed, json_t *changed)
{
    int result = 0;
    while (result == 0 && (before.count > 0 || after.count > 0)) {
        int order = compare_fronts(&before, &after);
        if (order < 0) {
            struct run group = take_name(&before);
            result = append_name(removed, &group);
        } else if (order > 0) {
            struct run group = take_name(&after);
            result = append_name(added, &group);
        } else {
            struct run old = take_name(&before), new = take_name(&after);
            if (!same_hashes(&old, &new))
                result = append_name(changed, &new);
        }
    }
    return result;
}

json_t *catalog_diff(const struct catalog_digest *before, const struct catalog *after)
{
    assert(after->finished);
    json_t *added = json_array(), *removed = json_array(), *changed = json_array();
    struct run old = {
        .items = before->items, .count = before->count, .names = (const char *)(before->items + before->count)};
    struct run new = {.items = after->items, .count = after->count, .names = (const char *)after->names.bytes};
    if (added == NULL || removed == NULL || changed == NULL || compare_runs(old, new, added, removed, changed) != 0) {
        json_decref(added);
        json_decref(removed);
        json_decref(changed);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:o}", "added", added, "removed", removed, "changed", changed);
}
