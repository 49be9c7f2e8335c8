/* SPDX-License-Identifier: MIT */
/* One process of a fleet: its share of the servers, on one listening port, turned by commands. */
#ifndef TESTS_FLEET_PROCESS_H
#define TESTS_FLEET_PROCESS_H

#include "common/compiler.h"
#include "tests/fleet/options.h"
#include "tests/fleet/shared.h"

#include <stdint.h>

struct process;
struct ssl_ctx_st;

/* Listens, and makes the servers. `tls` NULL: http. What is pointed at outlives it. 0 or a negative errno. */
MUST_CHECK int process_create(const struct options *options, uint32_t index, struct shared *shared,
                              struct ssl_ctx_st *tls, struct process **out);

/* Serves until the other end of `commands` (SOCK_SEQPACKET, one line a message, each answered with one byte once it is
 * done) is closed. 0 or a negative errno. */
MUST_CHECK int process_run(struct process *process, int commands);

#endif
