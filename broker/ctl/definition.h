/* SPDX-License-Identifier: MIT */
/* A server's definition, as commands take it: the keys of the servers file, and the id as `serverId`. */
#ifndef CTL_DEFINITION_H
#define CTL_DEFINITION_H

#include "broker/ctl/options.h"
#include "common/compiler.h"

#include <jansson.h>
#include <stdbool.h>

/* True when the argument is `-`: the definition is on standard input. */
bool definition_is_input(const struct options *options);

/* Both: a new reference, or NULL after having told what is wrong. */
MUST_CHECK json_t *definition_of_options(const struct options *options, const char *url);
MUST_CHECK json_t *definition_of_input(const struct options *options);

#endif
