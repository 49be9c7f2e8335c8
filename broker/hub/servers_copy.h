/* SPDX-License-Identifier: MIT */
/* The servers of the file as they were when it was last good, kept in the run directory for a hub that is restarted while
 * the file is not. From any thread. */
#ifndef HUB_SERVERS_COPY_H
#define HUB_SERVERS_COPY_H

#include "common/compiler.h"
#include "common/servers_file.h"

/* Replaces the copy. 0 or a negative errno. */
MUST_CHECK int servers_copy_write(const char *path, const struct servers_file *file);

/* Reads it. 0, or a negative errno (-ENOENT: there is none; -EBADMSG: it is none), `out` then being empty. */
MUST_CHECK int servers_copy_read(const char *path, struct servers_file *out);

/* It is not needed any more: it holds credentials. */
void servers_copy_remove(const char *path);

#endif
