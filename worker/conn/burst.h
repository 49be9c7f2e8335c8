/* SPDX-License-Identifier: MIT */
/* When a change that was heard is published, and when the list is fetched for it: the policy for one list of one
 * server.
 *
 * Plain: the first change goes out at once and opens a window; what comes within it is one event at its end. The list is
 * fetched when changes have settled, only to know its fingerprint: an event has gone out already, and it may be put off. It may show a change
 * whose notification is still on its way; so it is believed (BURST_CONFIRM) only when none comes for a while.
 * Enriched: the list is fetched first and decides (an unchanged one is no event); when it can't be had in
 * BURST_LIST_MAX_MS the plain event goes out.
 *
 * Times are milliseconds of one clock, never 0. The functions say what to do as bits; the caller does it. Pure. */
#ifndef WORKER_BURST_H
#define WORKER_BURST_H

#include <stdbool.h>
#include <stdint.h>

enum { BURST_SETTLE_MS = 1000, BURST_SETTLE_MAX_MS = 10000, BURST_LIST_MAX_MS = 5000 };

/* What to do, in this order. */
enum burst_do {
    BURST_PUBLISH = 1,   /* a plain event */
    BURST_FETCH = 2,     /* fetch the list; burst_fetched when it has come or failed */
    BURST_COALESCED = 4, /* count: this notification became part of another's event */
    BURST_CONFIRM = 64,  /* the list that came last shows nothing but what was told */
};

/* What a list that has come means. */
enum burst_list {
    BURST_FRESH = 8, /* no change was heard while it was fetched */
    BURST_OWED = 16, /* a change was heard and not published yet: this list decides */
    BURST_TOLD = 32, /* a change was heard since the last fresh list: a difference is no news unless it is owed */
};

struct burst_options {
    uint64_t window_ms;
    bool enrich;
};

/* All zero is quiet. */
struct burst {
    uint64_t window_until; /* no event before that */
    uint64_t publish_by;   /* enriched: a change is owed an event, at the latest then */
    uint64_t fetch_due;
    uint64_t settle_since; /* first change since the last fetch began */
    uint64_t confirm_due;
    bool pending; /* plain: heard within the window */
    bool fetching;
    bool stale; /* heard while fetching: fetch again */
    bool told;
};

/* Nothing of it needs remembering: it is as all zero. */
bool burst_is_quiet(const struct burst *burst);

/* A change was heard. */
unsigned burst_heard(struct burst *burst, const struct burst_options *options, uint64_t now_ms);

/* When to call burst_expired, or UINT64_MAX. */
uint64_t burst_due(const struct burst *burst);
unsigned burst_expired(struct burst *burst, const struct burst_options *options, uint64_t now_ms);

/* Somebody wants the list for another reason. True: fetch it now; false: the one under way is fetched again. */
bool burst_want(struct burst *burst);

/* The list that was to be fetched is not, but after `wait_ms`; only when nobody waits for it (burst_is_told). */
void burst_put_off(struct burst *burst, uint64_t now_ms, uint64_t wait_ms);

/* Whether all that was heard has been told, so that a list is fetched for its fingerprint only. */
bool burst_is_told(const struct burst *burst);

/* The list has come, or (`ok` false) failed: then it is fetched again after `retry_ms`. Bits of both enums. */
unsigned burst_fetched(struct burst *burst, const struct burst_options *options, uint64_t now_ms, bool ok,
                       uint64_t retry_ms);

/* Hearing has stopped, or was interrupted: true when an event is owed and must go out now. What was told no longer
 * explains what a later list shows. */
bool burst_flush(struct burst *burst);

#endif
