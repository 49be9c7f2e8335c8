/* SPDX-License-Identifier: MIT */
/* A thousand notifications in a second are two events, and never none. Called by conn_list, which keeps one of these for
 * each list that is watched; nothing here knows of tables, peers or clocks.
 *
 * The rule that everything follows from: after the last change that was heard there is an event, or (enriched) a list
 * fetched after it that showed no difference. A list during whose fetching a change was heard proves nothing about that
 * change, so it is fetched again.
 *
 * `told` is what keeps the plain way from telling twice: the notification's event is out, so the list that is fetched
 * for the fingerprint differs without being news. A change that still waits for the window's end when a fresh list comes
 * goes out with that list: what is known of a list never runs ahead of what was told. */
#include "worker/conn/burst.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void begin_fetch(struct burst *burst)
{
    burst->fetching = true;
    burst->stale = false;
    burst->fetch_due = 0;
    burst->settle_since = 0;
}

static void fetch_when_settled(struct burst *burst, uint64_t now_ms)
{
    if (burst->settle_since == 0)
        burst->settle_since = now_ms;
    burst->fetch_due = earlier(now_ms + BURST_SETTLE_MS, burst->settle_since + BURST_SETTLE_MAX_MS);
}

static unsigned heard_plain(struct burst *burst, const struct burst_options *options, uint64_t now_ms)
{
    burst->told = true;
    burst->stale = burst->fetching;
    fetch_when_settled(burst, now_ms);
    unsigned coalesced = burst->pending ? BURST_COALESCED : 0;
    if (burst->window_until > now_ms) {
        burst->pending = true;
        return coalesced;
    }
    burst->pending = false;
    burst->window_until = now_ms + options->window_ms;
    return coalesced | BURST_PUBLISH;
}

static unsigned heard_enriched(struct burst *burst, const struct burst_options *options, uint64_t now_ms)
{
    unsigned coalesced = burst->stale || (burst->publish_by && burst->fetch_due) ? BURST_COALESCED : 0;
    if (burst->publish_by == 0)
        burst->publish_by = later(now_ms, burst->window_until) + BURST_LIST_MAX_MS;
    if (burst->fetching) {
        burst->stale = true;
        return coalesced;
    }
    if (burst->window_until > now_ms) {
        burst->fetch_due = burst->window_until;
        return coalesced;
    }
    burst->window_until = now_ms + options->window_ms;
    begin_fetch(burst);
    return coalesced | BURST_FETCH;
}

bool burst_is_quiet(const struct burst *burst)
{
    return burst_due(burst) == UINT64_MAX && !burst->pending && !burst->fetching && !burst->stale && !burst->told;
}

unsigned burst_heard(struct burst *burst, const struct burst_options *options, uint64_t now_ms)
{
    burst->confirm_due = 0;
    return options->enrich ? heard_enriched(burst, options, now_ms) : heard_plain(burst, options, now_ms);
}

uint64_t burst_due(const struct burst *burst)
{
    uint64_t due = UINT64_MAX;
    if (burst->window_until)
        due = earlier(due, burst->window_until);
    if (burst->publish_by)
        due = earlier(due, burst->publish_by);
    if (burst->fetch_due && !burst->fetching)
        due = earlier(due, burst->fetch_due);
    if (burst->confirm_due)
        due = earlier(due, burst->confirm_due);
    return due;
}

unsigned burst_expired(struct burst *burst, const struct burst_options *options, uint64_t now_ms)
{
    unsigned todo = 0;
    if (burst->window_until && burst->window_until <= now_ms) {
        burst->window_until = 0;
        if (burst->pending) {
            burst->pending = false;
            burst->window_until = now_ms + options->window_ms;
            todo |= BURST_PUBLISH;
        }
    }
    if (burst->publish_by && burst->publish_by <= now_ms) {
        burst->publish_by = 0;
        burst->told = true;
        todo |= BURST_PUBLISH;
    }
    if (burst->fetch_due && burst->fetch_due <= now_ms && !burst->fetching) {
        begin_fetch(burst);
        if (burst->publish_by)
            burst->window_until = now_ms + options->window_ms;
        todo |= BURST_FETCH;
    }
    if (burst->confirm_due && burst->confirm_due <= now_ms) {
        burst->confirm_due = 0;
        todo |= BURST_CONFIRM;
    }
    return todo;
}

bool burst_want(struct burst *burst)
{
    burst->told |= burst->confirm_due != 0; /* the list of before is not to be believed yet */
    burst->confirm_due = 0;
    if (burst->fetching) {
        burst->stale = true;
        return false;
    }
    begin_fetch(burst);
    return true;
}

void burst_put_off(struct burst *burst, uint64_t now_ms, uint64_t wait_ms)
{
    burst->fetching = false;
    burst->fetch_due = now_ms + wait_ms;
}

bool burst_is_told(const struct burst *burst)
{
    return burst->told && !burst->pending && burst->publish_by == 0;
}

/* Fetched in vain: a change was heard meanwhile. One that waits for the list is fetched for at the window's end. */
static void fetch_again(struct burst *burst, uint64_t now_ms)
{
    burst->stale = false;
    if (burst->publish_by)
        burst->fetch_due = later(now_ms, burst->window_until);
    else if (burst->fetch_due == 0)
        fetch_when_settled(burst, now_ms);
}

unsigned burst_fetched(struct burst *burst, const struct burst_options *options, uint64_t now_ms, bool ok,
                       uint64_t retry_ms)
{
    bool fresh = !burst->stale;
    unsigned result = (fresh && ok ? BURST_FRESH : 0) | (burst->told ? BURST_TOLD : 0);
    burst->fetching = false;
    if (!ok && burst->publish_by) {
        burst->publish_by = 0;
        burst->told = true;
        result |= BURST_PUBLISH;
        burst->window_until = now_ms + options->window_ms;
    } else if (ok && (burst->publish_by || (fresh && burst->pending))) {
        result |= BURST_OWED;
    }
    if (!fresh) {
        fetch_again(burst, now_ms);
    } else if (ok) {
        burst->publish_by = 0;
        burst->pending = false;
        burst->confirm_due = burst->told && !(result & BURST_OWED) ? now_ms + BURST_SETTLE_MS : 0;
        burst->told = false;
    } else if (burst->fetch_due == 0) {
        burst->fetch_due = now_ms + retry_ms;
    }
    return result;
}

bool burst_flush(struct burst *burst)
{
    bool owed = burst->pending || burst->publish_by != 0;
    burst->pending = false;
    burst->publish_by = 0;
    burst->confirm_due = 0;
    burst->told = false;
    return owed;
}
