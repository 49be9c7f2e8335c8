/* SPDX-License-Identifier: MIT */
/* The table outlives every process, the registry outlives the table. When the table is lost the registry is all there is,
 * and it is right only if the last hub left in order, with everything stored. After a power failure it is some seconds
 * old: a change that was told in these seconds and taken back while the machine was down would look like no change. So
 * then every list counts as changed, once.
 *
 * Generations must not be used twice, whatever happens: subscribers tell events apart by them. Two things could do it.
 * After a power failure the registry may be behind; so counting goes on at a distance (HISTORY_GAP) that no server can have
 * gone in a few seconds. And a server that is removed and comes back would begin at 0; so new servers begin where the
 * highest of the removed ones ended (floor).
 *
 * All of it is one note in the registry: the table it is of, whether the hub left in order, the floor.
 */
#include "broker/hub/history.h"

#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char key[] = "history";

static int store(const struct history *history, bool in_order, bool durably)
{
    char text[REGISTRY_NOTE_SIZE];
    snprintf(text, sizeof(text), "%s %d %" PRIu64, table_instance(history->table), in_order, history->floor);
    return registry_store_note(history->registry, key, text, durably);
}

int history_open(struct registry *registry, const struct table *table, struct history *out)
{
    struct history history = {.registry = registry, .table = table};
    char text[REGISTRY_NOTE_SIZE], instance[TABLE_INSTANCE_SIZE] = "";
    int in_order = 1;
    int result = registry_load_note(registry, key, text);
    if (result < 0)
        return result;
    if (result == 0 && sscanf(text, "%32s %d %" SCNu64, instance, &in_order, &history.floor) != 3)
        in_order = 0;
    history.doubtful = in_order == 0 && strcmp(instance, table_instance(table)) != 0;
    if (history.doubtful) {
        history.floor += HISTORY_GAP;
        log_warn("history.doubtful", LOG_TEXT("reason", "the table is lost, and the broker did not stop in order"),
                 LOG_TEXT("then", "every list counts as changed"));
    }
    *out = history;
    return 0;
}

void history_doubt(struct history *history)
{
    history->doubtful = true;
}

int history_settle(struct history *history)
{
    history->doubtful = false;
    return store(history, false, true);
}

void history_forget(struct history *history, uint64_t generation)
{
    if (generation <= history->floor)
        return;
    history->floor = generation;
    (void)!store(history, false, false); /* has been logged; at worst a power failure adds its distance */
}

int history_leave(struct history *history)
{
    return store(history, true, true);
}
