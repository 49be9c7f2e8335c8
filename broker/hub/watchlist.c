/* SPDX-License-Identifier: MIT */
/* One place for every way in which a server comes, changes or goes.
 *
 *   comes    registry (run time only: durable before anything else) ─▶ roster ─▶ row begun ─▶ assigned
 *   changes  registry ─▶ roster ─▶ assigned again, with the same row and incarnation
 *   goes     registry ─▶ roster ─▶ withdrawn ··· the worker has let go ─▶ row emptied and free
 *
 * A server keeps its row, incarnation, generations and history over a restart of the hub: the rows in the table are held
 * for the ids that stand in them before any server is added, and those for which none came are given up. The id of a
 * row whose writer died in the middle can't be read: its server gets another row, which begins with lists that are
 * unknown, and this one is given up, too.
 *
 * An id belongs to the servers file or to run time, never to both: the file wins, as it is what an operator sees.
 */
#include "broker/hub/watchlist.h"

#include "broker/hub/rows.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct watchlist {
    struct table *table;
    struct roster *roster;
    struct registry *registry;
    struct history *history;
    struct assign *assign;
    struct rows_freed freed;
    uint64_t *in_file;        /* while a file is applied: bit a row, its server stands in the new one */
    uint32_t left_out;        /* of the file */
    uint32_t stored_left_out; /* of those connected at run time */
};

/* assign's: nobody has the row any more, and it goes to nobody. */
static void on_free(void *user, uint32_t row)
{
    struct watchlist *watchlist = user;
    const struct server_def *def = roster_def(watchlist->roster, row);
    if (def) {
        rows_rest(watchlist->table, row, def);
    } else {
        rows_clear(watchlist->table, watchlist->history, row, &watchlist->freed);
        roster_release(watchlist->roster, row);
    }
}

int watchlist_create(struct table *table, struct roster *roster, struct registry *registry, struct history *history,
                     struct watchlist **out)
{
    struct watchlist *watchlist = calloc(1, sizeof(*watchlist));
    if (!watchlist)
        return -ENOMEM;
    watchlist->table = table;
    watchlist->roster = roster;
    watchlist->registry = registry;
    watchlist->history = history;
    watchlist->in_file = calloc(table_capacity(table) / 64 + 1, sizeof(*watchlist->in_file));
    if (!watchlist->in_file || assign_create(table, roster, on_free, watchlist, &watchlist->assign) != 0) {
        watchlist_destroy(watchlist);
        return -ENOMEM;
    }
    *out = watchlist;
    return 0;
}

void watchlist_destroy(struct watchlist *watchlist)
{
    if (!watchlist)
        return;
    assign_destroy(watchlist->assign);
    free(watchlist->in_file);
    free(watchlist);
}

void watchlist_tick(struct watchlist *watchlist, void (*on_unused)(void *user, uint32_t first, uint32_t end),
                    void *user)
{
    const struct rows_span freed = rows_give_back(watchlist->table, &watchlist->freed);
    for (uint32_t row = freed.first, end; row < freed.end; row = end + 1) {
        end = row;
        while (end < freed.end && !roster_is_in_use(watchlist->roster, end))
            end++;
        if (end == row)
            continue;
        assign_forget(watchlist->assign, row, end);
        roster_forget(watchlist->roster, row, end);
        on_unused(user, row, end);
    }
}

struct assign *watchlist_assign(struct watchlist *watchlist)
{
    return watchlist->assign;
}

uint32_t watchlist_left_out(const struct watchlist *watchlist)
{
    return watchlist->left_out;
}

/* --- one server --- */

/* Adds a server, which the roster then owns. 0, WATCHLIST_FULL or a negative errno; `def` stays the caller's then. */
static int add(struct watchlist *watchlist, struct server_def *def, uint32_t *row)
{
    /* A row that was held for it goes on as it is; any other begins anew. */
    struct row before = {0};
    int result = roster_add(watchlist->roster, def, row);
    if (result != 0) {
        assert(result != ROSTER_KNOWN);
        return result == ROSTER_FULL ? WATCHLIST_FULL : result;
    }
    bool is_kept = assign_keep(watchlist->assign, *row);
    if (!is_kept && table_row_read(watchlist->table, *row, &before) == 0 && strcmp(before.server_id, def->id) == 0)
        rows_rest(watchlist->table, *row, def);
    else if (!is_kept)
        result = rows_begin(watchlist->table, watchlist->history, *row, def);
    if (result == 0) {
        table_row_set_listed(watchlist->table, *row, true);
        assign_put(watchlist->assign, *row);
    } else { /* unwound without its definition, which is the caller's again */
        roster_take(watchlist->roster, *row);
        roster_release(watchlist->roster, *row);
    }
    return result;
}

/* A server is there with another definition: 0 when `def` was taken, or 1 when it is no other. */
static int replace(struct watchlist *watchlist, uint32_t row, struct server_def *def)
{
    const struct server_def *old = roster_def(watchlist->roster, row);
    if (server_def_equal(old, def) && old->source == def->source)
        return 1;
    roster_replace(watchlist->roster, row, def);
    assign_put(watchlist->assign, row);
    return 0;
}

static void forget(struct watchlist *watchlist, uint32_t row)
{
    roster_remove(watchlist->roster, row);
    table_row_set_listed(watchlist->table, row, false);
    assign_withdraw(watchlist->assign, row);
}

/* Forgets what the registry knows of a server's lists; what goes wrong there has been logged, and costs only room. */
static void forget_level(struct watchlist *watchlist, const char *id)
{
    if (registry_begin(watchlist->registry) == 0 && registry_forget(watchlist->registry, id) == 0)
        (void)!registry_commit(watchlist->registry);
}

/* --- the start --- */

/* Notes whose each row of the table is. */
static int hold_rows(struct watchlist *watchlist)
{
    struct row value;
    for (uint32_t row = 0; row < table_capacity(watchlist->table); row++) {
        uint32_t incarnation;
        int owner = table_row_owner(watchlist->table, row, &incarnation);
        int read = table_row_read(watchlist->table, row, &value);
        if (read != 0)
            history_doubt(watchlist->history);
        bool has_id = read == 0 && value.state != STATE_NONE && value.server_id[0];
        if (!has_id && owner == TABLE_NO_OWNER && read == 0)
            continue;
        int result = roster_hold(watchlist->roster, row, has_id ? value.server_id : NULL);
        if (result == ROSTER_KNOWN) /* two rows with one id: the first one has it */
            result = roster_hold(watchlist->roster, row, NULL);
        if (result != 0)
            return -ENOMEM;
    }
    return 0;
}

static void on_stored_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user;
    log_error("registry.server", LOG_TEXT("server", id), LOG_TEXT("key", key), LOG_TEXT("problem", message));
}

/* What the registry has, read whole before any of it is added: adding asks the registry, too. */
struct stored {
    struct server_def **defs;
    size_t count, room;
    int result;
};

static void on_stored_server(void *user, const char *id, const char *definition)
{
    struct stored *stored = user;
    json_t *object = json_loads(definition, 0, NULL);
    struct server_def *def = object ? server_def_from_json(id, object, SOURCE_RUNTIME, on_stored_problem, NULL) : NULL;
    json_decref(object);
    if (!object)
        on_stored_problem(NULL, id, "", "no JSON");
    if (!def)
        return;
    if (stored->count == stored->room) {
        size_t room = stored->room ? 2 * stored->room : 64;
        struct server_def **defs = realloc(stored->defs, room * sizeof(*defs));
        if (!defs) {
            stored->result = -ENOMEM;
            server_def_destroy(def);
            return;
        }
        stored->defs = defs;
        stored->room = room;
    }
    stored->defs[stored->count++] = def;
}

/* Adds the server, or says that there is no room for it and forgets it until the next start. */
static int add_stored(struct watchlist *watchlist, struct server_def *def)
{
    uint32_t row;
    int result = add(watchlist, def, &row);
    if (result == 0)
        return 0;
    log_error("watchlist.left_out", LOG_TEXT("server", def->id), LOG_TEXT("remedy", "a greater --capacity"));
    server_def_destroy(def);
    watchlist->stored_left_out++;
    return result == WATCHLIST_FULL ? 0 : result;
}

int watchlist_load(struct watchlist *watchlist)
{
    struct stored stored = {.defs = NULL};
    int result = hold_rows(watchlist);
    if (result == 0)
        result = registry_each_server(watchlist->registry, on_stored_server, &stored);
    if (result == 0)
        result = stored.result;
    for (size_t i = 0; i < stored.count; i++) {
        if (result == 0)
            result = add_stored(watchlist, stored.defs[i]);
        else
            server_def_destroy(stored.defs[i]);
    }
    free(stored.defs);
    if (result != 0)
        log_error("watchlist.load", LOG_TEXT("error", strerror(-result)));
    return result;
}

/* What the registry knows of servers that are no more: they were taken out of the file while no hub ran. */
struct orphans {
    const struct roster *roster;
    json_t *ids;
    uint64_t generation; /* the highest of theirs */
};

static void on_known(void *user, const char *id, uint64_t generation)
{
    struct orphans *orphans = user;
    if (roster_find(orphans->roster, id) != ROSTER_NO_ROW || json_array_append_new(orphans->ids, json_string(id)) != 0)
        return;
    if (generation > orphans->generation)
        orphans->generation = generation;
}

/* Not while servers are left out for want of room: they may come back. */
static void forget_orphans(struct watchlist *watchlist)
{
    struct orphans orphans = {.roster = watchlist->roster, .ids = json_array()};
    if (watchlist->left_out == 0 && watchlist->stored_left_out == 0 && orphans.ids &&
        registry_each_known(watchlist->registry, on_known, &orphans) == 0 && json_array_size(orphans.ids) > 0) {
        size_t index;
        json_t *id;
        history_forget(watchlist->history, orphans.generation);
        bool batch = registry_begin(watchlist->registry) == 0;
        json_array_foreach (orphans.ids, index, id)
            batch = batch && registry_forget(watchlist->registry, json_string_value(id)) == 0;
        if (batch && registry_commit(watchlist->registry) == 0)
            log_info("watchlist.forgotten", LOG_U64("servers", json_array_size(orphans.ids)));
    }
    json_decref(orphans.ids);
}

void watchlist_loaded(struct watchlist *watchlist)
{
    forget_orphans(watchlist);
    for (uint32_t row = 0; row < roster_end(watchlist->roster); row++) {
        if (!roster_is_held(watchlist->roster, row))
            continue;
        table_row_set_listed(watchlist->table, row, false);
        (void)assign_keep(watchlist->assign, row);
        assign_withdraw(watchlist->assign, row);
    }
}

/* --- the servers file --- */

static bool is_marked(const struct watchlist *watchlist, uint32_t row)
{
    return watchlist->in_file[row / 64] >> row % 64 & 1;
}

/* Takes ids over that were connected at run time: the file is what an operator sees. */
static void take_over(struct watchlist *watchlist, const struct servers_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        uint32_t row = roster_find(watchlist->roster, file->servers[i]->id);
        if (row == ROSTER_NO_ROW || roster_def(watchlist->roster, row)->source == SOURCE_FILE)
            continue;
        log_warn("watchlist.taken_over", LOG_TEXT("server", file->servers[i]->id), LOG_TEXT("by", "the servers file"));
        (void)!registry_remove_server(watchlist->registry, file->servers[i]->id);
    }
}

/* Adds or changes one server of the file. True when `def` was taken. */
static bool apply(struct watchlist *watchlist, struct server_def *def)
{
    uint32_t row = roster_find(watchlist->roster, def->id);
    bool is_known = row != ROSTER_NO_ROW;
    bool taken = is_known ? replace(watchlist, row, def) == 0 : add(watchlist, def, &row) == 0;
    if (taken || is_known)
        watchlist->in_file[row / 64] |= UINT64_C(1) << row % 64;
    else
        watchlist->left_out++;
    return taken;
}

/* Takes the servers away that the file has no more, forgetting what is known of them while `batch` is open. */
static uint32_t take_away(struct watchlist *watchlist, bool *batch)
{
    uint32_t gone = 0;
    for (uint32_t row = 0; row < roster_end(watchlist->roster); row++) {
        const struct server_def *def = roster_def(watchlist->roster, row);
        if (!def || def->source != SOURCE_FILE || is_marked(watchlist, row))
            continue;
        *batch = *batch && registry_forget(watchlist->registry, def->id) == 0;
        forget(watchlist, row);
        gone++;
    }
    return gone;
}

void watchlist_apply_file(struct watchlist *watchlist, struct servers_file *file)
{
    memset(watchlist->in_file, 0, (table_capacity(watchlist->table) / 64 + 1) * sizeof(*watchlist->in_file));
    watchlist->left_out = 0;
    take_over(watchlist, file);
    /* One transaction, also for what is only read: it saves locking for each of many servers. */
    bool batch = registry_begin(watchlist->registry) == 0;
    for (size_t i = 0; i < file->count; i++) {
        if (apply(watchlist, file->servers[i]))
            file->servers[i] = NULL;
    }
    uint32_t gone = take_away(watchlist, &batch);
    if (batch)
        (void)!registry_commit(watchlist->registry);
    if (watchlist->left_out > 0)
        log_error("watchlist.full", LOG_U64("servers", watchlist->left_out),
                  LOG_TEXT("remedy", "a greater --capacity"));
    log_info("watchlist.applied", LOG_U64("servers", file->count), LOG_U64("gone", gone),
             LOG_U64("left_out", watchlist->left_out));
}

/* --- run time --- */

static int make_durable(struct watchlist *watchlist, const struct server_def *def)
{
    json_t *object = server_def_to_json(def);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    int result = text ? registry_put_server(watchlist->registry, def->id, text) : -ENOMEM;
    free(text);
    json_decref(object);
    return result;
}

int watchlist_connect(struct watchlist *watchlist, struct server_def *def, struct watchlist_connected *out)
{
    struct watchlist_connected connected = {.row = roster_find(watchlist->roster, def->id)};
    const struct server_def *old = connected.row == ROSTER_NO_ROW ? NULL : roster_def(watchlist->roster, connected.row);
    int result = 0;
    assert(def->source == SOURCE_RUNTIME);
    if (old && old->source == SOURCE_FILE) {
        result = WATCHLIST_CONFLICT;
    } else if (old && server_def_equal(old, def)) {
        connected.known = connected.same_connection = true;
    } else {
        result = make_durable(watchlist, def);
    }
    if (result != 0 || connected.known) {
        server_def_destroy(def);
    } else if (old) {
        connected.same_connection = server_def_same_connection(old, def);
        result = replace(watchlist, connected.row, def);
        assert(result == 0);
    } else {
        result = add(watchlist, def, &connected.row);
        if (result != 0) {
            (void)!registry_remove_server(watchlist->registry, def->id);
            server_def_destroy(def);
        }
    }
    if (result == 0)
        *out = connected;
    return result;
}

int watchlist_disconnect(struct watchlist *watchlist, const char *id)
{
    uint32_t row = roster_find(watchlist->roster, id);
    if (row == ROSTER_NO_ROW)
        return WATCHLIST_UNKNOWN;
    if (roster_def(watchlist->roster, row)->source == SOURCE_FILE)
        return WATCHLIST_CONFLICT;
    int result = registry_remove_server(watchlist->registry, id);
    if (result != 0)
        return result;
    forget_level(watchlist, id);
    forget(watchlist, row);
    return 0;
}
