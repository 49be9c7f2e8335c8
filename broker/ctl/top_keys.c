/* SPDX-License-Identifier: MIT */
/* Keys, by what is on the screen. Only `y` right after `r` changes anything in the broker, and only for the server that the
 * question named; any other key is a no. */
#include "broker/ctl/top_keys.h"

#include <string.h>

static enum top_action next_order(struct top_model *model, int by)
{
    int count = ROW_ORDER_COUNT - 1;
    int index = ((int)model->order - 1 + by + count) % count;

    model->order = (enum row_order)(index + 1);
    model->selected = model->first = 0;
    return TOP_ASK;
}

/* Any, then each state in turn. */
static enum top_action next_state(struct top_model *model)
{
    model->state = model->state < 0 ? STATE_NONE + 1 : model->state + 1 < STATE_COUNT ? model->state + 1 : -1;
    model->selected = model->first = 0;
    return TOP_ASK;
}

static enum top_action set_text(struct top_model *model, const char *text)
{
    memmove(model->text, text, strlen(text) + 1);
    model->mode = TOP_LIST;
    model->selected = model->first = 0;
    return TOP_ASK;
}

static bool has_selection(const struct top_model *model)
{
    return model->id[0] != '\0' && json_array_size(model->servers) > 0;
}

static enum top_action open_server(struct top_model *model)
{
    if (!has_selection(model))
        return TOP_DRAW;
    model->mode = TOP_SERVER;
    model->scroll = 0;
    json_decref(model->server);
    model->server = NULL;
    return TOP_ASK;
}

static enum top_action confirm(struct top_model *model)
{
    model->before = model->mode;
    model->mode = TOP_CONFIRM;
    return TOP_DRAW;
}

static enum top_action move(struct top_model *model, enum top_key key)
{
    long page = (long)top_model_server_lines(model);
    const long all = (long)json_array_size(model->servers);
    const long by[] = {[TOP_KEY_UP] = -1,          [TOP_KEY_DOWN] = 1,    [TOP_KEY_PAGE_UP] = -page,
                       [TOP_KEY_PAGE_DOWN] = page, [TOP_KEY_HOME] = -all, [TOP_KEY_END] = all};

    top_model_move(model, by[key]);
    return TOP_DRAW;
}

static enum top_action list_character(struct top_model *model, unsigned char byte)
{
    switch (byte) {
    case 'q':
        return TOP_QUIT;
    case 's':
        return next_order(model, 1);
    case 'S':
        return next_order(model, -1);
    case 't':
        return next_state(model);
    case '/':
        memcpy(model->typed, model->text, sizeof model->typed);
        model->mode = TOP_TYPING;
        return TOP_DRAW;
    case 'r':
        return has_selection(model) ? confirm(model) : TOP_DRAW;
    case 'h':
    case '?':
        model->mode = TOP_HELP;
        return TOP_DRAW;
    case 'k':
        return move(model, TOP_KEY_UP);
    case 'j':
        return move(model, TOP_KEY_DOWN);
    default:
        return TOP_DRAW;
    }
}

static enum top_action press_in_list(struct top_model *model, struct top_press press)
{
    switch (press.key) {
    case TOP_KEY_BYTE:
        return list_character(model, press.byte);
    case TOP_KEY_ENTER:
        return open_server(model);
    case TOP_KEY_ESCAPE:
        model->state = -1;
        return set_text(model, "");
    case TOP_KEY_UP:
    case TOP_KEY_DOWN:
    case TOP_KEY_PAGE_UP:
    case TOP_KEY_PAGE_DOWN:
    case TOP_KEY_HOME:
    case TOP_KEY_END:
        return move(model, press.key);
    case TOP_KEY_BACKSPACE:
    case TOP_KEY_OTHER:
        break;
    }
    return TOP_DRAW;
}

static enum top_action press_in_server(struct top_model *model, struct top_press press)
{
    unsigned char byte = press.key == TOP_KEY_BYTE ? press.byte : '\0';

    if (press.key == TOP_KEY_UP || byte == 'k')
        model->scroll -= model->scroll > 0 ? 1 : 0;
    else if (press.key == TOP_KEY_DOWN || byte == 'j')
        model->scroll++; /* the page knows where the end is */
    else if (press.key == TOP_KEY_HOME)
        model->scroll = 0;
    else if (byte == 'r')
        return confirm(model);
    else if (press.key == TOP_KEY_ESCAPE || press.key == TOP_KEY_ENTER || press.key == TOP_KEY_BACKSPACE || byte == 'q')
        model->mode = TOP_LIST;
    return TOP_DRAW;
}

static enum top_action press_while_typing(struct top_model *model, struct top_press press)
{
    size_t length = strlen(model->typed);

    if (press.key == TOP_KEY_ENTER)
        return set_text(model, model->typed);
    if (press.key == TOP_KEY_ESCAPE) {
        model->mode = TOP_LIST;
    } else if (press.key == TOP_KEY_BYTE && press.byte >= ' ' && length + 1 < sizeof model->typed) {
        model->typed[length] = (char)press.byte;
        model->typed[length + 1] = '\0';
    } else if (press.key == TOP_KEY_BACKSPACE && length > 0) {
        while (length > 1 && ((unsigned char)model->typed[length - 1] & 0xc0) == 0x80)
            length--; /* a character has several bytes */
        model->typed[length - 1] = '\0';
    }
    return TOP_DRAW;
}

enum top_action top_keys_press(struct top_model *model, struct top_press press)
{
    switch (model->mode) {
    case TOP_LIST:
        return press_in_list(model, press);
    case TOP_SERVER:
        return press_in_server(model, press);
    case TOP_TYPING:
        return press_while_typing(model, press);
    case TOP_CONFIRM:
        model->mode = model->before;
        return press.key == TOP_KEY_BYTE && press.byte == 'y' ? TOP_RECONNECT : TOP_DRAW;
    case TOP_HELP:
        model->mode = TOP_LIST;
        break;
    }
    return TOP_DRAW;
}
