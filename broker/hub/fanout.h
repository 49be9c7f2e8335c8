/* SPDX-License-Identifier: MIT */
/* Events to local subscribers, over nng pub on events.sock. */
#ifndef HUB_FANOUT_H
#define HUB_FANOUT_H

#include "common/compiler.h"
#include "common/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct fanout;

/* 0 or a negative errno, which has been logged. */
MUST_CHECK int fanout_open(uv_loop_t *loop, const struct config *config, struct fanout **out);

/* The number of the last event; they are numbered one after another. */
uint64_t fanout_sequence(const struct fanout *fanout);

/* Subscribers that were turned away: there were too many. */
uint64_t fanout_refused(const struct fanout *fanout);

/* Messages that were dropped for subscribers that do not read, about. */
uint64_t fanout_dropped(const struct fanout *fanout);

/* Whether there is a subscriber. One that comes later begins with the beat that it is greeted with. */
bool fanout_is_heard(const struct fanout *fanout);

/* Event number `sequence`: sends topic and map as event_write_local made them; NULL when nobody hears them. A subscriber
 * that does not keep up misses it: that is nng's way, and it slows nobody else down. */
void fanout_send(struct fanout *fanout, uint64_t sequence, const void *bytes, size_t size);

/* To be called once a second: tells subscribers how much there was to hear. */
void fanout_tick(struct fanout *fanout);

/* NULL does nothing. */
void fanout_close(struct fanout *fanout);

#endif
