/* SPDX-License-Identifier: MIT */
/* A connection's row of the shared table. A row is a kilobyte, so it is not kept in memory a second time: who changes it
 * reads it, changes it and writes it, which is cheap, because nobody else writes there.
 *
 * What is read may have been scribbled on, or been left half-written by a worker that was killed. Such a row starts
 * anew: who it is comes from the definition, and its history is unknown. Unknown is not first sight: `changed_ms` without
 * a fingerprint says that the next list counts as changed (see conn_list.c). */
#include "common/clock.h"
#include "worker/conn/conn_internal.h"

#include <string.h>

void conn_row_identify(const struct conn *conn, struct row *row)
{
    const struct server_def *def = conn->def;
    table_text(row->server_id, sizeof(row->server_id), def->id);
    table_text(row->server_name, sizeof(row->server_name), server_def_name(def));
    table_text(row->workspace_id, sizeof(row->workspace_id), server_def_workspace_id(def));
    table_text(row->user_id, sizeof(row->user_id), server_def_user_id(def));
    row->transport = (uint8_t)def->transport;
    row->source = (uint8_t)def->source;
    row->events = def->events;
}

/* False once the hub has given the row to another server: nothing more may be written there. */
static bool is_ours(const struct conn *conn)
{
    uint32_t incarnation = 0;
    int owner = table_row_owner(conn->env->table, conn->row, &incarnation);
    return owner == conn->env->slot && incarnation == conn->incarnation;
}

static void make_anew(const struct conn *conn, struct row *row)
{
    uint64_t wall_ms = clock_wall_ms();
    memset(row, 0, sizeof(*row));
    conn_row_identify(conn, row);
    row->state = conn->state == STATE_NONE ? STATE_QUEUED : conn->state;
    row->era = conn->era;
    row->attempts = conn->attempts;
    row->state_since_ms = wall_ms;
    row->last_activity_ms = wall_ms;
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        row->lists[kind].changed_ms = wall_ms;
        row->lists[kind].reason = REASON_RECONNECT;
    }
}

void conn_row_load(const struct conn *conn, struct row *row)
{
    struct table *table = conn->env->table;
    bool torn = table_row_is_torn(table, conn->row) || table_row_read(table, conn->row, row) != 0;
    if (!torn && row->state < STATE_COUNT && row->era < ERA_COUNT)
        return;
    make_anew(conn, row);
    if (torn && is_ours(conn))
        table_row_repair(table, conn->row, row);
}

static void add_counted(struct conn *conn, struct row *row)
{
    row->notifications += conn_list_take_notifications(conn);
    row->last_heard_ms = (uint64_t)conn->heard_s * 1000;
}

void conn_row_store(struct conn *conn, struct row *row)
{
    add_counted(conn, row);
    if (is_ours(conn))
        table_row_write(conn->env->table, conn->row, row);
}

void conn_row_change(struct conn *conn, struct row *row, enum kind kind)
{
    add_counted(conn, row);
    if (is_ours(conn))
        table_change(conn->env->table, conn->row, kind, row);
}

void conn_row_note(struct row *row, uint8_t from, uint8_t to, uint8_t event)
{
    uint8_t at = row->history_next % ROW_HISTORY;
    row->history[at] = (struct row_change){
        .at_s = (uint32_t)(clock_wall_ms() / 1000),
        .from = from,
        .to = to,
        .event = event,
    };
    row->history_next = (uint8_t)((at + 1) % ROW_HISTORY);
}
