/* SPDX-License-Identifier: MIT */
/* The lists of a connection: what is known of them, and when that is news. burst decides about times, this file fetches,
 * compares with the fingerprint in the row, and begins a new generation when there is something to tell.
 *
 * The fingerprint in the row is what is left when this process is killed. It is `current` when it is of the list as it
 * was told last; between an event without a list and the list that settles it, it is not, and whoever goes on from there
 * takes the list for changed: the change may have been taken back meanwhile, or another one not been told. So is a row
 * that was repaired. First sight of a list is no change, for nobody can have known it; it is recognised by a row that has
 * neither a fingerprint nor the time of a change.
 *
 * Digests (names and hashes, for added/removed/changed) are kept with --enrich only, and over reconnects; a diff is told
 * only when the digest is of the list that the row's fingerprint is of. */
#include "common/clock.h"
#include "common/log.h"
#include "common/slab.h"
#include "worker/conn/conn_internal.h"
#include "worker/conn/retry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lists that a worker fetches in a second only to know their fingerprints: enough for servers as they are, and little
 * work while thousands of them change all the time. One that has to wait is told as changed once more if this process
 * dies before. */
enum { SETTLING_A_SECOND = 100, SETTLING_WAIT_MS = 5000 };

enum { NOISY_WINDOW_MS = 10000 };

/* A server that tells of changes all the time is believed, and told of less often. */
static struct burst_options options_of(const struct conn *conn)
{
    const struct config *config = conn->env->config;
    struct burst_options options = {.window_ms = config->coalesce, .enrich = config->enrich};
    if (conn->minute.notifications > config->max_notifications && options.window_ms < NOISY_WINDOW_MS)
        options.window_ms = NOISY_WINDOW_MS;
    return options;
}

static struct conn_list *find(const struct conn *conn, enum kind kind)
{
    for (size_t i = 0; i < conn->list_count; i++)
        if (conn->lists[i].kind == kind)
            return &conn->lists[i];
    return NULL;
}

void conn_list_free(struct conn *conn)
{
    for (size_t i = 0; i < conn->list_count; i++)
        free(conn->lists[i].digest);
    slab_give(&slab_held, conn->lists, conn->list_count * sizeof(*conn->lists));
    conn->lists = NULL;
    conn->list_count = 0;
}

/* Makes `lists` fit `def`. 0 or -ENOMEM. */
static MUST_CHECK int prepare(struct conn *conn)
{
    uint8_t have = 0, wanted = 0;
    for (size_t i = 0; i < conn->list_count; i++)
        have |= (uint8_t)(1U << conn->lists[i].kind);
    size_t number = 0;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (conn->def->events & 1U << kind) {
            wanted |= (uint8_t)(1U << kind);
            number++;
        }
    }
    if (have == wanted)
        return 0;
    struct conn_list *lists = slab_take(&slab_held, number * sizeof(*lists));
    if (!lists)
        return -ENOMEM;
    conn_list_free(conn);
    conn->lists = lists;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        if (wanted & 1U << kind)
            lists[conn->list_count++].kind = (uint8_t)kind;
    return 0;
}

uint32_t conn_list_take_notifications(struct conn *conn)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < conn->list_count; i++) {
        sum += conn->lists[i].notifications;
        conn->lists[i].notifications = 0;
    }
    return sum;
}

bool conn_list_is_at_rest(const struct conn *conn)
{
    for (size_t i = 0; i < conn->list_count; i++) {
        const struct conn_list *list = &conn->lists[i];
        if (!burst_is_quiet(&list->burst) || list->digest || list->failures > 0 || list->notifications > 0)
            return false;
    }
    return true;
}

/* Begins a new generation: the row, whose list of this kind is filled in but for time and reason, is written with it. */
static void begin_generation(struct conn *conn, struct row *row, enum kind kind, enum reason reason, json_t *diff)
{
    row->lists[kind].changed_ms = clock_wall_ms();
    row->lists[kind].reason = (uint8_t)reason;
    conn_row_change(conn, row, kind);
    conn_count(conn, COUNTER_CHANGES);
    publish_note(conn->env->publish, conn->row, conn->incarnation, kind, diff);
}

/* Tells a change whose list is not known. */
static void announce(struct conn *conn, enum kind kind)
{
    struct row row;
    conn_row_load(conn, &row);
    row.lists[kind].current = false;
    begin_generation(conn, &row, kind, REASON_NOTIFICATION, NULL);
}

static void confirm(struct conn *conn, const struct conn_list *list)
{
    struct row row;
    conn_row_load(conn, &row);
    row.lists[list->kind].current = true;
    conn_row_store(conn, &row);
}

static void fetch(struct conn *conn, struct conn_list *list)
{
    if (peer_list(conn->peer, list->kind) != 0)
        (void)conn_list_fetched(conn, list->kind, &(struct peer_fetched){.error = "the worker is out of memory"});
}

static void obey(struct conn *conn, struct conn_list *list, unsigned todo)
{
    if (todo & BURST_PUBLISH)
        announce(conn, list->kind);
    if (todo & BURST_FETCH)
        fetch(conn, list);
    if (todo & BURST_COALESCED)
        conn_count(conn, COUNTER_COALESCED);
    if (todo & BURST_CONFIRM)
        confirm(conn, list);
}

void conn_list_changed(struct conn *conn, enum kind kind)
{
    if (!(conn->def->events & 1U << kind))
        return;
    conn_count(conn, COUNTER_NOTIFICATIONS);
    if (prepare(conn) != 0) {
        announce(conn, kind); /* at once, for nothing can be remembered */
        return;
    }
    struct conn_list *list = find(conn, kind);
    struct burst_options options = options_of(conn);
    list->notifications++;
    obey(conn, list, burst_heard(&list->burst, &options, clock_mono_ms()));
}

void conn_list_fetch(struct conn *conn, uint8_t kinds, enum reason reason)
{
    if (prepare(conn) != 0) {
        log_error("conn.no_memory", LOG_TEXT("server", conn->def->id));
        return; /* --verify will ask again */
    }
    for (size_t i = 0; i < conn->list_count; i++) {
        struct conn_list *list = &conn->lists[i];
        if (!(kinds & conn->has & 1U << list->kind))
            continue;
        list->reason = (uint8_t)reason;
        if (burst_want(&list->burst))
            fetch(conn, list);
    }
}

bool conn_list_is_fetching(const struct conn *conn)
{
    for (size_t i = 0; i < conn->list_count; i++)
        if (conn->lists[i].burst.fetching)
            return true;
    return false;
}

void conn_list_resumed(struct conn *conn)
{
    for (size_t i = 0; i < conn->list_count; i++)
        if (burst_flush(&conn->lists[i].burst))
            announce(conn, conn->lists[i].kind);
    conn_list_fetch(conn, UINT8_MAX, REASON_RECONNECT);
}

static enum conn_list_outcome not_fetched(struct conn *conn, struct conn_list *list, unsigned result, const char *error)
{
    if (list->failures < UINT8_MAX)
        list->failures++;
    conn_count(conn, COUNTER_LIST_FAILURES);
    obey(conn, list, result & BURST_PUBLISH);

    char text[ROW_ERROR_SIZE];
    struct row row;
    snprintf(text, sizeof(text), "%s/list: %s", kind_name(list->kind), error ? error : "failed");
    conn_row_load(conn, &row);
    table_text(row.last_error, sizeof(row.last_error), text);
    conn_row_store(conn, &row);
    return CONN_LIST_FAILED;
}

static bool is_unknown(struct fingerprint fingerprint)
{
    return fingerprint.high == 0 && fingerprint.low == 0;
}

/* Whether a list with `now` is to be told, given what the row says and what burst_fetched said. */
static bool is_news(const struct row_list *row, struct fingerprint now, unsigned result)
{
    bool differs = row->fingerprint.high != now.high || row->fingerprint.low != now.low;
    bool is_unsettled = !row->current && row->changed_ms != 0;
    if (result & BURST_OWED)
        return differs || is_unsettled;
    if (result & BURST_TOLD)
        return false;
    bool is_first_sight = is_unknown(row->fingerprint) && row->changed_ms == 0;
    return !is_first_sight && (differs || is_unsettled);
}

/* Takes the list over into the row, as far as what is known there must not be kept. */
static void learn(struct row_list *known, const struct catalog *catalog, unsigned result, bool news)
{
    bool settled = news || ((result & BURST_FRESH) && !(result & BURST_TOLD));
    if (known->current && !settled)
        return; /* still what was told last; this list is not, and will be fetched again */
    known->fingerprint = catalog_fingerprint(catalog);
    known->count = catalog_count(catalog);
    known->current = settled;
}

/* Compares, stores, and tells if there is something to tell; true when there was. */
static bool compare(struct conn *conn, struct conn_list *list, unsigned result, const struct peer_fetched *fetched)
{
    const struct catalog *catalog = fetched->list;
    struct row row;
    conn_row_load(conn, &row);
    struct row_list *known = &row.lists[list->kind];
    bool news = is_news(known, catalog_fingerprint(catalog), result);
    bool comparable = list->digest && !is_unknown(known->fingerprint);
    learn(known, catalog, result, news);
    row.verified_ms = clock_wall_ms();
    if (fetched->server_info)
        table_text(row.server_info, sizeof(row.server_info), fetched->server_info);
    row.last_error[0] = '\0'; /* a connection that works has none but of a list that could not be fetched */
    if (news) {
        json_t *diff = comparable ? catalog_diff(list->digest, catalog) : NULL;
        begin_generation(conn, &row, list->kind, result & BURST_OWED ? REASON_NOTIFICATION : list->reason, diff);
        json_decref(diff);
        return true;
    }
    conn_row_store(conn, &row);
    if ((result & BURST_OWED) && (result & BURST_FRESH))
        conn_count(conn, COUNTER_SUPPRESSED);
    return false;
}

enum conn_list_outcome conn_list_fetched(struct conn *conn, enum kind kind, const struct peer_fetched *fetched)
{
    const struct catalog *catalog = fetched->list;
    struct conn_list *list = find(conn, kind);
    if (!list || !list->burst.fetching)
        return CONN_LIST_DONE;
    struct burst_options options = options_of(conn);
    uint64_t retry_ms =
        retry_backoff(RETRY_LIST_BASE_MS, RETRY_LIST_MAX_MS, list->failures + 1U, 0, conn_random(conn->env));
    unsigned result = burst_fetched(&list->burst, &options, clock_mono_ms(), catalog != NULL, retry_ms);
    if (!catalog)
        return not_fetched(conn, list, result, fetched->error);

    list->failures = 0;
    conn_count(conn, COUNTER_LIST_FETCHES);
    bool news = compare(conn, list, result, fetched);
    free(list->digest);
    list->digest = conn->env->config->enrich ? catalog_digest(catalog) : NULL;
    bool untold = news && (result & BURST_FRESH) && !(result & BURST_OWED);
    return untold && list->reason == REASON_VERIFY ? CONN_LIST_DEAF : CONN_LIST_DONE;
}

uint64_t conn_list_due(const struct conn *conn)
{
    uint64_t due = TIMELINE_NEVER;
    for (size_t i = 0; i < conn->list_count; i++) {
        uint64_t one = burst_due(&conn->lists[i].burst);
        if (one < due)
            due = one;
    }
    return due;
}

void conn_list_expired(struct conn *conn, uint64_t now_ms)
{
    struct burst_options options = options_of(conn);
    for (size_t i = 0; i < conn->list_count; i++) {
        struct burst *burst = &conn->lists[i].burst;
        unsigned todo = burst_expired(burst, &options, now_ms);
        if (todo & BURST_FETCH && burst_is_told(burst) && !pace_take(&conn->env->settling, SETTLING_A_SECOND, now_ms)) {
            burst_put_off(burst, now_ms, retry_jitter(SETTLING_WAIT_MS, conn_random(conn->env)));
            todo &= ~(unsigned)BURST_FETCH;
        }
        obey(conn, &conn->lists[i], todo);
    }
}

void conn_list_stop(struct conn *conn, bool publish)
{
    for (size_t i = 0; i < conn->list_count; i++) {
        if (burst_flush(&conn->lists[i].burst) && publish)
            announce(conn, conn->lists[i].kind);
        conn->lists[i].burst = (struct burst){0};
    }
}
