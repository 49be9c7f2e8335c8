/* SPDX-License-Identifier: MIT */
/* One look at one server, in a process of its own: what `mcp-brokerctl probe` shows (common/program.h). */
#ifndef WORKER_PROBE_H
#define WORKER_PROBE_H

#include "common/compiler.h"

/* Reads the definition on standard input, probes, writes what was found to standard output. `wait`: for how many
 * milliseconds to hear the stream, as text. The exit code, one of PROGRAM_PROBE_*. */
MUST_CHECK int probe_run(const char *wait);

#endif
