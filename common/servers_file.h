/* SPDX-License-Identifier: MIT */
/* The servers file: {"mcpServers": {id: {…}}}. Read whole and checked whole; a file with an error changes nothing.
 * ${NAME} in any text value is replaced from the environment, ${file:PATH} by that file's content without its last line
 * break, $${ stands for ${. Pure but for those reads. */
#ifndef COMMON_SERVERS_FILE_H
#define COMMON_SERVERS_FILE_H

#include "common/compiler.h"
#include "common/problems.h"
#include "common/server_def.h"

#include <stddef.h>

enum { SERVERS_FILE_MAX_BYTES = 256 * 1024 * 1024 };

struct servers_file {
    struct server_def **servers; /* in the file's order */
    size_t count;
};

/* Reads `path`. 0; or 1 with a line in `problems` for each error that names file, line and key (not JSON, duplicate id,
 * unknown key, wrong type, missing variable, no URL, …), `out` then being empty. */
MUST_CHECK int servers_file_read(const char *path, struct servers_file *out, struct problems *problems);

/* Frees the servers that are still there (an entry taken out by the caller is set to NULL by it). */
void servers_file_fini(struct servers_file *file);

#endif
