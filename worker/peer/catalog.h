/* SPDX-License-Identifier: MIT */
/* A server's list of tools (prompts, resources) as it is fetched: pages are added, items are made canonical (keys
 * sorted, no white space), and at the end sorted by name and hashed, so that the same list gives the same fingerprint
 * whatever the era, the order of keys and items, or the size of pages. Bounded. Pure.
 *
 * Names: a tool's and a prompt's `name`, a resource's `uri`. */
#ifndef WORKER_CATALOG_H
#define WORKER_CATALOG_H

#include "common/compiler.h"
#include "common/names.h"
#include "common/table.h"
#include "worker/limits.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { CATALOG_NAME_MAX = 4096 };

struct catalog;

/* What adding a page can come to, besides 0. */
enum catalog_outcome {
    CATALOG_MALFORMED = 1, /* no array of objects with names under the kind's key, or a cursor that is no text */
    CATALOG_TOO_LARGE = 2, /* pages, items, bytes or a name */
    CATALOG_LOOPS = 3,     /* a cursor came again */
    CATALOG_NO_MEMORY = 4,
};

/* NULL without memory. `limits` (pages, items, bytes of canonical text) are taken over. */
MUST_CHECK struct catalog *catalog_create(enum kind kind, const struct limits *limits);
void catalog_destroy(struct catalog *catalog);

/* Before the first page: keeps the items, too, for catalog_items. 0 or CATALOG_NO_MEMORY. */
MUST_CHECK int catalog_keep_items(struct catalog *catalog);

/* Adds the `result` of a list request. *cursor is then the next one (borrowed from `result`, "" is one), or NULL:
 * complete. After any outcome but 0 the catalog can only be destroyed. */
MUST_CHECK int catalog_add_page(struct catalog *catalog, const json_t *result, const char **cursor);

/* Sorts and hashes; once, after the last page. */
void catalog_finish(struct catalog *catalog);

struct fingerprint catalog_fingerprint(const struct catalog *catalog);
uint32_t catalog_count(const struct catalog *catalog);

/* The items as they came, an array; NULL when they are not kept. Borrowed. */
json_t *catalog_items(const struct catalog *catalog);

/* Names and hashes in one block, for keeping: a fraction of the list. NULL without memory; free() it. */
struct catalog_digest;
MUST_CHECK struct catalog_digest *catalog_digest(const struct catalog *catalog);

/* {"added":[…],"removed":[…],"changed":[…]}, names sorted, each once; a new reference; NULL without memory. `after` is
 * finished. */
MUST_CHECK json_t *catalog_diff(const struct catalog_digest *before, const struct catalog *after);

#endif
