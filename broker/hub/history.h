/* SPDX-License-Identifier: MIT */
/* What the registry's knowledge of lists is worth, and where generations begin. Loop thread only. */
#ifndef HUB_HISTORY_H
#define HUB_HISTORY_H

#include "broker/hub/registry.h"
#include "common/compiler.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

enum { HISTORY_GAP = 1 << 20 };

/* Plain, so that who begins rows can look at it. */
struct history {
    struct registry *registry;
    const struct table *table;
    uint64_t floor; /* generation of a server of which nothing is known */
    bool doubtful;  /* there may have been changes since that the registry does not know of: all count as changed */
};

/* At the start, before any row is begun. 0 or a negative errno, which has been logged. */
MUST_CHECK int history_open(struct registry *registry, const struct table *table, struct history *out);

/* A row was found whose server can't be told: it may be any of those that are begun now. */
void history_doubt(struct history *history);

/* All servers have their rows: from now on the table knows more than the registry. 0 or a negative errno. */
MUST_CHECK int history_settle(struct history *history);

/* A server at this generation is gone. */
void history_forget(struct history *history, uint64_t generation);

/* Everything that the table knows is in the registry, and stays so: the broker stops. 0 or a negative errno. */
MUST_CHECK int history_leave(struct history *history);

#endif
