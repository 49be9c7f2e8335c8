/* SPDX-License-Identifier: MIT */
/* What ncurses is used for: lines at places, keys, and a terminal that is given back as it was. ncurses keeps its state in
 * globals, so there is one view in a process.
 *
 * Nothing is drawn but lines of top_page, which are fit for a terminal. Signals are the loop's business: Ctrl-C stays a
 * signal, a new size is told by who hears of it. */
#include "broker/ctl/top_view.h"

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KEY_ESCAPE_BYTE = 27, KEY_DELETE_BYTE = 127, ESCAPE_MS = 25 };
enum { PAIR_BAD = 1, PAIR_WARN };

/* Lines are UTF-8, as all that mcp-brokerctl prints; without such a locale ncurses would show their bytes one by one. */
static void choose_locale(void)
{
    (void)setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

int top_view_begin(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return 1;
    choose_locale();
    if (newterm(NULL, stdout, stdin) == NULL)
        return 1;
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    curs_set(0);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(PAIR_BAD, COLOR_RED, -1);
        init_pair(PAIR_WARN, COLOR_YELLOW, -1);
    }
    return 0;
}

void top_view_end(void)
{
    curs_set(1);
    endwin();
}

void top_view_resize(unsigned *width, unsigned *height)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(curscr, TRUE);
    *width = (unsigned)getmaxx(stdscr);
    *height = (unsigned)getmaxy(stdscr);
}

static chtype attributes(enum top_look look)
{
    switch (look) {
    case TOP_STRONG:
        return A_BOLD;
    case TOP_HEAD:
        return A_UNDERLINE | A_BOLD;
    case TOP_SELECTED:
        return A_REVERSE;
    case TOP_BAD:
        return A_BOLD | (chtype)COLOR_PAIR(PAIR_BAD);
    case TOP_WARN:
        return (chtype)COLOR_PAIR(PAIR_WARN);
    case TOP_FAINT:
        return A_DIM;
    case TOP_PLAIN:
        break;
    }
    return A_NORMAL;
}

static void put(void *user, unsigned line, enum top_look look, const char *text)
{
    (void)user;
    attrset((int)attributes(look));
    mvaddstr((int)line, 0, text); /* what is too wide in cells goes to the next line, which is drawn after it */
    if (look == TOP_SELECTED)
        for (int column = getcurx(stdscr); column > 0 && column < COLS; column++)
            addch(' ');
}

int top_view_draw(struct top_model *model, uint64_t now_ms)
{
    erase();
    int result = top_page_draw(model, now_ms, put, NULL);
    refresh();
    return result;
}

static struct top_press press_of(int key)
{
    static const struct {
        int from;
        enum top_key to;
    } keys[] = {
        {KEY_UP, TOP_KEY_UP},
        {KEY_DOWN, TOP_KEY_DOWN},
        {KEY_PPAGE, TOP_KEY_PAGE_UP},
        {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},
        {KEY_END, TOP_KEY_END},
        {KEY_ENTER, TOP_KEY_ENTER},
        {'\n', TOP_KEY_ENTER},
        {'\r', TOP_KEY_ENTER},
        {KEY_ESCAPE_BYTE, TOP_KEY_ESCAPE},
        {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
        {KEY_DELETE_BYTE, TOP_KEY_BACKSPACE},
        {'\b', TOP_KEY_BACKSPACE},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        if (keys[i].from == key)
            return (struct top_press){.key = keys[i].to};
    if (key > 0 && key <= UINT8_MAX)
        return (struct top_press){.key = TOP_KEY_BYTE, .byte = (unsigned char)key};
    return (struct top_press){.key = TOP_KEY_OTHER};
}

bool top_view_press(struct top_press *press)
{
    int key = getch();

    if (key == ERR)
        return false;
    *press = press_of(key);
    return true;
}
