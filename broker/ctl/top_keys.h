/* SPDX-License-Identifier: MIT */
/* What a key does to `top`. Pure: how a key arrives is the business of top_view. */
#ifndef CTL_TOP_KEYS_H
#define CTL_TOP_KEYS_H

#include "broker/ctl/top_model.h"

enum top_key {
    TOP_KEY_OTHER,
    TOP_KEY_BYTE, /* of a character */
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
};
struct top_press {
    enum top_key key;
    unsigned char byte;
};

/* What is left to do: nothing but drawing; ask for what is wanted now; end; reconnect the selected server. */
enum top_action { TOP_DRAW, TOP_ASK, TOP_QUIT, TOP_RECONNECT };

enum top_action top_keys_press(struct top_model *model, struct top_press press);

#endif
