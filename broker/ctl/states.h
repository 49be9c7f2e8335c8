/* SPDX-License-Identifier: MIT */
/* `states` and `show`: what is known of servers, read from the table. */
#ifndef CTL_STATES_H
#define CTL_STATES_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

enum exit_code states_list(const struct options *options);

/* The argument is a server's id. */
enum exit_code states_show(const struct options *options);

#endif
