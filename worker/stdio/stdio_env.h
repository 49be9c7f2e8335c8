/* SPDX-License-Identifier: MIT */
/* The environment of a stdio server: clean but for what a program needs to run at all, and what its definition gives. */
#ifndef WORKER_STDIO_ENV_H
#define WORKER_STDIO_ENV_H

#include "common/compiler.h"
#include "common/server_def.h"

/* "NAME=value" texts, then NULL; free with stdio_env_destroy. `inherited` is of the same form: of it remain PATH, HOME,
 * USER, LOGNAME, SHELL, TMPDIR, TZ, LANG and LC_*, unless the definition has the same name. NULL without memory. */
MUST_CHECK char **stdio_env_create(const struct server_def *def, char *const *inherited);
void stdio_env_destroy(char **env);

#endif
