/* SPDX-License-Identifier: MIT */
/* A definition as it is read from its JSON object: all keys known and checked, all texts still the object's. Private to
 * server_def.c, which makes a server_def of it. Pure. */
#ifndef COMMON_SERVER_DEF_DRAFT_H
#define COMMON_SERVER_DEF_DRAFT_H

#include "common/compiler.h"
#include "common/server_def.h"

#include <stdbool.h>

struct server_def_draft {
    struct server_def def;
    const char *name, *workspace_id, *user_id; /* "" when not given */
    struct server_extras extras;               /* of `def`; its arrays are those below, `auth` is borrowed, too */
    struct server_pair headers[SERVER_DEF_HEADERS_MAX];
    struct server_pair env[SERVER_DEF_ENV_MAX];
    const char *args[SERVER_DEF_ARGS_MAX];
};

/* True when nothing is wrong. The draft borrows from `id` and `object` and points into itself. */
MUST_CHECK bool server_def_draft_read(struct server_def_draft *draft, const char *id, json_t *object,
                                      enum source source, server_def_on_problem on_problem, void *user);

#endif
