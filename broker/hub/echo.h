/* SPDX-License-Identifier: MIT */
/* Knows this broker's own events again when Redis sends them back: what was published goes in, what comes over the
 * subscription is asked about. Bounded: of more than `capacity` unanswered ones the oldest is forgotten (and would then
 * be told twice to local subscribers, never lost). Pure. */
#ifndef HUB_ECHO_H
#define HUB_ECHO_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>

/* Four windows of the relay: what comes back may lag behind the answers. It stays within the processor's cache. */
enum { ECHO_CAPACITY = 16384 };

struct echo;

/* `capacity` is a power of two. 0 or -ENOMEM. */
MUST_CHECK int echo_create(size_t capacity, struct echo **out);
void echo_destroy(struct echo *echo);

/* `payload` is being published on the channel of `type`. Remembered as often as it is published. */
void echo_remember(struct echo *echo, unsigned type, const void *payload, size_t size);

/* True when that payload was remembered, which it then is once less: it is one's own. */
MUST_CHECK bool echo_take(struct echo *echo, unsigned type, const void *payload, size_t size);

#endif
