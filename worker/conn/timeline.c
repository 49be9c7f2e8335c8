/* SPDX-License-Identifier: MIT */
/* A binary heap of pointers to nodes, each of which knows its place, so that moving and clearing cost a logarithm. It is
 * here because a libuv timer for each of a hundred thousand connections costs 152 bytes each, and because what is driven
 * by a time that is passed in can be tested without waiting.
 *
 * Invariants: heap[i] is not due later than heap[2i+1] and heap[2i+2]; heap[i]->place is i + 1; a node that is not in
 * the heap has place 0. Nodes of the same time come in no particular order. */
#include "worker/conn/timeline.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int timeline_reserve(struct timeline *timeline, size_t count)
{
    if (count <= timeline->capacity)
        return 0;
    size_t capacity = timeline->capacity ? timeline->capacity : 64;
    while (capacity < count)
        capacity *= 2;
    struct timeline_node **heap = realloc(timeline->heap, capacity * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timeline->heap = heap;
    timeline->capacity = capacity;
    return 0;
}

void timeline_fini(struct timeline *timeline)
{
    free(timeline->heap);
    *timeline = (struct timeline){0};
}

static void put(struct timeline *timeline, size_t at, struct timeline_node *node)
{
    timeline->heap[at] = node;
    node->place = at + 1;
}

static void sift_up(struct timeline *timeline, size_t at)
{
    struct timeline_node *node = timeline->heap[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (timeline->heap[parent]->due_ms <= node->due_ms)
            break;
        put(timeline, at, timeline->heap[parent]);
        at = parent;
    }
    put(timeline, at, node);
}

static void sift_down(struct timeline *timeline, size_t at)
{
    struct timeline_node *node = timeline->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= timeline->count)
            break;
        if (child + 1 < timeline->count && timeline->heap[child + 1]->due_ms < timeline->heap[child]->due_ms)
            child++;
        if (timeline->heap[child]->due_ms >= node->due_ms)
            break;
        put(timeline, at, timeline->heap[child]);
        at = child;
    }
    put(timeline, at, node);
}

void timeline_set(struct timeline *timeline, struct timeline_node *node, uint64_t due_ms)
{
    if (due_ms == TIMELINE_NEVER) {
        timeline_clear(timeline, node);
        return;
    }
    if (node->place == 0) {
        assert(timeline->count < timeline->capacity); /* reserved when its owner was made */
        put(timeline, timeline->count++, node);
    }
    node->due_ms = due_ms;
    sift_up(timeline, node->place - 1);
    sift_down(timeline, node->place - 1);
}

void timeline_clear(struct timeline *timeline, struct timeline_node *node)
{
    if (node->place == 0)
        return;
    size_t at = node->place - 1;
    assert(at < timeline->count && timeline->heap[at] == node);
    node->place = 0;
    struct timeline_node *last = timeline->heap[--timeline->count];
    if (last == node)
        return;
    put(timeline, at, last);
    sift_up(timeline, at);
    sift_down(timeline, last->place - 1);
}

uint64_t timeline_next(const struct timeline *timeline)
{
    return timeline->count ? timeline->heap[0]->due_ms : TIMELINE_NEVER;
}

struct timeline_node *timeline_take_due(struct timeline *timeline, uint64_t now_ms)
{
    if (timeline_next(timeline) > now_ms || timeline->count == 0)
        return NULL;
    struct timeline_node *node = timeline->heap[0];
    timeline_clear(timeline, node);
    return node;
}
