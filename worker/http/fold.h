/* SPDX-License-Identifier: MIT */
/* Memory that costs only what is in it while it is at rest. Taken and given by any thread, used by one. */
#ifndef WORKER_FOLD_H
#define WORKER_FOLD_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FOLD_SIZE = 8128 };

/* FOLD_SIZE bytes, whatever is in them, aligned to 64; NULL: there are none. */
MUST_CHECK void *fold_take(void);

/* Awake or at rest. What was in it is gone. */
void fold_give(void *memory);

/* Whether it was taken here. */
bool fold_has(const void *memory);

/* Nobody reads or writes it until it is woken. Memory from elsewhere is left alone, here and below. */
void fold_rest(void *memory);

/* It is as it was, at the same address. This needs no memory but its own. It may be awake already. */
void fold_wake(void *memory);

/* Folds what has been at rest for `age_ms`, the oldest first and `most` of it. Whether anything at rest is left that could
 * be folded later. */
bool fold_oldest(uint64_t age_ms, size_t most);

#endif
