/* SPDX-License-Identifier: MIT */
/* What is wrong with an input, all of it: readers of configuration add a line for each problem and go on, so that a
 * user mends a file in one go. A line says what, where (file, line, key) and what to do. Not thread-safe. */
#ifndef COMMON_PROBLEMS_H
#define COMMON_PROBLEMS_H

#include "common/compiler.h"

#include <stddef.h>

enum { PROBLEMS_MAX = 100, PROBLEM_TEXT_SIZE = 512 };

struct problems {
    char (*lines)[PROBLEM_TEXT_SIZE];
    size_t count; /* those told; at most PROBLEMS_MAX, the rest is counted in `more` */
    size_t more;
};

void problems_init(struct problems *problems);
void problems_fini(struct problems *problems);

/* Adds a line; truncates one that is too long. Running out of memory counts in `more`. */
void problems_add(struct problems *problems, const char *format, ...) PRINTF_LIKE(2, 3);

/* Writes each line to standard error behind "mcp-broker: " (or what `who` says), and how many more there are. */
void problems_print(const struct problems *problems, const char *who);

#endif
