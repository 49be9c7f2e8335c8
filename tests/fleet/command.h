/* SPDX-License-Identifier: MIT */
/* What can be asked of a fleet, one line each:
 *
 *   change RANGE [PER-SECOND [SECONDS]]   tools change, once each; or round and round at this rate over the whole range
 *   quiet                                 no more changes
 *   drop RANGE                            streams are closed in the middle
 *   end RANGE                             streams end as HTTP has it
 *   reset RANGE                           streams are reset
 *   refuse RANGE on|off                   503 to everything
 *   stall RANGE on|off                    no answers, and no notifications
 *   forget RANGE                          sessions are no longer known
 *   report                                counters as JSON
 *   quit                                  the fleet ends
 *
 * RANGE is a number, FIRST-LAST, or `all`. Pure. */
#ifndef TESTS_FLEET_COMMAND_H
#define TESTS_FLEET_COMMAND_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum { COMMAND_SIZE_MAX = 128 };

enum command_verb {
    COMMAND_CHANGE,
    COMMAND_QUIET,
    COMMAND_DROP,
    COMMAND_END,
    COMMAND_RESET,
    COMMAND_REFUSE,
    COMMAND_STALL,
    COMMAND_FORGET,
    COMMAND_REPORT,
    COMMAND_QUIT,
};

struct command {
    enum command_verb verb;
    uint32_t first, last;
    double per_second; /* 0: once */
    double seconds;    /* 0: until told otherwise */
    bool on;
};

/* NULL, or what is wrong with the line, a literal. Numbers of servers are below `server_count`. */
MUST_CHECK const char *command_read(const char *line, uint32_t server_count, struct command *out);

#endif
