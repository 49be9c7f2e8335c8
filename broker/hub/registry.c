/* SPDX-License-Identifier: MIT */
/* The registry: an SQLite database in the state directory, which nothing but this file and registry_file.c speaks to. The
 * hub puts run-time servers into it before it acknowledges them, and the levels of all servers in batches.
 *
 * It is in WAL mode with synchronous=NORMAL, in which a power failure can take the last commits but damages nothing; around
 * what is acknowledged as durable it is FULL. The hub waits for the disk here: batches are short, and a server comes or
 * goes seldom. */
#include "broker/hub/registry.h"

#include "broker/hub/registry_file.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/paths.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum statement {
    PUT_SERVER,
    REMOVE_SERVER,
    EACH_SERVER,
    PUT_TOKEN,
    REMOVE_TOKEN,
    EACH_TOKEN,
    LOAD_LEVEL,
    STORE_LEVEL,
    LOAD_MEMORY,
    STORE_MEMORY,
    EACH_KNOWN,
    LOAD_NOTE,
    STORE_NOTE,
    REMOVE_NOTE,
    FORGET_LEVELS,
    FORGET_MEMORY,
    BEGIN,
    COMMIT,
    STATEMENT_COUNT
};

static const char *const statement_texts[STATEMENT_COUNT] = {
    [PUT_SERVER] = "INSERT INTO servers(id, definition, added_ms) VALUES(?1, ?2, ?3)"
                   " ON CONFLICT(id) DO UPDATE SET definition = excluded.definition",
    [REMOVE_SERVER] = "DELETE FROM servers WHERE id = ?1",
    [EACH_SERVER] = "SELECT id, definition FROM servers ORDER BY rowid",
    [PUT_TOKEN] = "INSERT OR REPLACE INTO tokens(chain, refresh_token) VALUES(?1, ?2)",
    [REMOVE_TOKEN] = "DELETE FROM tokens WHERE chain = ?1",
    [EACH_TOKEN] = "SELECT chain, refresh_token FROM tokens",
    [LOAD_LEVEL] = "SELECT generation, published, fp_high, fp_low, count, known, seen_ms FROM levels"
                   " WHERE id = ?1 AND kind = ?2",
    [STORE_LEVEL] =
        "INSERT OR REPLACE INTO levels(id, kind, generation, published, fp_high, fp_low, count, known, seen_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [LOAD_MEMORY] = "SELECT era, protocol_version FROM memory WHERE id = ?1",
    [STORE_MEMORY] = "INSERT OR REPLACE INTO memory(id, era, protocol_version) VALUES(?1, ?2, ?3)",
    [EACH_KNOWN] = "SELECT id, max(generation) FROM"
                   " (SELECT id, generation FROM levels UNION ALL SELECT id, 0 FROM memory) GROUP BY id",
    [LOAD_NOTE] = "SELECT value FROM meta WHERE key = ?1",
    [REMOVE_NOTE] = "DELETE FROM meta WHERE key = ?1",
    [STORE_NOTE] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)",
    [FORGET_LEVELS] = "DELETE FROM levels WHERE id = ?1",
    [FORGET_MEMORY] = "DELETE FROM memory WHERE id = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

struct registry {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char path[PATH_MAX];
    char instance[RANDOM_ID_SIZE];
    bool in_batch;
    int batch_fault; /* what ended the batch before its commit, or 0 */
    bool failing;    /* nothing was stored since the fault that was logged */
};

/* --- faults --- */

/* A batch is rolled back as a whole: SQLite does so by itself on some faults, and all of them shall be alike. */
static int fail(struct registry *registry, int code)
{
    if (!registry->failing) {
        log_error("registry.failed", LOG_TEXT("file", registry->path),
                  LOG_TEXT("error", sqlite3_errmsg(registry->database)), LOG_I64("code", code));
        registry->failing = true;
    }
    if (!sqlite3_get_autocommit(registry->database)) {
        sqlite3_exec(registry->database, "ROLLBACK", NULL, NULL, NULL);
    }
    int result = registry_file_errno(code);
    if (registry->in_batch && registry->batch_fault == 0) {
        registry->batch_fault = result;
    }
    return result;
}

/* --- statements --- */

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    /* Nothing is copied, so that this can't fail; the text lives until the statement is finished. */
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *statement, int index, uint64_t number)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)number);
}

static uint64_t column_number(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

static const char *column_text(sqlite3_stmt *statement, int index)
{
    const unsigned char *text = sqlite3_column_text(statement, index);
    return text == NULL ? "" : (const char *)text;
}

static void finish(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* Runs a statement, bound already, that gives no rows. */
static int run(struct registry *registry, enum statement which)
{
    sqlite3_stmt *statement = registry->statements[which];
    int code = sqlite3_step(statement);
    int result = code == SQLITE_DONE ? 0 : fail(registry, code);
    finish(statement);
    return result;
}

/* One that has failed is over, though its commit is still to come, or never does. */
static bool batch_is_open(const struct registry *registry)
{
    return registry->in_batch && registry->batch_fault == 0;
}

/* The same for a part of a batch, which does nothing once the batch has failed. */
static int run_in_batch(struct registry *registry, enum statement which)
{
    assert(registry->in_batch);
    if (registry->batch_fault != 0) {
        finish(registry->statements[which]);
        return registry->batch_fault;
    }
    return run(registry, which);
}

/* The same as run, and the change is on the disk when it returns. */
static int run_durably(struct registry *registry, enum statement which)
{
    assert(!batch_is_open(registry)); /* the setting cannot be changed within a transaction */
    int code = sqlite3_exec(registry->database, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        finish(registry->statements[which]);
        return fail(registry, code);
    }
    int result = run(registry, which);
    sqlite3_exec(registry->database, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    if (result == 0) {
        registry->failing = false;
    }
    return result;
}

/* Looks for the one row of a bound query: 0 (the caller reads it, and finishes the statement), REGISTRY_NONE, or a
 * fault. */
static int look_up(struct registry *registry, enum statement which)
{
    int code = sqlite3_step(registry->statements[which]);
    if (code == SQLITE_ROW) {
        return 0;
    }
    int result = code == SQLITE_DONE ? REGISTRY_NONE : fail(registry, code);
    finish(registry->statements[which]);
    return result;
}

/* --- opening --- */

static int prepare(struct registry *registry, char error[REGISTRY_ERROR_SIZE])
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        int code = sqlite3_prepare_v3(registry->database, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &registry->statements[i], NULL);
        if (code != SQLITE_OK) {
            snprintf(error, REGISTRY_ERROR_SIZE, "%.256s: %s", registry->path, sqlite3_errmsg(registry->database));
            return registry_file_errno(code);
        }
    }
    return 0;
}

int registry_open(const char *state_dir, struct registry **out, char error[REGISTRY_ERROR_SIZE])
{
    struct registry *registry = calloc(1, sizeof(*registry));
    if (registry == NULL) {
        snprintf(error, REGISTRY_ERROR_SIZE, "registry: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    int result = paths_join(registry->path, sizeof(registry->path), state_dir, PATHS_REGISTRY);
    if (result != 0) {
        snprintf(error, REGISTRY_ERROR_SIZE, "%.256s: %s (--state-dir)", state_dir, strerror(-result));
        goto close_registry;
    }
    result = registry_file_open(registry->path, &registry->database, registry->instance, error);
    if (result != 0) {
        goto close_registry;
    }
    result = prepare(registry, error);
    if (result != 0) {
        goto close_registry;
    }
    *out = registry;
    return 0;

close_registry:
    registry_close(registry);
    return result;
}

void registry_close(struct registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(registry->statements[i]);
    }
    sqlite3_close(registry->database);
    free(registry);
}

void registry_rest(struct registry *registry)
{
    sqlite3_db_release_memory(registry->database);
}

const char *registry_instance(const struct registry *registry)
{
    return registry->instance;
}

int registry_load_note(struct registry *registry, const char *key, char out[REGISTRY_NOTE_SIZE])
{
    sqlite3_stmt *statement = registry->statements[LOAD_NOTE];
    out[0] = '\0';
    bind_text(statement, 1, key);
    int result = look_up(registry, LOAD_NOTE);
    if (result != 0) {
        return result;
    }
    snprintf(out, REGISTRY_NOTE_SIZE, "%s", column_text(statement, 0));
    finish(statement);
    return 0;
}

int registry_load_long_note(struct registry *registry, const char *key, char **out)
{
    sqlite3_stmt *statement = registry->statements[LOAD_NOTE];
    bind_text(statement, 1, key);
    int result = look_up(registry, LOAD_NOTE);
    if (result != 0) {
        return result;
    }
    char *text = strdup(column_text(statement, 0));
    finish(statement);
    if (text == NULL) {
        return -ENOMEM;
    }
    *out = text;
    return 0;
}

int registry_remove_note(struct registry *registry, const char *key)
{
    bind_text(registry->statements[REMOVE_NOTE], 1, key);
    return run(registry, REMOVE_NOTE);
}

int registry_store_note(struct registry *registry, const char *key, const char *text, bool durably)
{
    bind_text(registry->statements[STORE_NOTE], 1, key);
    bind_text(registry->statements[STORE_NOTE], 2, text);
    return durably ? run_durably(registry, STORE_NOTE) : run(registry, STORE_NOTE);
}

/* --- servers connected at run time --- */

int registry_put_server(struct registry *registry, const char *id, const char *definition)
{
    sqlite3_stmt *statement = registry->statements[PUT_SERVER];
    bind_text(statement, 1, id);
    bind_text(statement, 2, definition);
    bind_number(statement, 3, clock_wall_ms());
    return run_durably(registry, PUT_SERVER);
}

int registry_remove_server(struct registry *registry, const char *id)
{
    bind_text(registry->statements[REMOVE_SERVER], 1, id);
    return run_durably(registry, REMOVE_SERVER);
}

/* Runs a query whose rows are two texts. */
static int each_pair(struct registry *registry, enum statement which,
                     void (*on_pair)(void *user, const char *key, const char *value), void *user)
{
    sqlite3_stmt *statement = registry->statements[which];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        on_pair(user, column_text(statement, 0), column_text(statement, 1));
    }
    int result = code == SQLITE_DONE ? 0 : fail(registry, code);
    finish(statement);
    return result;
}

int registry_each_server(struct registry *registry,
                         void (*on_server)(void *user, const char *id, const char *definition), void *user)
{
    return each_pair(registry, EACH_SERVER, on_server, user);
}

/* --- refresh tokens --- */

int registry_put_token(struct registry *registry, const char *chain, const char *refresh_token)
{
    bind_text(registry->statements[PUT_TOKEN], 1, chain);
    bind_text(registry->statements[PUT_TOKEN], 2, refresh_token);
    return run_durably(registry, PUT_TOKEN);
}

int registry_remove_token(struct registry *registry, const char *chain)
{
    bind_text(registry->statements[REMOVE_TOKEN], 1, chain);
    return run_durably(registry, REMOVE_TOKEN);
}

int registry_each_token(struct registry *registry,
                        void (*on_token)(void *user, const char *chain, const char *refresh_token), void *user)
{
    return each_pair(registry, EACH_TOKEN, on_token, user);
}

/* --- what is known of any server --- */

int registry_load_level(struct registry *registry, const char *id, enum kind kind, struct registry_level *out)
{
    sqlite3_stmt *statement = registry->statements[LOAD_LEVEL];
    *out = (struct registry_level){0};
    bind_text(statement, 1, id);
    bind_number(statement, 2, kind);
    int result = look_up(registry, LOAD_LEVEL);
    if (result != 0) {
        return result;
    }
    *out = (struct registry_level){
        .generation = column_number(statement, 0),
        .published = column_number(statement, 1),
        .fingerprint = {.high = column_number(statement, 2), .low = column_number(statement, 3)},
        .count = (uint32_t)column_number(statement, 4),
        .known = column_number(statement, 5) != 0,
        .seen_ms = column_number(statement, 6),
    };
    finish(statement);
    return 0;
}

int registry_load_memory(struct registry *registry, const char *id, struct registry_memory *out)
{
    sqlite3_stmt *statement = registry->statements[LOAD_MEMORY];
    *out = (struct registry_memory){0};
    bind_text(statement, 1, id);
    int result = look_up(registry, LOAD_MEMORY);
    if (result != 0) {
        return result;
    }
    uint64_t era = column_number(statement, 0);
    out->era = era < ERA_COUNT ? (enum era)era : ERA_UNKNOWN;
    snprintf(out->protocol_version, sizeof(out->protocol_version), "%s", column_text(statement, 1));
    finish(statement);
    return 0;
}

int registry_each_known(struct registry *registry, void (*on_known)(void *user, const char *id, uint64_t generation),
                        void *user)
{
    sqlite3_stmt *statement = registry->statements[EACH_KNOWN];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        on_known(user, column_text(statement, 0), column_number(statement, 1));
    }
    int result = code == SQLITE_DONE ? 0 : fail(registry, code);
    finish(statement);
    return result;
}

int registry_begin(struct registry *registry)
{
    assert(!batch_is_open(registry));
    registry->in_batch = false;
    int result = run(registry, BEGIN);
    registry->in_batch = result == 0;
    registry->batch_fault = 0;
    return result;
}

int registry_store_level(struct registry *registry, const char *id, enum kind kind, const struct registry_level *level)
{
    sqlite3_stmt *statement = registry->statements[STORE_LEVEL];
    bind_text(statement, 1, id);
    bind_number(statement, 2, kind);
    bind_number(statement, 3, level->generation);
    bind_number(statement, 4, level->published);
    bind_number(statement, 5, level->fingerprint.high);
    bind_number(statement, 6, level->fingerprint.low);
    bind_number(statement, 7, level->count);
    bind_number(statement, 8, level->known);
    bind_number(statement, 9, level->seen_ms);
    return run_in_batch(registry, STORE_LEVEL);
}

int registry_store_memory(struct registry *registry, const char *id, const struct registry_memory *memory)
{
    sqlite3_stmt *statement = registry->statements[STORE_MEMORY];
    bind_text(statement, 1, id);
    bind_number(statement, 2, memory->era);
    bind_text(statement, 3, memory->protocol_version);
    return run_in_batch(registry, STORE_MEMORY);
}

int registry_forget(struct registry *registry, const char *id)
{
    bind_text(registry->statements[FORGET_LEVELS], 1, id);
    int result = run_in_batch(registry, FORGET_LEVELS);
    if (result != 0) {
        return result;
    }
    bind_text(registry->statements[FORGET_MEMORY], 1, id);
    return run_in_batch(registry, FORGET_MEMORY);
}

int registry_commit(struct registry *registry)
{
    int result = run_in_batch(registry, COMMIT);
    registry->in_batch = false;
    if (result == 0) {
        registry->failing = false;
    }
    return result;
}
