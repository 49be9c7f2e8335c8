/* SPDX-License-Identifier: MIT */
/* What is UTF-8 and what only looks like it, for those who show a text (log, terminal) and for those who pass it on as
 * JSON, which knows nothing else: one byte that does not belong would make all of a message unreadable. */
#include "common/utf8.h"

#include <stdbool.h>

size_t utf8_size(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (size == 1)
        return 1;
    if (at[0] < 0xC2 || at[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xC0) != 0x80) /* the NUL, too */
            return 0;
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xED && at[1] >= 0xA0;
    bool past_end = at[0] == 0xF4 && at[1] >= 0x90;
    return overlong || surrogate || past_end ? 0 : size;
}

void utf8_mend(char *text)
{
    while (*text != '\0') {
        size_t size = utf8_size(text);
        if (size == 0)
            *text = '?';
        text += size > 0 ? size : 1;
    }
}
