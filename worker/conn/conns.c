/* SPDX-License-Identifier: MIT */
/* Which connection belongs to which row. assignments calls this with what the hub said; the worker calls it when its
 * configuration changes and when it leaves. A row number is an index, so there is no search: 8 bytes for each row of the
 * table, of which the kernel gives memory only for those in use.
 *
 * The hub may repeat itself: a put of what is there already changes nothing, and a full list after a restart of the hub
 * touches only what differs. A row with another incarnation is another server: the old one goes first. */
#include "worker/conn/conns.h"

#include "common/log.h"
#include "common/trim.h"

#include <errno.h>
#include <stdlib.h>

struct conns {
    struct conn_env *env;
    uint32_t capacity;
    bool stopped;
    bool is_full; /* a full list is coming */
    struct conn **by_row;
    uint8_t *listed; /* by row: put since conns_begin_full; all zero at other times */
};

int conns_create(struct conn_env *env, struct conns **out)
{
    uint32_t capacity = table_capacity(env->table);
    struct conns *conns = calloc(1, sizeof(*conns));
    if (!conns)
        return -ENOMEM;
    conns->env = env;
    conns->capacity = capacity;
    conns->by_row = calloc(capacity, sizeof(*conns->by_row));
    conns->listed = calloc(capacity, 1);
    if (!conns->by_row || !conns->listed) {
        conns_destroy(conns);
        return -ENOMEM;
    }
    *out = conns;
    return 0;
}

void conns_destroy(struct conns *conns)
{
    if (!conns)
        return;
    if (conns->by_row)
        conns_stop(conns);
    free(conns->by_row);
    free(conns->listed);
    free(conns);
}

static void part(struct conns *conns, uint32_t row, enum conn_parting parting)
{
    struct conn *conn = conns->by_row[row];
    if (!conn)
        return;
    conns->by_row[row] = NULL;
    conn_part(conn, parting);
    if (conns->env->count == 0)
        trim_clear(conns->by_row, conns->capacity * sizeof(*conns->by_row));
}

static struct conn *find(const struct conns *conns, uint32_t row, uint32_t incarnation)
{
    struct conn *conn = row < conns->capacity ? conns->by_row[row] : NULL;
    return conn && conn_incarnation(conn) == incarnation ? conn : NULL;
}

static bool is_ours(const struct conns *conns, uint32_t row, uint32_t incarnation)
{
    uint32_t found = 0;
    return row < conns->capacity && table_row_owner(conns->env->table, row, &found) == conns->env->slot &&
           found == incarnation;
}

void conns_put(struct conns *conns, uint32_t row, uint32_t incarnation, struct server_def *def, bool wanted)
{
    if (conns->stopped || !is_ours(conns, row, incarnation)) {
        log_warn("conns.stray", LOG_TEXT("server", def->id), LOG_U64("row", row), LOG_U64("incarnation", incarnation));
        server_def_destroy(def);
        return;
    }
    if (conns->is_full)
        conns->listed[row] = true;
    struct conn *conn = find(conns, row, incarnation);
    if (conn) {
        conn_define(conn, def, wanted);
        return;
    }
    part(conns, row, CONN_DROPPED);
    if (conn_create(conns->env, row, incarnation, def, &conns->by_row[row]) != 0) {
        log_error("conns.no_memory", LOG_TEXT("server", def->id));
        server_def_destroy(def);
    }
}

void conns_drop(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    if (find(conns, row, incarnation))
        part(conns, row, CONN_DROPPED);
}

void conns_touch(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    struct conn *conn = find(conns, row, incarnation);
    if (conn)
        conn_touch(conn);
}

void conns_reconnect(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    struct conn *conn = find(conns, row, incarnation);
    if (conn)
        conn_reconnect(conn);
}

void conns_begin_full(struct conns *conns)
{
    trim_clear(conns->listed, conns->capacity);
    conns->is_full = true;
}

void conns_end_full(struct conns *conns)
{
    for (uint32_t row = 0; row < conns->capacity; row++)
        if (!conns->listed[row])
            part(conns, row, CONN_DROPPED);
    trim_clear(conns->listed, conns->capacity);
    conns->is_full = false;
}

static void each(struct conns *conns, void (*call)(struct conn *conn))
{
    for (uint32_t row = 0; row < conns->capacity; row++)
        if (conns->by_row[row])
            call(conns->by_row[row]);
}

void conns_reconfigured(struct conns *conns)
{
    each(conns, conn_reconfigured);
}

void conns_tell_limits(struct conns *conns)
{
    each(conns, conn_tell_limit);
}

void conns_stop(struct conns *conns)
{
    conns->stopped = true;
    for (uint32_t row = 0; row < conns->capacity; row++)
        part(conns, row, CONN_STOPPED);
}
