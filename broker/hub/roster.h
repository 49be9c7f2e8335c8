/* SPDX-License-Identifier: MIT */
/* The servers that the hub knows: by id, and by the row of the table that each has. One entry a row, at most `capacity`
 * of them. A row is in use from the moment it is held or added until roster_release: a server that was removed keeps
 * its row until no worker writes there any more. Loop thread only. */
#ifndef HUB_ROSTER_H
#define HUB_ROSTER_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/server_def.h"

#include <stdbool.h>
#include <stdint.h>

#define ROSTER_NO_ROW UINT32_MAX

enum roster_outcome {
    ROSTER_FULL = 1, /* every row is in use */
    ROSTER_KNOWN = 2 /* the id is there already */
};

struct roster;

/* 0 or -ENOMEM. */
MUST_CHECK int roster_create(uint32_t capacity, struct roster **out);
void roster_destroy(struct roster *roster);

/* Servers that have a definition. */
uint32_t roster_count(const struct roster *roster);

/* One past the highest row that was in use since none was: where a walk over all rows ends. */
uint32_t roster_end(const struct roster *roster);

/* Keeps `row`, which the table has from an earlier hub, for the server `id` (NULL: for none, until it is released).
 * 0, ROSTER_KNOWN (row in use, or id held elsewhere), -ENOMEM. */
MUST_CHECK int roster_hold(struct roster *roster, uint32_t row, const char *id);

/* Adds a server, which the roster then owns, at the row held for its id or at a free one. 0, an outcome, -ENOMEM; `def`
 * stays the caller's unless 0. */
MUST_CHECK int roster_add(struct roster *roster, struct server_def *def, uint32_t *row);

/* Another definition, of the same id, for the server at `row`; the old one is destroyed. */
void roster_replace(struct roster *roster, uint32_t row, struct server_def *def);

/* Forgets the server; its row stays in use. `take` gives its definition back, `remove` destroys it. */
struct server_def *roster_take(struct roster *roster, uint32_t row);
void roster_remove(struct roster *roster, uint32_t row);

/* Gives the row of a removed (or merely held) server to whoever comes next. */
void roster_release(struct roster *roster, uint32_t row);

/* ROSTER_NO_ROW when there is no such server. */
uint32_t roster_find(const struct roster *roster, const char *id);

/* The server at `row`, or NULL. Borrowed until it is replaced or removed. */
const struct server_def *roster_def(const struct roster *roster, uint32_t row);

/* True for a row that is in use without a server: held, or removed and not yet released. */
bool roster_is_held(const struct roster *roster, uint32_t row);

/* Held, or with a server. */
bool roster_is_in_use(const struct roster *roster, uint32_t row);

/* Gives back the memory of rows that are in no use. */
void roster_forget(struct roster *roster, uint32_t first, uint32_t end);

/* What all events of the server at `row` begin with (event_identity), made at the first use and kept; NULL without
 * memory. Borrowed as the definition is. */
const struct buf *roster_identity(struct roster *roster, uint32_t row);

#endif
