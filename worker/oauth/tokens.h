/* SPDX-License-Identifier: MIT */
/* Asks the hub for bearer tokens that other workers got (common/token_lease.h), and tells it of those got here. Loop
 * thread only. */
#ifndef WORKER_TOKENS_H
#define WORKER_TOKENS_H

#include "common/compiler.h"
#include "common/token_lease.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct tokens;
struct tokens_wait;

/* The hub need not be there yet. 0 or a negative errno. */
MUST_CHECK int tokens_open(uv_loop_t *loop, const char *run_dir, int slot, uint64_t start_count, struct tokens **out);
/* All waits must have ended or been cancelled; what has not been told is lost. The loop frees the memory in its next
 * turn. NULL does nothing. */
void tokens_close(struct tokens *tokens);

/* Asks; slot and start are filled in, all texts copied. `on_answer` runs once, from the loop; the wait is gone by then.
 * `answer` (for the call) is a token, a lease or a failure; NULL: there is no hub to ask just now. 0 or a negative
 * errno. */
MUST_CHECK int tokens_ask(struct tokens *tokens, const struct token_lease_question *question,
                          void (*on_answer)(void *user, const struct token_lease_answer *answer), void *user,
                          struct tokens_wait **out);
/* Ends it without the callback, and sets *wait to NULL. NULL in *wait does nothing. */
void tokens_cancel(struct tokens_wait **wait);

/* Tells what came of a lease, as soon as there is a hub. Copied likewise. Without memory it is left out. */
void tokens_tell(struct tokens *tokens, const struct token_lease_question *question);

/* There is something that the hub has not yet been told. */
bool tokens_is_busy(const struct tokens *tokens);

#endif
