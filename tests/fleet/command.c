/* SPDX-License-Identifier: MIT */
/* Reads command lines. The grammar is one table: a verb, and what follows it. Every process of the fleet reads the same
 * line by itself, so that there is no second form of a command that could differ from it. */
#include "tests/fleet/command.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum arguments { NONE, RANGE, RANGE_RATE, RANGE_SWITCH };

static const struct {
    const char *word;
    enum arguments arguments;
} VERBS[] = {
    [COMMAND_CHANGE] = {"change", RANGE_RATE}, [COMMAND_QUIET] = {"quiet", NONE},
    [COMMAND_DROP] = {"drop", RANGE},          [COMMAND_END] = {"end", RANGE},
    [COMMAND_RESET] = {"reset", RANGE},        [COMMAND_REFUSE] = {"refuse", RANGE_SWITCH},
    [COMMAND_STALL] = {"stall", RANGE_SWITCH}, [COMMAND_FORGET] = {"forget", RANGE},
    [COMMAND_REPORT] = {"report", NONE},       [COMMAND_QUIT] = {"quit", NONE},
};

static bool read_range(const char *text, uint32_t server_count, struct command *out)
{
    char *end;
    if (strcmp(text, "all") == 0) {
        out->first = 0;
        out->last = server_count - 1;
        return true;
    }
    unsigned long first = strtoul(text, &end, 10), last = first;
    if (*end == '-')
        last = strtoul(end + 1, &end, 10);
    out->first = (uint32_t)first;
    out->last = (uint32_t)last;
    return end != text && *end == '\0' && first <= last && last < server_count;
}

static bool read_rate(char *words[4], size_t count, struct command *out)
{
    double *const numbers[] = {&out->per_second, &out->seconds};
    for (size_t i = 2; i < count; i++) {
        char *end;
        *numbers[i - 2] = strtod(words[i], &end);
        if (*end != '\0' || !isfinite(*numbers[i - 2]) || *numbers[i - 2] <= 0)
            return false;
    }
    return true;
}

static const char *read_arguments(enum arguments arguments, char *words[4], size_t count, uint32_t server_count,
                                  struct command *out)
{
    if (arguments == NONE)
        return count == 1 ? NULL : "nothing follows this word";
    if (count < 2 || !read_range(words[1], server_count, out))
        return "a range of servers is wanted: N, FIRST-LAST or all";
    if (arguments == RANGE)
        return count == 2 ? NULL : "nothing follows the range";
    if (arguments == RANGE_RATE)
        return read_rate(words, count, out) ? NULL : "changes a second and a time in seconds are positive numbers";
    out->on = count == 3 && strcmp(words[2], "on") == 0;
    return out->on || (count == 3 && strcmp(words[2], "off") == 0) ? NULL : "on or off is wanted";
}

const char *command_read(const char *line, uint32_t server_count, struct command *out)
{
    char text[COMMAND_SIZE_MAX];
    if ((size_t)snprintf(text, sizeof(text), "%s", line) >= sizeof(text))
        return "the line is too long";
    char *words[4], *rest = text, *word;
    size_t count = 0;
    while ((word = strtok_r(rest, " \t\r\n", &rest)) != NULL) {
        if (count == ARRAY_LENGTH(words))
            return "too many words";
        words[count++] = word;
    }
    for (size_t i = 0; count > 0 && i < ARRAY_LENGTH(VERBS); i++) {
        if (strcmp(words[0], VERBS[i].word) != 0)
            continue;
        *out = (struct command){.verb = (enum command_verb)i};
        return read_arguments(VERBS[i].arguments, words, count, server_count, out);
    }
    return "no such command";
}
