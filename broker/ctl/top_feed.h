/* SPDX-License-Identifier: MIT */
/* Where `top` has its news from: the broker, asked over the diagnostics socket, one question after the other; and the
 * table, when the broker does not answer. Runs on the loop. */
#ifndef CTL_TOP_FEED_H
#define CTL_TOP_FEED_H

#include "broker/ctl/top_model.h"
#include "common/compiler.h"

#include <uv.h>

struct top_feed;

/* `on_answer` gets each answer: `data`, borrowed, or NULL and why there is none. 0 or a negative errno. */
MUST_CHECK int top_feed_open(uv_loop_t *loop, const char *run_dir,
                             void (*on_answer)(void *user, const char *cmd, json_t *data, const char *error),
                             void *user, struct top_feed **out);

/* Puts a question behind those that wait; `cmd` is a literal, `args` is taken over, NULL: none. More than a few that wait
 * are dropped, since nobody answers. */
void top_feed_ask(struct top_feed *feed, const char *cmd, json_t *args);

/* Since when a question waits for its answer, by the monotonic clock; 0: none does. */
uint64_t top_feed_waits_since(const struct top_feed *feed);

/* Tells the model what the table says. 0; 1 without a table; or -ENOMEM. */
MUST_CHECK int top_feed_read_table(const char *run_dir, struct top_model *model);

/* NULL does nothing. */
void top_feed_close(struct top_feed *feed);

#endif
