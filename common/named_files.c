/* SPDX-License-Identifier: MIT */
/* Thousands of servers most often name one file or none, so a list of lines that is searched from its beginning is all it
 * takes. A path with a line break is left out: nobody has one, and it would be two. */
#include "common/named_files.h"

#include <string.h>

static bool has_line(const char *text, const char *line, size_t length)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        if (size == length && memcmp(text, line, length) == 0)
            return true;
        text += size + (text[size] != '\0' ? 1 : 0);
    }
    return false;
}

static int add(struct buf *files, const char *path)
{
    if (path == NULL || strchr(path, '\n') != NULL || has_line(buf_text(files), path, strlen(path)))
        return 0;
    int result = buf_append_text(files, path);
    return result == 0 ? buf_append_text(files, "\n") : result;
}

int named_files_add(struct buf *files, const struct server_def *def)
{
    int result = add(files, def->extras->ca_file);
    return result == 0 ? add(files, json_string_value(json_object_get(def->extras->auth, "privateKeyFile"))) : result;
}

bool named_files_within(const char *some, const char *all)
{
    while (*some != '\0') {
        size_t size = strcspn(some, "\n");
        if (size > 0 && !has_line(all, some, size))
            return false;
        some += size + (some[size] != '\0' ? 1 : 0);
    }
    return true;
}
