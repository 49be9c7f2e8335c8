/* SPDX-License-Identifier: MIT */
/* The servers of the file as they were when it was last good, as a text that the registry keeps for a hub that is
 * restarted while the file is not. Pure. */
#ifndef HUB_SERVERS_COPY_H
#define HUB_SERVERS_COPY_H

#include "common/compiler.h"
#include "common/servers_file.h"

/* The note of the registry that has it. */
#define SERVERS_COPY_NOTE "servers"

/* NULL without memory; it holds credentials: servers_copy_destroy. */
MUST_CHECK char *servers_copy_create(const struct servers_file *file);

/* Reads one. 0, or a negative errno (-EBADMSG: it is none), `out` then being empty. */
MUST_CHECK int servers_copy_read(const char *text, struct servers_file *out);

/* Wipes and frees it. NULL does nothing. */
void servers_copy_destroy(char *text);

#endif
