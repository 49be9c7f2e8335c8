/* SPDX-License-Identifier: MIT */
/* Tells that a file is another than before, on a libuv loop. */
#ifndef COMMON_FILE_WATCH_H
#define COMMON_FILE_WATCH_H

#include "common/compiler.h"

#include <uv.h>

struct file_watch;

/* From now on `on_change` runs, a little after the fact and once for many changes, whenever the file that the path leads to
 * is another one or has changed. It may be missing. Where the system can't watch, that is logged, and `on_change` never
 * runs. 0 or -ENOMEM. */
MUST_CHECK int file_watch_open(uv_loop_t *loop, const char *path, void (*on_change)(void *user), void *user,
                               struct file_watch **out);

/* `on_change` does not run afterwards. NULL does nothing. */
void file_watch_close(struct file_watch *watch);

#endif
