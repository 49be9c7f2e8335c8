/* SPDX-License-Identifier: MIT */
/* A TLS connection that libcurl has set up and verified, and that is read on without it. Loop thread only. */
#ifndef WORKER_PARK_TLS_H
#define WORKER_PARK_TLS_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_ctx_st;
struct ssl_st;

/* Whether libcurl's calls reach what this needs of them; without it connections stay in libcurl. */
bool park_tls_can(void);

/* Those that are verified by the same CA file. Is there as long as the process. */
struct park_tls_authority;

/* NULL: no memory, or there are too many. `ca_file` may be NULL: the system's. */
struct park_tls_authority *park_tls_authority(const char *ca_file);

/* The connection that libcurl is about to make with `context` may share one of the same authority. All contexts that are
 * given have the same settings, and are to be verified by the authority's file. */
void park_tls_share(struct ssl_ctx_st *context, struct park_tls_authority *authority);

/* Takes a share in libcurl's `tls`. libcurl must not read or write it any more, and let go of it before the first
 * park_tls_read. 0, or a negative errno: all is as before. */
MUST_CHECK int park_tls_take(struct ssl_st *tls);

/* libcurl has let go. 0 or a negative errno: it has not left the connection as it was, and nothing can be read. */
MUST_CHECK int park_tls_settle(struct ssl_st *tls);

/* Reads `fd`, a duplicate of libcurl's socket: bytes, at most one record's; 0 when the peer has closed in order; -EAGAIN
 * when there are none yet; or another negative errno. `size` must have room for a record, so that none waits where the
 * socket does not tell. */
MUST_CHECK ssize_t park_tls_read(struct ssl_st *tls, int fd, uint8_t *bytes, size_t size);

/* Has some of those that have been silent for a while take less memory. Whether there is more to do, now or later. */
bool park_tls_tidy(void);

/* Says goodbye to the peer and frees it; the descriptor stays the caller's. NULL does nothing. */
void park_tls_close(struct ssl_st *tls, int fd);

#endif
