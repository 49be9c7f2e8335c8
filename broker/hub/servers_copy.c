/* SPDX-License-Identifier: MIT */
/* "A file with an error changes nothing: the old servers stay" is easy while a process lives that knows the old ones. A
 * hub that dies while somebody is editing the file would not, and would take all of its servers away. So each good
 * reading leaves this copy, with all that the environment and other files gave to it, since those may be what is wrong
 * next time.
 *
 * One line a server, [id, definition], the form in which definitions stand in the registry and go to workers. It is the
 * broker's user's alone, in memory (the run directory), and removed when the broker stops: the next start checks the
 * file before anything else. It is written beside its place and renamed, so that it is whole or the one before.
 */
#include "broker/hub/servers_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE = 0600 };

/* --- writing --- */

static int write_server(FILE *out, const struct server_def *def)
{
    json_t *definition = server_def_to_json(def);
    json_t *line = definition ? json_pack("[s, o]", def->id, definition) : NULL;
    int result = line ? 0 : -ENOMEM;
    if (result == 0 && (json_dumpf(line, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF))
        result = -EIO;
    json_decref(line);
    return result;
}

static int write_all(int fd, const struct servers_file *file)
{
    FILE *out = fdopen(fd, "w");
    int result = out ? 0 : -errno;
    if (!out) {
        close(fd);
        return result;
    }
    for (size_t i = 0; i < file->count && result == 0; i++)
        result = write_server(out, file->servers[i]);
    if (fclose(out) != 0 && result == 0)
        result = -errno;
    return result;
}

int servers_copy_write(const char *path, const struct servers_file *file)
{
    char temporary[PATH_MAX];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    unlink(temporary); /* of a process that was killed in here */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
    int result = fd < 0 ? -errno : write_all(fd, file);
    if (result == 0 && rename(temporary, path) != 0)
        result = -errno;
    if (result != 0)
        unlink(temporary);
    return result;
}

void servers_copy_remove(const char *path)
{
    unlink(path);
}

/* --- reading --- */

static void ignore_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id, (void)key, (void)message;
}

/* NULL when it is no line of a copy, or without memory. */
static struct server_def *read_line(const char *line, size_t size)
{
    json_t *entry = json_loadb(line, size, 0, NULL);
    json_t *definition = json_array_get(entry, 1);
    const char *id = json_string_value(json_array_get(entry, 0));
    struct server_def *def = id && json_is_object(definition)
                                 ? server_def_from_json(id, definition, SOURCE_FILE, ignore_problem, NULL)
                                 : NULL;
    json_decref(entry);
    return def;
}

/* Takes `def`, which may be NULL. */
static int add(struct servers_file *file, size_t *room, struct server_def *def)
{
    if (!def)
        return -EBADMSG;
    if (file->count == *room) {
        size_t more = *room ? 2 * *room : 64;
        struct server_def **servers = realloc(file->servers, more * sizeof(struct server_def *));
        if (!servers) {
            server_def_destroy(def);
            return -ENOMEM;
        }
        file->servers = servers;
        *room = more;
    }
    file->servers[file->count++] = def;
    return 0;
}

static FILE *open_copy(const char *path, int *result)
{
    struct stat status = {0};
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        *result = -errno;
        return NULL;
    }
    *result = fstat(fd, &status) != 0 ? -errno : status.st_uid != geteuid() ? -EPERM : 0;
    FILE *in = *result == 0 ? fdopen(fd, "r") : NULL;
    if (*result == 0 && !in)
        *result = -errno;
    if (!in)
        close(fd);
    return in;
}

int servers_copy_read(const char *path, struct servers_file *out)
{
    int result;
    char *line = NULL;
    size_t capacity = 0, room = 0;
    ssize_t length;
    FILE *in = open_copy(path, &result);
    *out = (struct servers_file){.servers = NULL};
    if (!in)
        return result;
    while (result == 0 && (length = getline(&line, &capacity, in)) > 0)
        result = add(out, &room, read_line(line, (size_t)length));
    if (result == 0 && ferror(in) != 0)
        result = -EIO;
    fclose(in);
    free(line);
    if (result != 0)
        servers_file_fini(out);
    return result;
}
