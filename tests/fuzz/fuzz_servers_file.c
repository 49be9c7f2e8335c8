/* SPDX-License-Identifier: MIT */
/* Fuzz target of the servers file, from its bytes to definitions. Whatever they are: a refusal says why, in lines that
 * a terminal can show; and a definition that was accepted is accepted again when it is written as JSON, as the same. */
#include "common/servers_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ORIGIN_SIZE = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void on_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id;
    fprintf(stderr, "%s: %s\n", key, message);
}

static void check_problems(const struct problems *problems)
{
    if (problems->count == 0)
        abort();
    for (size_t i = 0; i < problems->count; i++) {
        const char *line = problems->lines[i];
        if (strnlen(line, PROBLEM_TEXT_SIZE) == PROBLEM_TEXT_SIZE)
            abort();
        for (; *line != '\0'; line++)
            if ((unsigned char)*line < ' ' || *line == 0x7f)
                abort();
    }
}

static void check_definition(const struct server_def *def)
{
    char origin[ORIGIN_SIZE];
    json_t *object = server_def_to_json(def);
    struct server_def *again = server_def_from_json(def->id, object, SOURCE_FILE, on_problem, NULL);
    if (again == NULL || !server_def_equal(def, again) || !server_def_same_connection(def, again))
        abort();
    if (strchr(server_def_origin(def, origin, sizeof(origin)), '@') != NULL && def->transport != TRANSPORT_STDIO)
        abort();
    server_def_destroy(again);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[32];
    struct servers_file file;
    struct problems problems;
    int fd = memfd_create("servers.json", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    problems_init(&problems);
    if (servers_file_read(path, &file, &problems) != 0)
        check_problems(&problems);
    else if (problems.count != 0)
        abort();
    for (size_t i = 0; i < file.count; i++)
        check_definition(file.servers[i]);
    servers_file_fini(&file);
    problems_fini(&problems);
    close(fd);
    return 0;
}
