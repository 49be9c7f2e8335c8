/* SPDX-License-Identifier: MIT */
/* Sockets that are only read, by the thousand: a place costs its struct and a descriptor, the buffer is one for all.
 * Loop thread only. */
#ifndef WORKER_PARK_H
#define WORKER_PARK_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct park;

struct park_place;

struct ssl_st;

/* Each may leave any place, also the one that it is called for. */
struct park_handlers {
    void (*on_bytes)(struct park_place *place, const uint8_t *bytes, size_t size);
    /* Once, last, and the place must be left then: the peer has closed (`error` 0), or an errno. */
    void (*on_end)(struct park_place *place, int error);
};

/* One socket; lies within what it is for, and is not moved while it is in the park. Private; public in size only. */
struct park_place {
    struct ssl_st *tls; /* NULL: the socket's bytes are what is read */
    int fd;             /* -1: not in a park, as it must be before */
    bool settled;       /* that which `tls` comes from has let go of it */
};

/* `handlers` outlive the park. */
MUST_CHECK int park_create(uv_loop_t *loop, const struct park_handlers *handlers, struct park **out);
/* No place may be taken. The loop frees the memory in its next turn. NULL does nothing. */
void park_destroy(struct park *park);

/* From the loop's next turn on the socket is read; it is the park's from here on. With `tls` not NULL it is read through
 * that, as park_tls_take says. 0 or a negative errno: then it still is the caller's. */
MUST_CHECK int park_enter(struct park *park, struct park_place *place, int fd, struct ssl_st *tls);

/* Closes the socket; no handler runs any more, and the place's memory is the user's again. Does nothing for a place that
 * is in no park. */
void park_leave(struct park *park, struct park_place *place);

#endif
