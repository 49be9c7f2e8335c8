/* SPDX-License-Identifier: MIT */
/* Where a connection may go: the http_guard of http.h. Asked about each address that a socket is about to be connected
 * to, so that neither a name that resolves to another address the second time nor a reconnect gets round it. Immutable
 * once made, no I/O. */
#ifndef WORKER_GUARD_H
#define WORKER_GUARD_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct guard;

enum guard_reach {
    GUARD_PUBLIC_ONLY, /* servers made at run time: public addresses, and what `allow_net` adds */
    GUARD_ANYWHERE,    /* servers of the file, which the operator wrote: all but `deny_net` */
};

/* Lists as --allow-net and --deny-net have them; NULL is empty. The deny list wins over all. 0, -ENOMEM, or 1 when a
 * list is wrong, `error` saying how. Free with guard_destroy. */
MUST_CHECK int guard_create(enum guard_reach reach, const char *allow_net, const char *deny_net, struct guard **out,
                            char *error, size_t error_size);

/* NULL does nothing. */
void guard_destroy(struct guard *guard);

/* Says whether a connection may go there; `user` is a struct guard. False: `why` names the address, the rule, and the
 * flag that would change it. */
bool guard_check(const void *user, const struct sockaddr *address, char *why, size_t why_size);

#endif
