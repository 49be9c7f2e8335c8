/* SPDX-License-Identifier: MIT */
/* Reading and writing of durations. Flags, the configuration file, `--help` and the command line's tables all go through
 * here, so that a value shown can be typed back. A number and one unit, nothing else: no fractions, no sums, no signs,
 * because those are where two readers come to differ. */
#include "common/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_DAY UINT64_C(86400000)
#define LONGEST_MS (10000 * MS_PER_DAY)

/* Largest first: the order in which a duration is taken apart. */
static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"d", MS_PER_DAY}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

int duration_parse(const char *text, uint64_t *ms)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > LONGEST_MS)
            return 1;
    }
    if (at == text)
        return 1;
    if (*at == '\0' && number == 0) {
        *ms = 0;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        if (strcmp(at, units[i].name) != 0)
            continue;
        if (number > LONGEST_MS / units[i].ms)
            return 1;
        *ms = number * units[i].ms;
        return 0;
    }
    return 1;
}

const char *duration_format(uint64_t ms, char out[DURATION_TEXT_SIZE])
{
    size_t unit = 0;
    while (ms % units[unit].ms != 0)
        unit++;
    if (ms == 0)
        snprintf(out, DURATION_TEXT_SIZE, "0");
    else
        snprintf(out, DURATION_TEXT_SIZE, "%" PRIu64 "%s", ms / units[unit].ms, units[unit].name);
    return out;
}

const char *duration_words(uint64_t ms, char out[DURATION_TEXT_SIZE])
{
    size_t unit = 0;
    while (unit + 1 < ARRAY_LENGTH(units) && ms < units[unit].ms)
        unit++;
    int length = snprintf(out, DURATION_TEXT_SIZE, "%" PRIu64 "%s", ms / units[unit].ms, units[unit].name);
    uint64_t rest = ms % units[unit].ms;
    /* Milliseconds beside seconds would only flicker. */
    if (unit + 2 < ARRAY_LENGTH(units) && rest >= units[unit + 1].ms)
        snprintf(out + length, DURATION_TEXT_SIZE - (size_t)length, " %" PRIu64 "%s", rest / units[unit + 1].ms,
                 units[unit + 1].name);
    return out;
}
