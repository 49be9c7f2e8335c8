/* SPDX-License-Identifier: MIT */
/* The terminal of `top`: the home of ncurses. */
#ifndef CTL_TOP_VIEW_H
#define CTL_TOP_VIEW_H

#include "broker/ctl/top_keys.h"
#include "broker/ctl/top_page.h"
#include "common/compiler.h"

/* Takes the terminal over. 0, or 1 when it is none that can be drawn on; then nothing was changed. */
MUST_CHECK int top_view_begin(void);

/* Gives it back as it was. */
void top_view_end(void);

/* How large it is now; draws it anew. */
void top_view_resize(unsigned *width, unsigned *height);

/* Draws. 0 or -ENOMEM. */
MUST_CHECK int top_view_draw(struct top_model *model, uint64_t now_ms);

/* The next key that waits; false when there is none. */
MUST_CHECK bool top_view_press(struct top_press *press);

#endif
