/* SPDX-License-Identifier: MIT */
/* Standard output: how wide it is, and JSON on it. */
#ifndef CTL_SCREEN_H
#define CTL_SCREEN_H

#include "broker/ctl/exit_code.h"
#include "common/compiler.h"

#include <jansson.h>

/* Columns of the terminal; 0 when it is none (then nothing is cut). */
unsigned screen_width(void);

/* The value and a line break, indented on a terminal. */
void screen_json(const json_t *value);

/* One line, whatever it goes to. */
void screen_json_line(const json_t *value);

/* Flushes. `code`; or EXIT_CODE_REFUSED when not all could be written, which was told. */
MUST_CHECK enum exit_code screen_end(enum exit_code code);

#endif
