/* SPDX-License-Identifier: MIT */
/* The small parts of text output: cells of a column, times, numbers. Texts come from servers and configuration, so
 * control characters never pass. Writes to the stream given and does nothing else. */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include <stdint.h>
#include <stdio.h>

enum { FORMAT_TIME_SIZE = 32, FORMAT_NO_CUT = 0 };

/* The text with `?` for each byte of a control character, of an invisible one, and of what is no UTF-8. NULL is "". */
void format_text(FILE *out, const char *text);

/* The same, cut to `max` characters (the last being `…`; FORMAT_NO_CUT: not at all) and then filled up with blanks to
 * `width`. */
void format_cell(FILE *out, const char *text, unsigned width, unsigned max);

/* "12:00:01" and "2026-01-31 12:00:01", of the local time zone. Return `out`. */
const char *format_clock(uint64_t ms, char out[FORMAT_TIME_SIZE]);
const char *format_time(uint64_t ms, char out[FORMAT_TIME_SIZE]);

/* "3d 4h ago", "in 12s", "now". Returns `out`. */
const char *format_distance(uint64_t ms, uint64_t now_ms, char out[FORMAT_TIME_SIZE]);

#endif
