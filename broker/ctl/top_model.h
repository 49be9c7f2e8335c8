/* SPDX-License-Identifier: MIT */
/* What `top` knows and what it is asked to show. Whoever tells it something gives JSON as `--json` would print it. Pure:
 * keys come from top_keys, lines go to top_page, and neither time nor a terminal is looked at here. */
#ifndef CTL_TOP_MODEL_H
#define CTL_TOP_MODEL_H

#include "common/compiler.h"
#include "common/row_pick.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOP_TEXT_SIZE = 64, TOP_MESSAGE_SIZE = 200, TOP_SLOTS = 256, TOP_HEIGHT_MIN = 14 };

enum top_mode { TOP_LIST, TOP_SERVER, TOP_TYPING, TOP_CONFIRM, TOP_HELP };

/* Counts of one process when it was last asked, and how fast they grew since the time before. */
struct top_counts {
    uint64_t at_ms; /* 0: never */
    uint64_t notifications, connects, published;
};
struct top_rates {
    double notifications, connects, published;
};

struct top_model {
    enum top_mode mode;
    enum top_mode before; /* TOP_CONFIRM: what it goes back to */
    unsigned width, height;

    /* what is wanted */
    enum row_order order;
    int state;                /* -1: any */
    char text[TOP_TEXT_SIZE]; /* "": any */
    char typed[TOP_TEXT_SIZE];

    /* what was told; NULL: nothing yet */
    json_t *status;
    json_t *workers; /* the array */
    json_t *hub;
    json_t *servers; /* the array */
    json_t *server;  /* of the one that is open */
    uint64_t matching;
    uint64_t gone_ms; /* since when the hub does not answer, by the wall clock; 0: it does */

    struct top_counts counts[TOP_SLOTS + 1]; /* the last one is the hub's */
    struct top_rates rates[TOP_SLOTS + 1];
    struct top_rates all;

    size_t selected, first; /* in `servers`: the one that keys mean, the uppermost on the screen */
    size_t scroll;          /* of the open server, in lines */
    char id[ROW_ID_SIZE];   /* of the selected one */
    char message[TOP_MESSAGE_SIZE];
    unsigned message_age; /* refreshes since it came */
};

void top_model_begin(struct top_model *model);
void top_model_end(struct top_model *model);
void top_model_resize(struct top_model *model, unsigned width, unsigned height);

/* --- what was told; data is borrowed --- */

void top_model_status(struct top_model *model, json_t *data);
void top_model_workers(struct top_model *model, json_t *data, uint64_t mono_ms);
void top_model_servers(struct top_model *model, json_t *data);
/* NULL: there is no such server any more. */
void top_model_server(struct top_model *model, json_t *data);
/* For the last line, for some seconds. */
void top_model_message(struct top_model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A refresh begins. */
void top_model_tick(struct top_model *model);

/* --- what to ask for --- */

/* The arguments of `states`; a new reference, or NULL without memory. */
MUST_CHECK json_t *top_model_question(const struct top_model *model);
/* The same, for who reads the table. Its texts are the model's. */
struct row_pick_options top_model_wanted(const struct top_model *model);

/* Whether one server is on the screen; `id` is which. */
bool top_model_is_open(const struct top_model *model);

/* --- the layout --- */

/* Lines for workers, 0 where the screen is too small for them; and for servers. */
unsigned top_model_worker_lines(const struct top_model *model);
unsigned top_model_server_lines(const struct top_model *model);

/* Selects the server `by` places further down (up when negative), as far as there are any. */
void top_model_move(struct top_model *model, long by);

#endif
