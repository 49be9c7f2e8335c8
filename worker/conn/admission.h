/* SPDX-License-Identifier: MIT */
/* Room under the limits: which attempts to connect may begin, and which wait. Whatever is held counts from the first
 * byte of connecting; attempts under way count a second time, as a whole and for each host. Who waits is served in order
 * (with a bound for each host: in order within a host, hosts in turn). Pure: no I/O, no clock. */
#ifndef WORKER_ADMISSION_H
#define WORKER_ADMISSION_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admission;
struct admission_host;

struct admission_limits {
    uint64_t connections; /* held and under way */
    uint64_t connecting;  /* under way */
    uint64_t per_host;    /* under way to one host; 0: no bound */
};

/* Who asks, until it is held; all zero is idle. Private to admission.c. */
struct admission_node {
    struct admission_node *previous, *next;
    struct admission_host *host;
    enum { ADMISSION_IDLE, ADMISSION_WAITING, ADMISSION_UNDER_WAY } phase;
};

/* What asking can come to, besides 0: go ahead. */
enum admission_outcome {
    ADMISSION_FULL = 1,  /* waits: as many connections as are allowed */
    ADMISSION_PACED = 2, /* waits: as many attempts under way as are allowed, or others are first */
};

MUST_CHECK struct admission *admission_create(const struct admission_limits *limits);
/* Nodes must have been released, and what was held let go. NULL does nothing. */
void admission_destroy(struct admission *admission);
/* What is held stays held. */
void admission_set_limits(struct admission *admission, const struct admission_limits *limits);

/* Asks for an idle node; `host` (copied) is what the bound for each host counts by. 0: it is under way now; an enum
 * admission_outcome: it waits, and admission_next will give it; -ENOMEM: it is idle still. */
MUST_CHECK int admission_ask(struct admission *admission, struct admission_node *node, const char *host);

/* The attempt has succeeded: under way no more, but held, of which nothing but the number is kept. The node is idle. */
void admission_hold(struct admission *admission, struct admission_node *node);

/* One that was held is no more. */
void admission_let_go(struct admission *admission);

/* Makes it idle, whatever it was. */
void admission_release(struct admission *admission, struct admission_node *node);

/* Takes the next one that may begin, now under way; NULL: nobody waits, or there is no room. */
struct admission_node *admission_next(struct admission *admission);

/* As many connections as are allowed. */
bool admission_is_full(const struct admission *admission);
uint64_t admission_connections(const struct admission *admission);
uint64_t admission_waiting(const struct admission *admission);

#endif
