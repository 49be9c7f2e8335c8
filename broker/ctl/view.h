/* SPDX-License-Identifier: MIT */
/* The broker's answers as text for people. Each takes the JSON that `--json` would print (design: the field names are the
 * contract; question.h lists them) and copes with any field missing. Writes to the stream given, nothing else. */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* `states`: the heads of its columns, and one line for a server. `width` 0: nothing is cut. */
void view_states_head(FILE *out, unsigned width);
void view_state(FILE *out, const json_t *server, uint64_t now_ms, unsigned width);

/* `show`: one line for each field that is known. */
void view_server(FILE *out, json_t *server, uint64_t now_ms);

/* `status` */
void view_status(FILE *out, const json_t *status, uint64_t now_ms);

/* `workers` */
void view_workers(FILE *out, const json_t *workers, uint64_t now_ms);

/* `watch`: one line for an event; `kind` as in its topic. */
void view_event(FILE *out, const char *kind, const json_t *fields);

#endif
