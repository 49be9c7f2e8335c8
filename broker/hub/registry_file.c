/* SPDX-License-Identifier: MIT */
/* The registry's database as a file: made, checked, set aside.
 *
 * The file and its companions (-wal, -shm, which take its mode) are the broker's user's alone. A damaged database is
 * never overwritten or mended: it is renamed aside, for a human to look at, and a new one begun. One of a newer version,
 * or one that is no registry at all, is not touched. */
#include "broker/hub/registry_file.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x4d435042 /* "MCPB" */, SCHEMA_VERSION = 1, BUSY_TIMEOUT_MS = 1000, FILE_MODE = 0600 };

/* Found here and answered here: not a fault, and not for callers. */
enum { DAMAGED = 1 };

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
    "CREATE TABLE servers(id TEXT PRIMARY KEY, definition TEXT NOT NULL, added_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE levels(id TEXT NOT NULL, kind INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " published INTEGER NOT NULL, fp_high INTEGER NOT NULL, fp_low INTEGER NOT NULL, count INTEGER NOT NULL,"
    " known INTEGER NOT NULL, seen_ms INTEGER NOT NULL, PRIMARY KEY(id, kind)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE memory(id TEXT PRIMARY KEY, era INTEGER NOT NULL, protocol_version TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;";

int registry_file_errno(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return -EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_TOOBIG:
        return -E2BIG;
    default:
        return -EIO;
    }
}

/* Explains what SQLite said. DAMAGED or a negative errno. */
static int explain(sqlite3 *database, const char *path, int code, char error[REGISTRY_ERROR_SIZE])
{
    snprintf(error, REGISTRY_ERROR_SIZE, "%.256s: %s", path, sqlite3_errmsg(database));
    int primary = code & 0xff;
    return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ? DAMAGED : registry_file_errno(code);
}

/* SQLite gives a database that it makes the mode 0644; so the file is made before SQLite sees it. The descriptor is
 * closed before, too: closing it later would give up SQLite's locks. */
static int make_file(const char *path)
{
    struct stat status;
    int result = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &status) != 0) {
        result = -errno;
    } else if (!S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
        result = -EPERM;
    } else if ((status.st_mode & 0777) != FILE_MODE && fchmod(fd, FILE_MODE) != 0) {
        result = -errno;
    }
    close(fd);
    return result;
}

/* The first column of the first row, "" when there is none. SQLITE_OK or what went wrong. */
static int query_text(sqlite3 *database, const char *text, char *out, size_t size)
{
    sqlite3_stmt *statement = NULL;
    out[0] = '\0';
    int code = sqlite3_prepare_v2(database, text, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        const unsigned char *value = sqlite3_column_text(statement, 0);
        snprintf(out, size, "%s", value == NULL ? "" : (const char *)value);
    }
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code;
}

static int query_number(sqlite3 *database, const char *text, long long *out)
{
    char digits[32];
    int code = query_text(database, text, digits, sizeof(digits));
    *out = strtoll(digits, NULL, 10);
    return code;
}

static int make_schema(sqlite3 *database, const char *path, char error[REGISTRY_ERROR_SIZE])
{
    char instance[RANDOM_ID_SIZE];
    char text[sizeof(schema) + 256];
    int result = random_id(instance);
    if (result != 0) {
        snprintf(error, REGISTRY_ERROR_SIZE, "random numbers: %s", strerror(-result));
        return result;
    }
    snprintf(text, sizeof(text),
             "BEGIN IMMEDIATE; %s INSERT INTO meta VALUES('instance', '%s');"
             " PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             schema, instance, APPLICATION_ID, SCHEMA_VERSION);
    int code = sqlite3_exec(database, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : explain(database, path, code, error);
}

/* Whether this is a registry, whole, and of a version that we know; an empty database becomes one. */
static int verify(sqlite3 *database, const char *path, char error[REGISTRY_ERROR_SIZE])
{
    long long application = 0, version = 0, objects = 0;
    char verdict[REGISTRY_ERROR_SIZE / 2] = "";
    int code = query_number(database, "PRAGMA application_id", &application);
    if (code == SQLITE_OK) {
        code = query_number(database, "PRAGMA user_version", &version);
    }
    if (code == SQLITE_OK) {
        code = query_number(database, "SELECT count(*) FROM sqlite_schema", &objects);
    }
    if (code != SQLITE_OK) {
        return explain(database, path, code, error);
    }
    if (application == 0 && version == 0 && objects == 0) {
        return make_schema(database, path, error);
    }
    if (application != APPLICATION_ID) {
        snprintf(error, REGISTRY_ERROR_SIZE, "%.256s is a database of another program (--state-dir)", path);
        return -EINVAL;
    }
    if (version != SCHEMA_VERSION) {
        snprintf(error, REGISTRY_ERROR_SIZE,
                 "%.256s has version %lld, and this program knows version %d: it was made by a newer mcp-broker", path,
                 version, SCHEMA_VERSION);
        return -ENOTSUP;
    }
    code = query_text(database, "PRAGMA quick_check(1)", verdict, sizeof(verdict));
    if (code != SQLITE_OK) {
        return explain(database, path, code, error);
    }
    if (strcmp(verdict, "ok") != 0) {
        snprintf(error, REGISTRY_ERROR_SIZE, "%.200s: %.255s", path, verdict);
        return DAMAGED;
    }
    return 0;
}

/* The last steps, on a database that is known to be ours: how it is written, and which broker it is of. */
static int settle(sqlite3 *database, const char *path, char instance[RANDOM_ID_SIZE], char error[REGISTRY_ERROR_SIZE])
{
    /* secure_delete: a definition that was removed had credentials in it. The table came later than the first version,
     * which has no use for it and leaves it alone. */
    int code = sqlite3_exec(database,
                            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;"
                            "CREATE TABLE IF NOT EXISTS tokens(chain TEXT PRIMARY KEY, refresh_token TEXT NOT NULL)"
                            " STRICT, WITHOUT ROWID",
                            NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = query_text(database, "SELECT value FROM meta WHERE key = 'instance'", instance, RANDOM_ID_SIZE);
    }
    if (code != SQLITE_OK) {
        return explain(database, path, code, error);
    }
    if (strlen(instance) != RANDOM_ID_SIZE - 1) {
        snprintf(error, REGISTRY_ERROR_SIZE, "%.256s has lost its instance id", path);
        return DAMAGED;
    }
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return 0;
}

/* 0, DAMAGED, or a negative errno. */
static int open_once(const char *path, sqlite3 **out, char instance[RANDOM_ID_SIZE], char error[REGISTRY_ERROR_SIZE])
{
    sqlite3 *database = NULL;
    int result = make_file(path);
    if (result != 0) {
        snprintf(error, REGISTRY_ERROR_SIZE, "%.256s: %s (--state-dir)", path, strerror(-result));
        return result;
    }
    int code = sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        result = explain(database, path, code, error); /* also without a database: "out of memory" */
        goto close_database;
    }
    sqlite3_busy_timeout(database, BUSY_TIMEOUT_MS);
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* what is damaged is left as it is */
    result = verify(database, path, error);
    if (result == 0) {
        result = settle(database, path, instance, error);
    }
    if (result != 0) {
        goto close_database;
    }
    *out = database;
    return 0;

close_database:
    sqlite3_close(database);
    return result;
}

/* The companions go first: a new database must never meet the log of an old one, which SQLite would replay into it. */
static int set_aside(const char *path, const char *why, char error[REGISTRY_ERROR_SIZE])
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    char kept[PATH_MAX + 32], from[PATH_MAX + 8], to[PATH_MAX + 40];
    snprintf(kept, sizeof(kept), "%s.damaged-%" PRIu64, path, clock_wall_ms());
    for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
        snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
        snprintf(to, sizeof(to), "%s%s", kept, suffixes[i]);
        if (rename(from, to) != 0 && errno != ENOENT) {
            int result = -errno;
            snprintf(error, REGISTRY_ERROR_SIZE, "%.256s is damaged and cannot be renamed: %s", from,
                     strerror(-result));
            return result;
        }
    }
    log_error("registry.damaged", LOG_TEXT("error", why), LOG_TEXT("kept_as", kept), LOG_TEXT("begun_anew", path));
    return 0;
}

int registry_file_open(const char *path, sqlite3 **out, char instance[RANDOM_ID_SIZE], char error[REGISTRY_ERROR_SIZE])
{
    int result = open_once(path, out, instance, error);
    if (result == DAMAGED) {
        char why[REGISTRY_ERROR_SIZE];
        memcpy(why, error, sizeof(why));
        result = set_aside(path, why, error);
        if (result == 0) {
            result = open_once(path, out, instance, error);
        }
    }
    return result == DAMAGED ? -EBADMSG : result; /* a new one is damaged, too: the disk is */
}
