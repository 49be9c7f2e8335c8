/* SPDX-License-Identifier: MIT */
/* Reading of the servers file. The supervisor reads it to say at once what is wrong with it, the hub to apply it; both
 * get either all servers or a list of all that is wrong, one line each, with the line of the file.
 *
 * The file's text holds secrets. jansson's messages quote the place where they stopped, so of a syntax error only the
 * part before that is told; the keys of a definition are told, values never.
 *
 *     bytes ── jansson ── expand.c, in place ── server_def.c, one for each ── servers
 *                 └──────────────┴──────────────────┴── problems, each with the line from json_locate.c */
#include "common/servers_file.h"

#include "common/buf.h"
#include "common/expand.h"
#include "common/json_locate.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SERVERS_KEY "mcpServers"

enum { KEY_PATH_SIZE = 192, READ_CHUNK = 64 * 1024, BOM_SIZE = 3 };

struct reading {
    const char *path;
    const char *text;
    size_t size;
    json_t *unexpanded; /* of the server being read: keys that were told about already */
    struct problems *problems;
    bool failed;
};

/* --- problems --- */

static void add(struct reading *reading, unsigned line, const char *format, ...) PRINTF_LIKE(3, 4);

/* Keys and ids come from the file: what would change a terminal is made visible. */
static void add(struct reading *reading, unsigned line, const char *format, ...)
{
    char message[PROBLEM_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (char *at = message; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    reading->failed = true;
    if (line > 0)
        problems_add(reading->problems, "%s:%u: %s", reading->path, line, message);
    else
        problems_add(reading->problems, "%s: %s", reading->path, message);
}

static unsigned line_of(const struct reading *reading, const char *const *path, size_t depth)
{
    if (reading->problems->count >= PROBLEMS_MAX)
        return 0; /* the line is only counted: a scan of the whole file would be for nothing */
    return json_locate(reading->text, reading->size, path, depth);
}

/* A server_def_on_problem. `key` is "headers.Accept" for a part; of names, only those of parts may have dots. */
static void add_of_server(void *user, const char *id, const char *key, const char *message)
{
    struct reading *reading = user;
    char first[KEY_PATH_SIZE];
    const char *path[] = {SERVERS_KEY, id, first, NULL};
    const char *dot = strchr(key, '.');
    size_t depth = key[0] == '\0' ? 2 : 3;

    if (json_object_get(reading->unexpanded, key) != NULL)
        return;
    snprintf(first, sizeof first, "%.*s", (int)(dot != NULL ? (size_t)(dot - key) : strlen(key)), key);
    if (dot != NULL)
        path[depth++] = dot + 1;
    add(reading, line_of(reading, path, depth), SERVERS_KEY ".%.127s%s%s: %s", id, key[0] != '\0' ? "." : "", key,
        message);
}

/* --- bytes to JSON --- */

/* 0 or a negative errno. */
static int read_whole(const char *path, struct buf *out)
{
    int result = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (;;) {
        char chunk[READ_CHUNK];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = -errno;
        if (got <= 0)
            break;
        int outcome = buf_append(out, chunk, (size_t)got);
        if (outcome != 0) {
            result = outcome == BUF_FULL ? -EFBIG : -ENOMEM;
            break;
        }
    }
    close(fd);
    return result;
}

static void add_syntax_error(struct reading *reading, const json_error_t *error)
{
    unsigned line = error->line > 0 ? (unsigned)error->line : 1;
    const char *near = strstr(error->text, " near ");

    if (json_error_code(error) == json_error_duplicate_key)
        add(reading, line, "a key stands twice in the same object%s", near != NULL ? near : "");
    else
        add(reading, line, "not JSON: %.*s", (int)(near != NULL ? (size_t)(near - error->text) : strlen(error->text)),
            error->text);
}

/* The root object, or NULL when that was told. */
static json_t *parse(struct reading *reading)
{
    json_error_t error;

    if (reading->size >= BOM_SIZE && memcmp(reading->text, "\xef\xbb\xbf", BOM_SIZE) == 0) {
        reading->text += BOM_SIZE;
        reading->size -= BOM_SIZE;
    }
    json_t *root = json_loadb(reading->text, reading->size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        add_syntax_error(reading, &error);
        return NULL;
    }
    if (!json_is_object(root)) {
        add(reading, 1, "must be an object: {\"" SERVERS_KEY "\": {…}}");
        json_decref(root);
        return NULL;
    }
    return root;
}

/* The file may be the `--config` file, too, so other keys are somebody else's business, but for those that can only be
 * meant for this one. `servers` with a text is a flag's name. */
static bool is_misspelt(const char *key, const json_t *value)
{
    static const char *const others[] = {SERVERS_KEY, "servers", "mcp_servers", "mcp-servers", "mcpServer", "mcp"};

    if (!json_is_object(value) || strcmp(key, SERVERS_KEY) == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        if (strcasecmp(key, others[i]) == 0)
            return true;
    return false;
}

/* The object of servers, borrowed, or NULL when that was told. */
static json_t *find_servers(struct reading *reading, json_t *root)
{
    json_t *servers = json_object_get(root, SERVERS_KEY);
    bool told = false;
    const char *key;
    json_t *value;

    json_object_foreach (root, key, value) {
        if (is_misspelt(key, value)) {
            add(reading, line_of(reading, &key, 1), "%s: unknown key; \"" SERVERS_KEY "\" is meant", key);
            told = true;
        }
    }
    if (servers == NULL && !told)
        add(reading, 1, "has no key \"" SERVERS_KEY "\": {\"" SERVERS_KEY "\": {…}} is expected");
    if (servers != NULL && !json_is_object(servers)) {
        const char *path = SERVERS_KEY;
        add(reading, line_of(reading, &path, 1), SERVERS_KEY ": must be an object of servers by id");
        return NULL;
    }
    return servers;
}

/* --- JSON to servers --- */

/* Replaces the value of mcpServers.ID.KEY or mcpServers.ID.KEY.PART when it is a text that wants it. */
static void expand_value(struct reading *reading, const char *id, const char *key, const char *part, json_t *value)
{
    char error[EXPAND_ERROR_SIZE] = "";
    char path[KEY_PATH_SIZE];

    if (!json_is_string(value) || strchr(json_string_value(value), '$') == NULL)
        return;
    char *text = expand_text(json_string_value(value), error);
    if (text != NULL && json_string_set(value, text) != 0)
        snprintf(error, sizeof error, "what ${…} stands for is no UTF-8 text");
    free(text);
    if (error[0] == '\0')
        return;
    snprintf(path, sizeof path, "%s%s%s", key, part != NULL ? "." : "", part != NULL ? part : "");
    add_of_server(reading, id, path, error);
    (void)json_object_set_new(reading->unexpanded, path, json_true()); /* fails: told twice */
}

/* Texts stand at two levels: keys of a definition, and entries of a key's object or list. */
static void expand_server(struct reading *reading, const char *id, json_t *server)
{
    const char *key, *name;
    json_t *value, *item;
    size_t i;

    json_object_foreach (server, key, value) {
        expand_value(reading, id, key, NULL, value);
        json_object_foreach (value, name, item)
            expand_value(reading, id, key, name, item);
        json_array_foreach (value, i, item) {
            char number[24];
            snprintf(number, sizeof number, "%zu", i);
            expand_value(reading, id, key, number, item);
        }
    }
}

static void read_servers(struct reading *reading, json_t *servers, struct servers_file *out)
{
    const char *id;
    json_t *server;

    out->servers = calloc(json_object_size(servers) + 1, sizeof(struct server_def *));
    reading->unexpanded = json_object();
    if (out->servers == NULL || reading->unexpanded == NULL) {
        add(reading, 0, "no memory");
    } else {
        json_object_foreach (servers, id, server) {
            json_object_clear(reading->unexpanded);
            expand_server(reading, id, server);
            struct server_def *def = server_def_from_json(id, server, SOURCE_FILE, add_of_server, reading);
            if (def != NULL)
                out->servers[out->count++] = def;
        }
    }
    json_decref(reading->unexpanded);
    reading->unexpanded = NULL;
}

int servers_file_read(const char *path, struct servers_file *out, struct problems *problems)
{
    struct reading reading = {.path = path, .problems = problems};
    struct servers_file file = {.servers = NULL};
    struct buf bytes;

    buf_init(&bytes, SERVERS_FILE_MAX_BYTES);
    int result = read_whole(path, &bytes);
    if (result != 0) {
        add(&reading, 0, "can't be read: %s", strerror(-result));
    } else {
        reading.text = buf_text(&bytes);
        reading.size = bytes.size;
        json_t *root = parse(&reading);
        json_t *servers = root != NULL ? find_servers(&reading, root) : NULL;
        if (servers != NULL)
            read_servers(&reading, servers, &file);
        json_decref(root);
    }
    buf_fini(&bytes);
    if (reading.failed) {
        servers_file_fini(&file);
        *out = (struct servers_file){.servers = NULL};
        return 1;
    }
    *out = file;
    return 0;
}

void servers_file_fini(struct servers_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        server_def_destroy(file->servers[i]);
    free(file->servers);
    *file = (struct servers_file){.servers = NULL};
}
