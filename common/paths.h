/* SPDX-License-Identifier: MIT */
/* What stands in the run directory and the state directory. */
#ifndef COMMON_PATHS_H
#define COMMON_PATHS_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>

#define PATHS_LOCK        "lock"             /* flock: one broker a run directory */
#define PATHS_TABLE       "table"            /* the table, or a link to it */
#define PATHS_EVENTS      "events.sock"      /* hub PUB: events for local subscribers */
#define PATHS_DIAG        "diag.sock"        /* hub REP: questions */
#define PATHS_BELLS       "bells.sock"       /* hub SUB, workers PUB */
#define PATHS_ASSIGNMENTS "assignments.sock" /* hub REP, workers REQ */
#define PATHS_TOKENS      "tokens.sock"      /* hub REP, workers REQ: bearer tokens */
#define PATHS_REGISTRY    "registry.db"      /* in the state directory */

/* "<dir>/<name>" into `out`. 0, or -ENAMETOOLONG when that does not fit. (A socket's path has 107 bytes; config_read
 * refuses a run directory that is too long for them.) */
MUST_CHECK int paths_join(char *out, size_t size, const char *dir, const char *name);

/* The run directory when no flag names one, as `--run-dir` says, for a broker of the system (that root starts) or a
 * user's; the state directory likewise. 0, or -ENOENT when the environment has none ($XDG_RUNTIME_DIR, $HOME). */
MUST_CHECK int paths_default_run_dir(char *out, size_t size, bool is_system);
MUST_CHECK int paths_default_state_dir(char *out, size_t size, bool is_system);

#endif
