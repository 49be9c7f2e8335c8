/* SPDX-License-Identifier: MIT */
/* Durations as people write them: `250ms`, `15s`, `30m`, `2h`, `7d`; `0` needs no unit. Pure. */
#ifndef COMMON_DURATION_H
#define COMMON_DURATION_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

enum { DURATION_TEXT_SIZE = 32 };

/* Reads `text` whole. 0, or 1 when it is no duration (or passes 10,000 days); *ms is written only on success. */
MUST_CHECK int duration_parse(const char *text, uint64_t *ms);

/* Writes it exactly, so that duration_parse gives it back: 90000 is `90s`. Returns `out`. */
const char *duration_format(uint64_t ms, char out[DURATION_TEXT_SIZE]);

/* Writes it for a person, two units at most: `3d 4h`, `12s`, `350ms`. Returns `out`. */
const char *duration_words(uint64_t ms, char out[DURATION_TEXT_SIZE]);

#endif
