/* SPDX-License-Identifier: MIT */
/* A server may repeat what it was sent, in its name, in the names of its tools, anywhere; and what a server says is shown.
 * So the credentials of a server are covered in what it says before anybody reads it. Pure. */
#ifndef WORKER_MASK_H
#define WORKER_MASK_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/server_def.h"

#include <jansson.h>
#include <stddef.h>

enum { MASK_SECRET_MIN = 6 }; /* bytes: shorter values are words, and no secrets */

/* Whose credentials: the values of its headers and variables, user-info and query of its URL and proxy, what `auth` has, and
 * what looks like one among its arguments. Borrowed. */
struct mask {
    const struct server_def *def;
    const char *token;        /* bearer token of now, or NULL */
    const char *session_id;   /* or NULL */
    const struct buf *copied; /* instead of all of these: what mask_copy has made of them */
};

/* Appends the credentials to `out`, for a mask that outlives those of `mask`. 0 or -ENOMEM. */
MUST_CHECK int mask_copy(const struct mask *mask, struct buf *out);

/* Covers with asterisks what of them stands in the texts of `document`, which was parsed from `size` bytes. Cursors,
 * which are for the server alone, stay. Without memory a text is emptied. */
void mask_document(const struct mask *mask, const void *bytes, size_t size, json_t *document);

/* Covers them in `text`, of `size` bytes. */
void mask_text(const struct mask *mask, char *text, size_t size);

#endif
