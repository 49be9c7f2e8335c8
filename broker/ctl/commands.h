/* SPDX-License-Identifier: MIT */
/* The commands of mcp-brokerctl: one table. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

/* Runs the command of `options` after checking its options and arguments, and that there is a run directory if it
 * wants one. */
enum exit_code commands_run(const struct options *options);

/* The lines of `--help` about commands. */
void commands_help(FILE *out);

#endif
