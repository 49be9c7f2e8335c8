/* SPDX-License-Identifier: MIT */
/* The registry's database as a file. Private to registry.c, and SQLite's types end there. */
#ifndef BROKER_HUB_REGISTRY_FILE_H
#define BROKER_HUB_REGISTRY_FILE_H

#include "broker/hub/registry.h"
#include "common/compiler.h"
#include "common/random.h"

struct sqlite3;

/* Opens or makes a database with our tables, whole and of our version, in the mode that the registry works in (see
 * registry_open). The caller closes it. */
MUST_CHECK int registry_file_open(const char *path, struct sqlite3 **out, char instance[RANDOM_ID_SIZE],
                                  char error[REGISTRY_ERROR_SIZE]);

/* The negative errno for what SQLite said. */
int registry_file_errno(int code);

#endif
