/* SPDX-License-Identifier: MIT */
/* The files that workers are granted when they lock themselves in, watched: when one is replaced by another, or a new
 * one is named, the workers of now can't open it, and must be replaced by others. Loop thread only. */
#ifndef BROKER_SUPERVISOR_OPENED_FILES_H
#define BROKER_SUPERVISOR_OPENED_FILES_H

#include "common/compiler.h"

#include <stdbool.h>
#include <uv.h>

struct opened_files;

/* `named` (common/named_files.h) is copied. `on_stale` runs from the loop, or from opened_files_name, when the workers'
 * files are not the ones that there are; false: not now, tell it again later. NULL without memory. */
MUST_CHECK struct opened_files *opened_files_open(uv_loop_t *loop, const char *named, bool (*on_stale)(void *user),
                                                  void *user);

/* What is named has changed. */
void opened_files_name(struct opened_files *files, const char *named);

/* For the next worker to be granted. Borrowed until opened_files_name. */
const char *opened_files_named(const struct opened_files *files);

/* NULL does nothing. */
void opened_files_close(struct opened_files *files);

#endif
