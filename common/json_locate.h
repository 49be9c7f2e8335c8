/* SPDX-License-Identifier: MIT */
/* Where something stands in a JSON text: jansson's values don't know their lines, and an error message must. Used only
 * when there is an error to tell. Pure. */
#ifndef COMMON_JSON_LOCATE_H
#define COMMON_JSON_LOCATE_H

#include <stddef.h>

/* The line (from 1) of the key that `path` leads to: names of objects' members, and decimal numbers for arrays' items.
 * When the path ends in nothing, the line of the last part that is there. The text must be valid JSON; for anything
 * else the number means nothing, but nothing outside of the text is read. */
unsigned json_locate(const char *text, size_t size, const char *const *path, size_t depth);

#endif
