/* SPDX-License-Identifier: MIT */
/* ${NAME} and ${file:PATH} in texts of the configuration: how secrets stay out of it. Pure but for reading the
 * environment and those files. */
#ifndef COMMON_EXPAND_H
#define COMMON_EXPAND_H

#include "common/compiler.h"

enum { EXPAND_FILE_MAX = 64 * 1024, EXPAND_SIZE_MAX = 256 * 1024, EXPAND_ERROR_SIZE = 256 };

/* `text` with ${NAME} replaced by the environment's variable, ${file:PATH} by the content of a regular file of at most
 * EXPAND_FILE_MAX bytes without its last line break, and $${ by ${; what was put in is not looked at again. The caller
 * frees it. NULL with `error` saying what is wrong (it names the variable or the file, never a value). */
MUST_CHECK char *expand_text(const char *text, char error[EXPAND_ERROR_SIZE]);

#endif
