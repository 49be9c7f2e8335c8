/* SPDX-License-Identifier: MIT */
/* A hiredis context on a libuv loop. Of the home of hiredis: only redis_conn includes it. */
#ifndef HUB_REDIS_LOOP_H
#define HUB_REDIS_LOOP_H

#include "common/compiler.h"

#include <hiredis/async.h>
#include <uv.h>

/* Has the loop drive `context`, which stands in *place until it is gone: however it ends (its own error, redisAsyncFree),
 * *place is NULL then. Later, from the loop, `on_gone` runs once: all its commands have been answered by then, with NULL
 * where Redis did not; `why` is its error, or "". `place` and `user` live until that. Commands are written when the turn
 * of the loop ends; a prepare handle may give none, for it may run after that. 0, -ENOMEM or another negative errno: then
 * nothing has happened. */
MUST_CHECK int redis_loop_attach(uv_loop_t *loop, redisAsyncContext *context, redisAsyncContext **place,
                                 void (*on_gone)(void *user, const char *why), void *user);

#endif
