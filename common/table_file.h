/* SPDX-License-Identifier: MIT */
/* The table as a file: where it lies, how a new one comes to be, and whether one that is found is ours. Private to
 * table.c; nothing is mapped here. */
#ifndef COMMON_TABLE_FILE_H
#define COMMON_TABLE_FILE_H

#include "common/table_layout.h"

#include <stdbool.h>
#include <stdint.h>

/* An open file, and its header, checked against this build and against the file's length. */
struct table_file {
    int fd;
    struct layout_header header;
};

/* As table_open and table_create; `out->fd` is the caller's to close. */
MUST_CHECK int table_file_open(const char *run_dir, enum table_access access, struct table_file *out,
                               char error[TABLE_ERROR_SIZE]);
MUST_CHECK int table_file_create(const char *run_dir, uint32_t capacity, struct table_file *out, bool *taken_over,
                                 char error[TABLE_ERROR_SIZE]);

/* As table_in_use. */
MUST_CHECK int table_file_in_use(const char *run_dir);

#endif
