/* SPDX-License-Identifier: MIT */
/* What a stdio server writes, as lines: messages on its standard output, where a line that is too long breaks the
 * protocol, and whatever it likes on its standard error, where the beginning of a long line says enough. So the policy
 * is chosen with the maximum.
 *
 * One byte more than the maximum is collected: it may be the CR of the line's end, which does not count. */
#include "worker/stdio/lines.h"

#include <string.h>

void lines_init(struct lines *lines, size_t max, enum lines_policy policy)
{
    *lines = (struct lines){.max = max, .policy = policy};
    buf_init(&lines->part, max + 1);
}

void lines_fini(struct lines *lines)
{
    buf_fini(&lines->part);
}

/* 0 or an enum lines_outcome. */
static int collect(struct lines *lines, const uint8_t *bytes, size_t size)
{
    size_t room = lines->part.max - lines->part.size;
    if (size > room && lines->policy == LINES_REFUSE)
        return LINES_TOO_LONG;
    if (size > room)
        size = room;
    return size == 0 || buf_append(&lines->part, bytes, size) == 0 ? 0 : LINES_NO_MEMORY;
}

/* Gives what has been collected. 0 or an enum lines_outcome. */
static int deliver(struct lines *lines, lines_handler on_line, void *user)
{
    size_t size = lines->part.size;
    if (size > 0 && lines->part.bytes[size - 1] == '\r')
        size--;
    if (size > lines->max && lines->policy == LINES_REFUSE)
        return LINES_TOO_LONG;
    if (size > lines->max)
        size = lines->max;
    if (size < lines->part.size)
        lines->part.bytes[size] = '\0';
    bool go_on = on_line(user, buf_text(&lines->part), size);
    buf_fini(&lines->part);
    return go_on ? 0 : LINES_STOPPED;
}

int lines_feed(struct lines *lines, const void *bytes, size_t size, lines_handler on_line, void *user)
{
    const uint8_t *at = bytes, *limit = at + size;
    while (at < limit) {
        const uint8_t *end = memchr(at, '\n', (size_t)(limit - at));
        int outcome = collect(lines, at, (size_t)((end != NULL ? end : limit) - at));
        if (outcome == 0 && end != NULL)
            outcome = deliver(lines, on_line, user);
        if (outcome != 0 || end == NULL)
            return outcome;
        at = end + 1;
    }
    return 0;
}

int lines_end(struct lines *lines, lines_handler on_line, void *user)
{
    return lines->part.size > 0 ? deliver(lines, on_line, user) : 0;
}
