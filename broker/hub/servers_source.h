/* SPDX-License-Identifier: MIT */
/* The servers file, watched: read at the start, when asked to, and when it changes. Reading and checking a large file
 * takes its time, so but for the first time it is done beside the loop. A file with an error is told in the log, line by
 * line, and changes nothing. Loop thread only. */
#ifndef HUB_SERVERS_SOURCE_H
#define HUB_SERVERS_SOURCE_H

#include "broker/hub/registry.h"
#include "common/compiler.h"
#include "common/servers_file.h"

#include <stdint.h>
#include <uv.h>

struct servers_source;

/* `on_servers` gets each good file; it may take servers out of it. A copy of the last good one is kept in `registry`, which
 * lives longer. Texts are copied. Reads nothing yet. 0 or a negative errno, which has been logged. */
MUST_CHECK int servers_source_open(uv_loop_t *loop, const char *path, struct registry *registry,
                                   void (*on_servers)(void *user, struct servers_file *file), void *user,
                                   struct servers_source **out);

/* Reads it now, or, when it has an error, its last good copy: `on_servers` runs before this returns. At the start. 0, or 1
 * when there is neither, which has been logged. */
MUST_CHECK int servers_source_read(struct servers_source *source);

/* Reads it again, soon, whether it has changed or not. */
void servers_source_reload(struct servers_source *source);

const char *servers_source_path(const struct servers_source *source);

/* When it was last read without an error; 0: never. */
uint64_t servers_source_read_ms(const struct servers_source *source);

/* What was wrong at the last reading: the first problem, and how many more; "" when it was good. */
const char *servers_source_error(const struct servers_source *source);

/* Removes the copy: the broker stops, and its next start reads the file. NULL does nothing. */
void servers_source_forget(const struct servers_source *source);

/* NULL does nothing. */
void servers_source_close(struct servers_source *source);

#endif
