/* SPDX-License-Identifier: MIT */
/* Names that nobody else has: of a table, of a registry. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include "common/compiler.h"

enum { RANDOM_ID_SIZE = 33 };

/* 32 random hexadecimal digits from the kernel. 0 or a negative errno. */
MUST_CHECK int random_id(char out[RANDOM_ID_SIZE]);

#endif
