/* SPDX-License-Identifier: MIT */
/* "A file with an error changes nothing: the old servers stay" is easy while a process lives that knows the old ones. A
 * hub that dies while somebody is editing the file would not, and would take all of its servers away. So each good
 * reading leaves this copy, with all that the environment and other files gave to it, since those may be what is wrong
 * next time.
 *
 * One line a server, [id, definition], the form in which definitions stand in the registry and go to workers. With its
 * credentials it belongs into the registry and nowhere else, and is removed when the broker stops: the next start checks
 * the file before anything else. */
#include "broker/hub/servers_copy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

char *servers_copy_create(const struct servers_file *file)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int result = out ? 0 : -ENOMEM;
    for (size_t i = 0; i < file->count && result == 0; i++)
        result = write_server(out, file->servers[i]);
    if (out && fclose(out) != 0)
        result = -ENOMEM;
    if (result == 0)
        return text;
    servers_copy_destroy(text);
    return NULL;
}

void servers_copy_destroy(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
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

int servers_copy_read(const char *text, struct servers_file *out)
{
    size_t room = 0;
    int result = 0;
    *out = (struct servers_file){.servers = NULL};
    while (*text != '\0' && result == 0) {
        size_t size = strcspn(text, "\n");
        result = add(out, &room, read_line(text, size));
        text += size + (text[size] != '\0' ? 1 : 0);
    }
    if (result != 0)
        servers_file_fini(out);
    return result;
}
