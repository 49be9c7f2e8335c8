/* SPDX-License-Identifier: MIT */
/* A binary heap of places, each of which names a node, which knows its place, so that moving and clearing cost a
 * logarithm. It is here because a libuv timer for each of a hundred thousand connections costs 152 bytes each, and because
 * what is driven by a time that is passed in can be tested without waiting.
 *
 * Most moves are to a later time: with each sign of life what would follow upon silence is put off. Such a move only
 * notes the new time in the node; its place stays too early, and is put right when it comes to the top, which is once for
 * all the times that it was put off.
 *
 * Invariants: heap[i] is not earlier than its parent; heap[i].at is not later than heap[i].node->due, and they are equal
 * at the top whenever a function returns; heap[i].node->place is i + 1; a node that is not in the heap has place 0. Nodes
 * of the same time come in no particular order. */
#include "worker/conn/timeline.h"

#include "worker/conn/moment.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

struct timeline_place {
    uint32_t at; /* a moment */
    struct timeline_node *node;
};

enum { CAPACITY_MIN = 64 };

static MUST_CHECK int resize(struct timeline *timeline, size_t capacity)
{
    struct timeline_place *heap = realloc(timeline->heap, capacity * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timeline->heap = heap;
    timeline->capacity = capacity;
    return 0;
}

int timeline_reserve(struct timeline *timeline, size_t count)
{
    if (count <= timeline->capacity)
        return 0;
    size_t capacity = timeline->capacity ? timeline->capacity : CAPACITY_MIN;
    while (capacity < count)
        capacity *= 2;
    return resize(timeline, capacity);
}

void timeline_release(struct timeline *timeline, size_t count)
{
    assert(count >= timeline->count);
    if (timeline->capacity > CAPACITY_MIN && count <= timeline->capacity / 4)
        (void)!resize(timeline, timeline->capacity / 2);
}

void timeline_fini(struct timeline *timeline)
{
    free(timeline->heap);
    *timeline = (struct timeline){0};
}

static uint64_t ms_of(const struct timeline *timeline, uint32_t moment)
{
    return moment_ms(moment, timeline->now_ms);
}

static bool is_earlier(const struct timeline *timeline, uint32_t a, uint32_t b)
{
    return ms_of(timeline, a) < ms_of(timeline, b);
}

static void put(struct timeline *timeline, size_t at, struct timeline_place place)
{
    timeline->heap[at] = place;
    place.node->place = (uint32_t)(at + 1);
}

static void sift_up(struct timeline *timeline, size_t at)
{
    struct timeline_place place = timeline->heap[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!is_earlier(timeline, place.at, timeline->heap[parent].at))
            break;
        put(timeline, at, timeline->heap[parent]);
        at = parent;
    }
    put(timeline, at, place);
}

static void sift_down(struct timeline *timeline, size_t at)
{
    struct timeline_place place = timeline->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= timeline->count)
            break;
        if (child + 1 < timeline->count && is_earlier(timeline, timeline->heap[child + 1].at, timeline->heap[child].at))
            child++;
        if (!is_earlier(timeline, timeline->heap[child].at, place.at))
            break;
        put(timeline, at, timeline->heap[child]);
        at = child;
    }
    put(timeline, at, place);
}

/* Puts off what has come to the top and is due later. */
static void settle(struct timeline *timeline)
{
    while (timeline->count > 0 && is_earlier(timeline, timeline->heap[0].at, timeline->heap[0].node->due)) {
        timeline->heap[0].at = timeline->heap[0].node->due;
        sift_down(timeline, 0);
    }
}

void timeline_set(struct timeline *timeline, struct timeline_node *node, uint64_t now_ms, uint64_t due_ms)
{
    timeline->now_ms = now_ms;
    if (due_ms == TIMELINE_NEVER) {
        timeline_clear(timeline, node);
        return;
    }
    node->due = moment_of(due_ms);
    if (node->place == 0) {
        assert(timeline->count < timeline->capacity); /* reserved when its owner was made */
        put(timeline, timeline->count++, (struct timeline_place){.at = node->due, .node = node});
        sift_up(timeline, node->place - 1);
    } else if (is_earlier(timeline, node->due, timeline->heap[node->place - 1].at)) {
        timeline->heap[node->place - 1].at = node->due;
        sift_up(timeline, node->place - 1);
    }
    settle(timeline);
}

void timeline_clear(struct timeline *timeline, struct timeline_node *node)
{
    if (node->place == 0)
        return;
    size_t at = node->place - 1;
    assert(at < timeline->count && timeline->heap[at].node == node);
    node->place = 0;
    struct timeline_place last = timeline->heap[--timeline->count];
    if (last.node != node) {
        put(timeline, at, last);
        sift_up(timeline, at);
        sift_down(timeline, last.node->place - 1);
    }
    settle(timeline);
}

uint64_t timeline_next(const struct timeline *timeline)
{
    return timeline->count > 0 ? ms_of(timeline, timeline->heap[0].at) : TIMELINE_NEVER;
}

struct timeline_node *timeline_take_due(struct timeline *timeline, uint64_t now_ms)
{
    timeline->now_ms = now_ms;
    if (timeline->count == 0 || timeline_next(timeline) > now_ms)
        return NULL;
    struct timeline_node *node = timeline->heap[0].node;
    timeline_clear(timeline, node);
    return node;
}
