/* SPDX-License-Identifier: MIT */
/* `top`: a live screen of workers and servers. */
#ifndef CTL_TOP_H
#define CTL_TOP_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

enum exit_code top_run(const struct options *options);

#endif
