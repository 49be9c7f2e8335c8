/* SPDX-License-Identifier: MIT */
/* Large JSON documents, parsed and freed beside the loop: a document of megabytes takes longer than a turn of the loop may.
 * Loop thread only; what must not be touched meanwhile is said below. */
#ifndef WORKER_DOCUMENT_H
#define WORKER_DOCUMENT_H

#include "common/compiler.h"
#include "worker/limits.h"
#include "worker/mask.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* From this size on it is worth the way to another thread and back. */
enum { DOCUMENT_LARGE = 32 * 1024 };

struct document;

/* Runs `work` in another thread, then `done` in the loop, both with `user`, which is the caller's to keep. 0 or a negative
 * errno; then neither runs. */
MUST_CHECK int document_run_beside(uv_loop_t *loop, void (*work)(void *user), void (*done)(void *user), void *user);

/* Parses as jsonrpc_parse does, and covers what `mask` names, which is copied; NULL: nothing. on_parsed runs once, from the loop, with its outcome and, when that is 0, the document, a new
 * reference that document_free should release. 0: `bytes`, which malloc has given, are taken over; or a negative errno: they
 * are not, and on_parsed does not run. */
MUST_CHECK int document_parse(uv_loop_t *loop, void *bytes, size_t size, const struct limits_json *limits,
                              const struct mask *mask, void (*on_parsed)(void *user, int outcome, json_t *root),
                              void *user, struct document **out);

/* From now on on_parsed does not run; sets *document to NULL. NULL in *document does nothing. */
void document_cancel(struct document **document);

/* Releases a reference to a large document, in another thread if there is memory for that. */
void document_free(uv_loop_t *loop, json_t *root);

#endif
