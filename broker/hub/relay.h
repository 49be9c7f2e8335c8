/* SPDX-License-Identifier: MIT */
/* Tells everybody what has changed, and loses none of it. The truth is the table: a row's list of a kind whose generation
 * is ahead of its `published` owes an event, and stays owed until Redis has answered. Bells, gaps, reconnects and timers
 * are only occasions to look.
 *
 * Where events go is the owner's to say (struct relay_sinks). Loop thread only. */
#ifndef HUB_RELAY_H
#define HUB_RELAY_H

#include "broker/hub/roster.h"
#include "common/compiler.h"
#include "common/names.h"
#include "common/table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    RELAY_WINDOW = 4096, /* of events without an answer yet */
    RELAY_WINDOW_BYTES = 64 * 1024 * 1024,
    RELAY_REDO_S = 120 /* longer than sentinels take to give a master up */
};

/* An event on its way to all machines. Borrowed for the call. */
struct relay_message {
    unsigned type; /* the channel's */
    const void *payload;
    size_t size;
    const char *server_id;
    uint64_t number; /* with server and type what tells it from all others: its generation, or a state's time */
};

/* None may call the relay. */
struct relay_sinks {
    /* To all machines: 0 and relay_answered will be called, or 1: not now, relay_sweep when it is possible again. NULL
     * where no Redis is configured: then an event is published when it has gone to local subscribers. */
    int (*publish)(void *user, const struct relay_message *message, uint32_t ticket);
    /* To local subscribers, event number `sequence`: topic and map, or NULL when nobody hears it. */
    void (*fan_out)(void *user, uint64_t sequence, const void *bytes, size_t size);
    bool (*is_heard)(void *user); /* is there a local subscriber? Otherwise nothing need be written for them */
    void *user;
};

struct relay_options {
    struct table *table;
    struct roster *roster;
    struct relay_sinks sinks;
    bool status_events; /* publish changes of state, too */
};

enum relay_sweep { RELAY_SWEEP_DIRTY, RELAY_SWEEP_ALL };
enum relay_answer {
    RELAY_DONE,
    RELAY_REFUSED, /* tried again after a growing pause */
    RELAY_LOST /* it may have been done; tried again with the sweep that follows when publishing is possible again */
};

struct relay;

/* 0 or -ENOMEM. Sweeps nothing by itself before relay_tick or relay_sweep. */
MUST_CHECK int relay_open(uv_loop_t *loop, const struct relay_options *options, struct relay **out);
void relay_close(struct relay *relay);

/* A bell: the row's list of `kind` has changed. `diff` as in struct event, or NULL. */
void relay_ring(struct relay *relay, uint32_t row, enum kind kind, const json_t *diff);

/* A bell: the row's state has changed. Told as it is now; best effort. */
void relay_ring_status(struct relay *relay, uint32_t row);

/* Looks at all rows whose dirty bit is set, or at all there are, in slices over the next turns of the loop. */
void relay_sweep(struct relay *relay, enum relay_sweep which);

/* What was taken in the last RELAY_REDO_S seconds is owed again: who took it is not asked any more, and may have kept it to
 * itself. A sweep is to follow. */
void relay_redo(struct relay *relay);

/* To be called once a second: the slow sweeps. */
void relay_tick(struct relay *relay);

/* What became of the publish with the ticket `number`. */
void relay_answered(struct relay *relay, uint32_t number, enum relay_answer answer);

/* A message came on the channel of `type`: goes to local subscribers if it is an event, and not one's own. */
void relay_foreign(struct relay *relay, unsigned type, const void *payload, size_t size);

/* No sweep is under way and no answer awaited: what is still owed can't be sent now. */
bool relay_is_settled(const struct relay *relay);

void relay_set_status_events(struct relay *relay, bool on);

/* Gives back the memory of rows that are in no use. */
void relay_forget(struct relay *relay, uint32_t first, uint32_t end);

#endif
