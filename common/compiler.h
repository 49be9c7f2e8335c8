/* SPDX-License-Identifier: MIT */
/* Attributes that every module uses, and nothing else. */
#ifndef COMMON_COMPILER_H
#define COMMON_COMPILER_H

/* The caller must look at the return value: it is 0, a negative fault or a positive outcome. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* The arguments from `first_arg` on are checked against the format string at `format_arg` (both count from 1). */
#define PRINTF_LIKE(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif
