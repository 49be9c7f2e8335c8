/* SPDX-License-Identifier: MIT */
/* The screen of `top` as lines of text. Pure. */
#ifndef CTL_TOP_PAGE_H
#define CTL_TOP_PAGE_H

#include "broker/ctl/top_model.h"
#include "common/compiler.h"

/* How a line looks. */
enum top_look { TOP_PLAIN, TOP_STRONG, TOP_HEAD, TOP_SELECTED, TOP_BAD, TOP_WARN, TOP_FAINT };

/* Gives each line of the screen to `put`, from the first to the last: no control character is in it, and no more
 * characters than the screen is wide. May draw in what keys could not know: how far an open server scrolls. 0, or -ENOMEM
 * when lines are missing. */
MUST_CHECK int top_page_draw(struct top_model *model, uint64_t now_ms,
                             void (*put)(void *user, unsigned line, enum top_look look, const char *text), void *user);

#endif
