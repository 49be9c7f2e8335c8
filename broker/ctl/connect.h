/* SPDX-License-Identifier: MIT */
/* `connect`: a server to be watched from now on, described by options or by JSON on standard input (`connect -`). */
#ifndef CTL_CONNECT_H
#define CTL_CONNECT_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

enum exit_code connect_run(const struct options *options);

#endif
