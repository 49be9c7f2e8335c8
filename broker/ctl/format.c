/* SPDX-License-Identifier: MIT */
/* Text for a terminal. A server chooses its own name and what its errors say, and an escape sequence in one of them
 * would be carried out by the terminal of whoever looks: everything that is shown goes through format_text or
 * format_cell. Columns count characters, one cell each; wide ones are rare in ids, and only the look suffers. */
#include "broker/ctl/format.h"

#include "common/duration.h"
#include "common/utf8.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Marks without a width, that turn what stands around them or hide in it: U+200B..200F, 2028..202E, 2060..206F, FEFF. */
static bool is_invisible(const unsigned char *text)
{
    unsigned code = (text[0] & 0x0fU) << 12 | (text[1] & 0x3fU) << 6 | (text[2] & 0x3fU);

    return (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

/* Size of the character at `text`, or 0 when it is none that may be shown (a control, or no UTF-8). */
static size_t character_size(const unsigned char *text)
{
    bool is_c0 = text[0] < ' ' || text[0] == 0x7f;
    bool is_c1 = text[0] == 0xc2 && text[1] < 0xa0;

    size_t size = is_c0 || is_c1 ? 0 : utf8_size((const char *)text);

    return size == 3 && is_invisible(text) ? 0 : size;
}

static size_t step(const unsigned char *text)
{
    size_t size = character_size(text);

    return size > 0 ? size : 1;
}

static unsigned count_characters(const char *text)
{
    unsigned count = 0;

    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at += step(at))
        count++;
    return count;
}

/* At most `max` characters. */
static void write_characters(FILE *out, const char *text, unsigned max)
{
    const unsigned char *at = (const unsigned char *)text;

    for (unsigned i = 0; i < max && *at != '\0'; i++) {
        size_t size = character_size(at);
        if (size > 0)
            fwrite(at, 1, size, out);
        else
            fputc('?', out);
        at += step(at);
    }
}

void format_text(FILE *out, const char *text)
{
    if (text != NULL)
        write_characters(out, text, UINT32_MAX);
}

void format_cell(FILE *out, const char *text, unsigned width, unsigned max)
{
    const char *shown = text != NULL ? text : "";
    unsigned count = count_characters(shown);

    if (max != FORMAT_NO_CUT && count > max) {
        write_characters(out, shown, max - 1);
        fputs("…", out);
        count = max;
    } else {
        format_text(out, shown);
    }
    for (; count < width; count++)
        fputc(' ', out);
}

/* A time that no calendar has is shown as its beginning. */
static struct tm local_time(uint64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts = {.tm_mday = 1};

    (void)localtime_r(&seconds, &parts);
    return parts;
}

const char *format_clock(uint64_t ms, char out[FORMAT_TIME_SIZE])
{
    struct tm parts = local_time(ms);

    (void)strftime(out, FORMAT_TIME_SIZE, "%H:%M:%S", &parts);
    return out;
}

const char *format_time(uint64_t ms, char out[FORMAT_TIME_SIZE])
{
    struct tm parts = local_time(ms);

    out[0] = '\0'; /* what does not fit is not shown */
    (void)strftime(out, FORMAT_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts);
    return out;
}

const char *format_distance(uint64_t ms, uint64_t now_ms, char out[FORMAT_TIME_SIZE])
{
    char words[DURATION_TEXT_SIZE];
    bool past = ms < now_ms;
    uint64_t distance = past ? now_ms - ms : ms - now_ms;

    if (distance < 1000)
        snprintf(out, FORMAT_TIME_SIZE, "now");
    else
        snprintf(out, FORMAT_TIME_SIZE, "%s%.20s%s", past ? "" : "in ", duration_words(distance, words),
                 past ? " ago" : "");
    return out;
}
