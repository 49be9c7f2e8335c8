/* SPDX-License-Identifier: MIT */
/* Characters of texts that come from elsewhere. Pure. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stddef.h>

/* Bytes of the character at `text`, which is terminated; 0 when there is none: a byte that is no UTF-8, or not in its
 * shortest form, a surrogate, one past the last character. The NUL is a character of one byte. */
size_t utf8_size(const char *text);

/* Puts `?` in the place of each byte that belongs to no character. */
void utf8_mend(char *text);

#endif
