/* SPDX-License-Identifier: MIT */
/* The executables that belong together: where they are, and how one of them runs another for a single question. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include "common/compiler.h"
#include "common/problems.h"

#include <limits.h>

/* `mcp-broker-worker --probe MS`: reads on standard input
 *
 *     {"definition": {as in common/server_def.h}, "lists": bool, "call": null | {"name": text, "arguments": {…}}}
 *
 * asks that server what a worker would, calls that tool, hears its stream for MS milliseconds, writes one JSON object to
 * standard output (worker/probe_report.h; with the lists themselves if `lists`). It ends
 * with PROGRAM_PROBE_GOOD when a worker would listen to the server, or could poll it, PROGRAM_PROBE_BAD when not, and
 * with anything else, without an object, when it could not try. */
#define PROGRAM_WORKER "mcp-broker-worker"
#define PROGRAM_PROBE  "--probe"
enum { PROGRAM_PROBE_GOOD = 0, PROGRAM_PROBE_BAD = 1, PROGRAM_PROBE_FAULT = 2 };

/* Looks beside the running executable (a build tree), then in ../libexec/mcp-broker (an installation). 0, or 1 with a
 * problem. */
MUST_CHECK int program_find(const char *name, char path[PATH_MAX], struct problems *problems);

#endif
