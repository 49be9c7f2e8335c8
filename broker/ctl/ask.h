/* SPDX-License-Identifier: MIT */
/* The commands that are one question and one answer. Each runs the command that `options` has. */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "broker/ctl/exit_code.h"
#include "broker/ctl/options.h"

enum exit_code ask_ping(const struct options *options);
enum exit_code ask_status(const struct options *options);
enum exit_code ask_workers(const struct options *options);

/* disconnect, reconnect, touch: the argument is a server's id. */
enum exit_code ask_server(const struct options *options);

enum exit_code ask_scale(const struct options *options);

enum exit_code ask_log_level(const struct options *options);

/* reload, roll: neither arguments nor news. */
enum exit_code ask_plainly(const struct options *options);

#endif
