/* SPDX-License-Identifier: MIT */
/* The list that readers of configuration fill. It exists so that nobody stops at the first error: flags, the
 * configuration file and the servers file are read to their ends, and a user is told everything at once. It is bounded,
 * because a servers file of a hundred thousand entries can be wrong a hundred thousand times; past the bound only the
 * number is kept. Adding never fails: without memory the problem is still counted, so `count + more == 0` means that all
 * is well. */
#include "common/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void problems_init(struct problems *problems)
{
    *problems = (struct problems){0};
}

void problems_fini(struct problems *problems)
{
    free(problems->lines);
    problems_init(problems);
}

void problems_add(struct problems *problems, const char *format, ...)
{
    if (problems->lines == NULL)
        problems->lines = calloc(PROBLEMS_MAX, sizeof(*problems->lines));
    if (problems->lines == NULL || problems->count == PROBLEMS_MAX) {
        problems->more++;
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problems->lines[problems->count++], PROBLEM_TEXT_SIZE, format, arguments);
    va_end(arguments);
}

void problems_print(const struct problems *problems, const char *who)
{
    for (size_t i = 0; i < problems->count; i++)
        fprintf(stderr, "%s: %s\n", who, problems->lines[i]);
    if (problems->more > 0)
        fprintf(stderr, "%s: and %zu more\n", who, problems->more);
}
