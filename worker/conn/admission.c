/* SPDX-License-Identifier: MIT */
/* The limits of a worker, counted in one place. conn asks before each attempt and gives back when it ends; after each
 * turn of the loop the waiting ones are taken with admission_next, so that nothing here calls anybody.
 *
 * A host is known here only while one of its attempts waits or is under way. Hosts whose next attempt could begin as far
 * as their own bound goes stand in a ring and are served in turn; without a bound for each host all waiting attempts
 * share the host "", whose queue then is the one queue.
 *
 *   ring ─▶ host a ─▶ host b ─▶ …        each: first waiting ⇄ next ⇄ last
 *
 * Invariants: a host is in the ring exactly when it has somebody waiting and is below its bound; `connections` is the
 * number of those under way or held, `connecting` of those under way. */
#include "worker/conn/admission.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct admission_host {
    struct admission_host *chain;           /* of the bucket */
    struct admission_host *previous, *next; /* of the ring; NULL: not in it */
    struct admission_node *first, *last;    /* who waits */
    uint64_t connecting;
    unsigned bucket;
    char name[];
};

struct admission {
    struct admission_limits limits;
    uint64_t connections, connecting, waiting;
    struct admission_host *turn; /* the ring's next; NULL: empty */
    struct admission_host *buckets[BUCKETS];
};

struct admission *admission_create(const struct admission_limits *limits)
{
    struct admission *admission = calloc(1, sizeof(*admission));
    if (admission)
        admission->limits = *limits;
    return admission;
}

void admission_destroy(struct admission *admission)
{
    if (admission)
        assert(admission->connections == 0 && admission->waiting == 0);
    free(admission);
}

/* FNV-1a: names come from configuration, not from peers. */
static unsigned bucket_of(const char *name)
{
    uint32_t hash = 2166136261U;
    for (const char *at = name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619U;
    return hash % BUCKETS;
}

static struct admission_host *host_get(struct admission *admission, const char *name)
{
    unsigned bucket = bucket_of(name);
    for (struct admission_host *host = admission->buckets[bucket]; host; host = host->chain)
        if (strcmp(host->name, name) == 0)
            return host;
    size_t size = strlen(name) + 1;
    struct admission_host *host = calloc(1, sizeof(*host) + size);
    if (!host)
        return NULL;
    memcpy(host->name, name, size);
    host->bucket = bucket;
    host->chain = admission->buckets[bucket];
    admission->buckets[bucket] = host;
    return host;
}

static bool host_has_room(const struct admission *admission, const struct admission_host *host)
{
    return admission->limits.per_host == 0 || host->name[0] == '\0' || host->connecting < admission->limits.per_host;
}

static void ring_remove(struct admission *admission, struct admission_host *host)
{
    host->previous->next = host->next;
    host->next->previous = host->previous;
    if (admission->turn == host)
        admission->turn = host->next == host ? NULL : host->next;
    host->previous = host->next = NULL;
}

static void ring_append(struct admission *admission, struct admission_host *host)
{
    struct admission_host *turn = admission->turn ? admission->turn : host;
    struct admission_host *last = admission->turn ? turn->previous : host;
    host->previous = last;
    host->next = turn;
    last->next = host;
    turn->previous = host;
    admission->turn = turn;
}

/* Restores the invariants after the host's numbers have changed; forgets one that nobody uses. */
static void host_settle(struct admission *admission, struct admission_host *host)
{
    bool ready = host->first && host_has_room(admission, host);
    if (ready && !host->next)
        ring_append(admission, host);
    else if (!ready && host->next)
        ring_remove(admission, host);
    if (host->first || host->connecting > 0)
        return;
    struct admission_host **link = &admission->buckets[host->bucket];
    while (*link != host)
        link = &(*link)->chain;
    *link = host->chain;
    free(host);
}

void admission_set_limits(struct admission *admission, const struct admission_limits *limits)
{
    admission->limits = *limits;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct admission_host *host = admission->buckets[i];
        while (host) {
            struct admission_host *chain = host->chain;
            host_settle(admission, host);
            host = chain;
        }
    }
}

static void begin(struct admission *admission, struct admission_node *node)
{
    node->phase = ADMISSION_UNDER_WAY;
    node->host->connecting++;
    admission->connections++;
    admission->connecting++;
}

static void wait_last(struct admission *admission, struct admission_node *node)
{
    struct admission_host *host = node->host;
    node->phase = ADMISSION_WAITING;
    node->previous = host->last;
    node->next = NULL;
    if (host->last)
        host->last->next = node;
    else
        host->first = node;
    host->last = node;
    admission->waiting++;
}

static void wait_no_more(struct admission *admission, struct admission_node *node)
{
    struct admission_host *host = node->host;
    if (node->previous)
        node->previous->next = node->next;
    else
        host->first = node->next;
    if (node->next)
        node->next->previous = node->previous;
    else
        host->last = node->previous;
    node->previous = node->next = NULL;
    admission->waiting--;
}

int admission_ask(struct admission *admission, struct admission_node *node, const char *host_name)
{
    assert(node->phase == ADMISSION_IDLE);
    struct admission_host *host = host_get(admission, admission->limits.per_host ? host_name : "");
    if (!host)
        return -ENOMEM;
    node->host = host;
    bool full = admission_is_full(admission);
    bool first = !admission->turn && !host->first;
    if (!full && first && admission->connecting < admission->limits.connecting && host_has_room(admission, host)) {
        begin(admission, node);
        return 0;
    }
    wait_last(admission, node);
    host_settle(admission, host);
    return full ? ADMISSION_FULL : ADMISSION_PACED;
}

void admission_hold(struct admission *admission, struct admission_node *node)
{
    assert(node->phase == ADMISSION_UNDER_WAY);
    struct admission_host *host = node->host;
    node->phase = ADMISSION_IDLE;
    node->host = NULL;
    host->connecting--;
    admission->connecting--;
    host_settle(admission, host);
}

void admission_let_go(struct admission *admission)
{
    assert(admission->connections > admission->connecting);
    admission->connections--;
}

void admission_release(struct admission *admission, struct admission_node *node)
{
    struct admission_host *host = node->host;
    if (node->phase == ADMISSION_WAITING)
        wait_no_more(admission, node);
    if (node->phase == ADMISSION_UNDER_WAY) {
        host->connecting--;
        admission->connecting--;
        admission->connections--;
    }
    node->phase = ADMISSION_IDLE;
    node->host = NULL;
    if (host)
        host_settle(admission, host);
}

struct admission_node *admission_next(struct admission *admission)
{
    if (!admission->turn || admission_is_full(admission) || admission->connecting >= admission->limits.connecting)
        return NULL;
    struct admission_host *host = admission->turn;
    struct admission_node *node = host->first;
    admission->turn = host->next;
    wait_no_more(admission, node);
    begin(admission, node);
    host_settle(admission, host);
    return node;
}

bool admission_is_full(const struct admission *admission)
{
    return admission->connections >= admission->limits.connections;
}

uint64_t admission_connections(const struct admission *admission)
{
    return admission->connections;
}

uint64_t admission_waiting(const struct admission *admission)
{
    return admission->waiting;
}
