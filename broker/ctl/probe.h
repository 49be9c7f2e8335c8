/* SPDX-License-Identifier: MIT */
/* `probe`: one look at a server, as a worker would see it, without a broker. The argument is a URL, or `-` for a
 * definition on standard input. */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

enum exit_code probe_run(const struct options *options);

#endif
