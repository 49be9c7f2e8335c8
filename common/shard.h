/* SPDX-License-Identifier: MIT */
/* Which worker owns a server: rendezvous hashing, so that from N to N+1 workers only 1/(N+1) of the servers move, and
 * no table of ranges has to be kept. Pure. */
#ifndef COMMON_SHARD_H
#define COMMON_SHARD_H

#include <stddef.h>

/* The slot, of the `count` in `slots`, with the greatest hash of (server_id, slot); -1 when count is 0. Depends on
 * nothing but its arguments, and not on the order of `slots`. */
int shard_owner(const char *server_id, const int *slots, size_t count);

#endif
