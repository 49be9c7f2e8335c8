/* SPDX-License-Identifier: MIT */
/* What is watched: the servers of the file and those connected at run time. Every change of it goes through here, and
 * keeps roster, registry, table and assignments in step. Loop thread only. */
#ifndef HUB_WATCHLIST_H
#define HUB_WATCHLIST_H

#include "broker/hub/assign.h"
#include "broker/hub/history.h"
#include "broker/hub/registry.h"
#include "broker/hub/roster.h"
#include "common/compiler.h"
#include "common/servers_file.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

enum watchlist_outcome {
    WATCHLIST_UNKNOWN = 1,  /* there is no such server */
    WATCHLIST_CONFLICT = 2, /* the id belongs to the servers file */
    WATCHLIST_FULL = 3      /* no row is free */
};

struct watchlist;

/* All of them live longer. 0 or -ENOMEM. */
MUST_CHECK int watchlist_create(struct table *table, struct roster *roster, struct registry *registry,
                                struct history *history, struct watchlist **out);
void watchlist_destroy(struct watchlist *watchlist);

/* At the start, in this order. First: finds out which rows the table has for whom, and loads the servers connected at
 * run time. Then watchlist_apply_file, where there is a file. Last: gives up the rows of servers that are known no more.
 * 0 or a negative errno, which has been logged. */
MUST_CHECK int watchlist_load(struct watchlist *watchlist);
void watchlist_loaded(struct watchlist *watchlist);

/* Makes the servers of the file those in `file`, touching only what differs; takes out of it what it keeps. */
void watchlist_apply_file(struct watchlist *watchlist, struct servers_file *file);

/* What a connect came to. */
struct watchlist_connected {
    uint32_t row;
    bool known;           /* that very definition was there */
    bool same_connection; /* it was there but for names: the connection goes on */
};

/* Adds or replaces a server at run time, durably; owns `def`, whatever it returns. 0, CONFLICT, FULL, or a negative
 * errno, which has been logged. */
MUST_CHECK int watchlist_connect(struct watchlist *watchlist, struct server_def *def, struct watchlist_connected *out);

/* Takes a server that was connected at run time away, durably. 0, UNKNOWN, CONFLICT, or a negative errno. */
MUST_CHECK int watchlist_disconnect(struct watchlist *watchlist, const char *id);

/* To be called each second. `on_unused` is told of rows, all from `first` up to `end`, that have lost their servers a while
 * ago: what was kept for them can go. */
void watchlist_tick(struct watchlist *watchlist, void (*on_unused)(void *user, uint32_t first, uint32_t end),
                    void *user);

/* For those who talk to the workers. */
struct assign *watchlist_assign(struct watchlist *watchlist);

/* Servers of the file that have no row because the table is full. */
uint32_t watchlist_left_out(const struct watchlist *watchlist);

#endif
