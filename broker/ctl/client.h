/* SPDX-License-Identifier: MIT */
/* Asking the broker: one question over the diagnostics socket, and what becomes of its answer. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "broker/ctl/exit_code.h"
#include "common/compiler.h"

#include <jansson.h>
#include <stdint.h>

enum { CLIENT_TIMEOUT_MS = 10000 };

/* Asks and waits. `args` is taken over, also when this fails; NULL: none. EXIT_CODE_DONE with *data (a new reference),
 * anything else after having told why on standard error. */
MUST_CHECK enum exit_code client_ask(const char *run_dir, const char *cmd, json_t *args, uint64_t timeout_ms,
                                     json_t **data);

/* Tells that there is no broker, and what to do. */
enum exit_code client_no_broker(const char *run_dir);

enum exit_code client_no_memory(void);

#endif
