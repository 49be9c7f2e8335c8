/* SPDX-License-Identifier: MIT */
/* The hub: knows which servers there are, tells the workers which to watch, hears what has changed and tells everybody.
 * All of it on one loop. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "common/compiler.h"
#include "common/config.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum hub_outcome { HUB_MISCONFIGURED = 1 }; /* no restart mends it */
enum { HUB_SLOTS_MAX = 256 };

struct hub_options {
    const struct config *config; /* lives longer, and may be changed: hub_configure then */
    uint64_t start_count;
    /* Says it to the supervisor; 0 or a negative errno. */
    int (*tell_supervisor)(void *user, const char *word, const char *argument);
    /* After hub_stop: everything is stored and closing. */
    void (*on_stopped)(void *user);
    void *user;
};

struct hub;

/* Sets everything up: when this returns 0 the sockets answer and the servers stand in the table. Otherwise an outcome or
 * a negative errno, which has been logged. */
MUST_CHECK int hub_open(uv_loop_t *loop, const struct hub_options *options, struct hub **out);

/* The worker slots that there are to be. */
struct hub_slots {
    int in_service[HUB_SLOTS_MAX], out_of_service[HUB_SLOTS_MAX];
    size_t in_count, out_count;
};
void hub_set_slots(struct hub *hub, const struct hub_slots *slots);

/* Reads the servers file again. */
void hub_reload(struct hub *hub);

/* What the supervisor says of its readings of the configuration, as JSON text: told by `status`. */
void hub_set_configured(struct hub *hub, const char *report);

/* The configuration has changed: takes over what can be changed while running. */
void hub_configure(struct hub *hub);

/* The whole broker is going to stop: nothing is taken on any more, what there is goes on. */
void hub_leave(struct hub *hub);

/* Leaves in order: nothing is taken on any more, what is owed is published if that is possible soon, everything is
 * stored; then on_stopped. The hub is gone after that. */
void hub_stop(struct hub *hub);

#endif
