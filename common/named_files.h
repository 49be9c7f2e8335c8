/* SPDX-License-Identifier: MIT */
/* The files that servers' definitions name for a worker to open (`caFile`, `auth.privateKeyFile`), as a text: one a line,
 * each once. A worker is granted them before it locks itself in, so hub and supervisor must know them. Pure. */
#ifndef COMMON_NAMED_FILES_H
#define COMMON_NAMED_FILES_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/server_def.h"

#include <stdbool.h>

enum { NAMED_FILES_MAX = 60000 }; /* bytes: it must fit into a message of the link */

/* Adds those of one server. 0, -ENOMEM, or buf's outcome when there are too many. */
MUST_CHECK int named_files_add(struct buf *files, const struct server_def *def);

/* True when each of `some` is one of `all`. */
bool named_files_within(const char *some, const char *all);

#endif
