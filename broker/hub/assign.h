/* SPDX-License-Identifier: MIT */
/* Which worker watches which server, and what each worker is still to be told about it. Decides; the socket is
 * assignments.h. Loop thread only.
 *
 * A row is with one slot at a time. To move it, the slot that has it is told to drop it, and only when that slot has
 * said that it did (or its process is gone) is it given to the next one. Work for a change does not depend on the number
 * of servers; only a change of the slots in service looks at all of them. */
#ifndef HUB_ASSIGN_H
#define HUB_ASSIGN_H

#include "broker/hub/roster.h"
#include "common/compiler.h"
#include "common/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ASSIGN_COMMANDS_MAX = 1024 }; /* not yet acknowledged, for each slot */

enum assign_type { ASSIGN_PUT, ASSIGN_DROP, ASSIGN_RECONNECT, ASSIGN_TOUCH };

/* One thing to tell a slot. */
struct assign_change {
    enum assign_type type;
    uint32_t row;
    uint32_t incarnation;
    uint64_t revision;
};

enum assign_outcome {
    ASSIGN_STALE = 1,   /* the asker is an older process of the slot */
    ASSIGN_UNOWNED = 2, /* no worker has the row */
    ASSIGN_BUSY = 3     /* too many commands wait for the slot */
};

struct assign;

/* `on_free` runs when a row that some slot had is with none any more and is to go nowhere (its server was removed or
 * disabled, or no slot is in service): the hub may then write it. It may call assign_put. 0 or -ENOMEM. */
MUST_CHECK int assign_create(struct table *table, struct roster *roster, void (*on_free)(void *user, uint32_t row),
                             void *user, struct assign **out);
void assign_destroy(struct assign *assign);

/* At the hub's start: the row stays, for now, with the slot that the table says owns it. False: nobody does. */
bool assign_keep(struct assign *assign, uint32_t row);

/* The server at `row` is new, or its definition is: tells the slot that it belongs to, moves it, or takes it away where
 * it is not enabled. */
void assign_put(struct assign *assign, uint32_t row);

/* The server at `row` was removed from the roster. `on_free` runs once nobody has the row: maybe at once. */
void assign_withdraw(struct assign *assign, uint32_t row);

/* Has the row's worker do something. 0, ASSIGN_UNOWNED, ASSIGN_BUSY. `type` is RECONNECT or TOUCH. */
MUST_CHECK int assign_command(struct assign *assign, uint32_t row, enum assign_type type);

/* The slots in service from now on; moves the servers that belong elsewhere then. */
void assign_set_slots(struct assign *assign, const int *slots, size_t count);
bool assign_is_in_service(const struct assign *assign, int slot);

/* To be called once a second: rows that a process was to drop are free when it is gone. */
void assign_check_gone(struct assign *assign);

/* The process `start_count` of `slot` says that it has applied everything up to `since` (0: nothing yet, or it starts
 * anew). 0, or ASSIGN_STALE: then nothing is to be answered. */
MUST_CHECK int assign_acknowledge(struct assign *assign, int slot, uint64_t start_count, uint64_t since);

/* What `slot` is to be told after `since`, oldest first, at most `max`. Returns how many; *upto is the revision to ask
 * from the next time (never 0), *more tells that there is more. */
size_t assign_changes(const struct assign *assign, int slot, uint64_t since, struct assign_change *out, size_t max,
                      uint64_t *upto, bool *more);

/* True when assign_changes would give anything. */
bool assign_has_changes(const struct assign *assign, int slot, uint64_t since);

/* Gives back the memory of rows that are in no use. */
void assign_forget(struct assign *assign, uint32_t first, uint32_t end);

#endif
