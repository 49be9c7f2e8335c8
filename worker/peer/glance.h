/* SPDX-License-Identifier: MIT */
/* The messages that come often, list_changed notifications and acknowledgements of subscriptions, read at a glance: from
 * their text, without a tree. Pure. */
#ifndef WORKER_GLANCE_H
#define WORKER_GLANCE_H

#include "worker/peer/jsonrpc.h"

/* True when the text is such a notification, plainly written: *message is then what jsonrpc_parse and jsonrpc_get would
 * make of it, but for `subscription` and `honoured` in the place of params, and borrows nothing from the text. False says
 * nothing of the text: it is to be parsed. */
MUST_CHECK bool glance(const char *text, size_t size, const struct limits_json *limits,
                       struct jsonrpc_message *message);

#endif
