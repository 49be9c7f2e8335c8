/* SPDX-License-Identifier: MIT */
/* The port where a fleet is commanded: lines as command.h has them, each answered with one line, which is `ok`, a JSON
 * object (report) or `error: ` and what is wrong. */
#ifndef TESTS_FLEET_CONTROL_H
#define TESTS_FLEET_CONTROL_H

#include "common/compiler.h"
#include "tests/fleet/options.h"
#include "tests/fleet/shared.h"

#include <stdint.h>

/* Listens on 127.0.0.1, and writes the port that it got to `*port`. The descriptor, or a negative errno. */
MUST_CHECK int control_listen(uint16_t *port);

/* Serves until `quit`: 0. `processes` are the ends of the processes' command sockets; when one of them closes, a
 * process has died: -EPIPE. */
MUST_CHECK int control_run(int listener, const struct options *options, const struct shared *shared,
                           const int *processes);

#endif
