/* SPDX-License-Identifier: MIT */
/* Questions that wait until a server has come to a state that is an answer: it listens, or it can't. Runs on the loop. */
#ifndef HUB_VERDICTS_H
#define HUB_VERDICTS_H

#include "broker/hub/roster.h"
#include "common/bus.h"
#include "common/compiler.h"
#include "common/question.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { VERDICTS_MAX = 64 };

struct verdicts;

/* `on_verdict` gets each question back, once, from verdicts_add, verdicts_look or the loop; `error` is QUESTION_OK, or
 * what the server came to, or TIMED_OUT, or NOT_FOUND when it was taken away meanwhile. 0 or -ENOMEM. */
MUST_CHECK int verdicts_open(uv_loop_t *loop, const struct table *table, const struct roster *roster,
                             void (*on_verdict)(void *user, struct bus_question *question, uint32_t row,
                                                enum question_error error),
                             void *user, struct verdicts **out);

/* Waits for the server at `row`, at most `wait_ms`. `anew`: what its row says now is of the time before the request and
 * no answer to it. 0, or 1 when too many wait. */
MUST_CHECK int verdicts_add(struct verdicts *verdicts, struct bus_question *question, uint32_t row, bool anew,
                            uint64_t wait_ms);

/* The state of the server at `row` may have changed. */
void verdicts_look(struct verdicts *verdicts, uint32_t row);

/* Gives all questions that wait back, with `error`. */
void verdicts_end(struct verdicts *verdicts, enum question_error error);

/* Drops the questions that still wait. NULL does nothing. */
void verdicts_close(struct verdicts *verdicts);

#endif
