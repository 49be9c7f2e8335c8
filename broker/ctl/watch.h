/* SPDX-License-Identifier: MIT */
/* `watch`: events as they come, one a line, until INT, TERM or --count. */
#ifndef CTL_WATCH_H
#define CTL_WATCH_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

enum exit_code watch_run(const struct options *options);

#endif
