/* SPDX-License-Identifier: MIT */
/* What the types of settings mean: how a value is read, what is allowed, how it is kept in struct config. Flags, the
 * configuration file and the link to a child all store through here, so that a value is checked in one place and its
 * error says the same everywhere. Errors name the value and the remedy; which flag, file or variable it came from is
 * the caller's to say. A value of TEXT is never repeated in an error, since it may hold a password. */
#include "common/setting.h"

#include "common/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Width at which a wrong value is cut when it is repeated in an error. */
#define SHOWN "\"%.60s\""

/* clang-format off */
#define SETTING_INT(field, name, short_name, value_name, default_value, least, most, text) \
    [SETTING_INDEX_##field] = {.type = SETTING_TYPE_INT, .flag = (name), .letter = (short_name), .metavar = (value_name), \
                               .default_number = (default_value), .min = (least), .max = (most), .help = (text), \
                               .offset = offsetof(struct config, field)},
#define SETTING_DURATION(field, name, default_value, least, most, text) \
    [SETTING_INDEX_##field] = {.type = SETTING_TYPE_DURATION, .flag = (name), .metavar = "DUR", \
                               .default_number = (default_value), .min = (least), .max = (most), .help = (text), \
                               .offset = offsetof(struct config, field)},
#define SETTING_TEXT(field, name, short_name, value_name, default_value, text) \
    [SETTING_INDEX_##field] = {.type = SETTING_TYPE_TEXT, .flag = (name), .letter = (short_name), .metavar = (value_name), \
                               .default_text = (default_value), .help = (text), \
                               .offset = offsetof(struct config, field)},
#define SETTING_LIST(field, name, value_name, text) \
    [SETTING_INDEX_##field] = {.type = SETTING_TYPE_LIST, .flag = (name), .metavar = (value_name), .help = (text), \
                               .offset = offsetof(struct config, field)},
#define SETTING_SWITCH(field, name, text) \
    [SETTING_INDEX_##field] = {.type = SETTING_TYPE_SWITCH, .flag = (name), .help = (text), \
                               .offset = offsetof(struct config, field)},
#define SETTING_CHOICE(field, name, value_name, default_value, all_words, text) \
    [SETTING_INDEX_##field] = {.type = SETTING_TYPE_CHOICE, .flag = (name), .metavar = (value_name), \
                               .default_text = (default_value), .words = (all_words), .help = (text), \
                               .offset = offsetof(struct config, field)},
/* clang-format on */

const struct setting setting_table[SETTING_COUNT] = {
#include "common/settings.def"
};

bool setting_is_fixed(const struct setting *setting)
{
    static const bool fixed[SETTING_COUNT] = {
#define SETTING_FIXED(field) [SETTING_INDEX_##field] = true,
#include "common/settings.def"
    };
    return fixed[setting - setting_table];
}

const struct setting *setting_find(const char *name, size_t length)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strlen(setting_table[i].flag) == length && memcmp(setting_table[i].flag, name, length) == 0)
            return &setting_table[i];
    return NULL;
}

const struct setting *setting_find_letter(char letter)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (letter != '\0' && setting_table[i].letter == letter)
            return &setting_table[i];
    return NULL;
}

static void *field_of(const struct setting *setting, struct config *config)
{
    return (char *)config + setting->offset;
}

static const void *const_field_of(const struct setting *setting, const struct config *config)
{
    return (const char *)config + setting->offset;
}

static bool is_text(const struct setting *setting)
{
    return setting->type == SETTING_TYPE_TEXT || setting->type == SETTING_TYPE_LIST;
}

static void set_number(const struct setting *setting, struct config *config, uint64_t value)
{
    if (setting->type == SETTING_TYPE_SWITCH)
        *(bool *)field_of(setting, config) = value != 0;
    else if (setting->type == SETTING_TYPE_CHOICE)
        *(unsigned *)field_of(setting, config) = (unsigned)value;
    else
        *(uint64_t *)field_of(setting, config) = value;
}

static uint64_t get_number(const struct setting *setting, const struct config *config)
{
    if (setting->type == SETTING_TYPE_SWITCH)
        return *(const bool *)const_field_of(setting, config);
    if (setting->type == SETTING_TYPE_CHOICE)
        return *(const unsigned *)const_field_of(setting, config);
    return *(const uint64_t *)const_field_of(setting, config);
}

static char *get_text(const struct setting *setting, const struct config *config)
{
    return *(char *const *)const_field_of(setting, config);
}

static void set_text(const struct setting *setting, struct config *config, char *text)
{
    *(char **)field_of(setting, config) = text;
}

bool setting_is_same(const struct setting *setting, const struct config *a, const struct config *b)
{
    if (!is_text(setting))
        return get_number(setting, a) == get_number(setting, b);
    const char *text_a = get_text(setting, a), *text_b = get_text(setting, b);
    return text_a == NULL || text_b == NULL ? text_a == text_b : strcmp(text_a, text_b) == 0;
}

void setting_swap(const struct setting *setting, struct config *a, struct config *b)
{
    if (is_text(setting)) {
        char *text = get_text(setting, a);
        set_text(setting, a, get_text(setting, b));
        set_text(setting, b, text);
    } else {
        uint64_t number = get_number(setting, a);
        set_number(setting, a, get_number(setting, b));
        set_number(setting, b, number);
    }
}

/* Index of `word` in `words`, or UINT64_MAX; *count is the number of words. */
static uint64_t find_word(const char *words, const char *word, uint64_t *count)
{
    uint64_t index = 0, found = UINT64_MAX;
    for (const char *at = words;; index++) {
        size_t length = strcspn(at, "|");
        if (strlen(word) == length && memcmp(at, word, length) == 0)
            found = index;
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    *count = index + 1;
    return found;
}

static bool parse_number(const char *text, uint64_t *number)
{
    uint64_t value = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *number = value;
    return text[0] != '\0';
}

void setting_reset(const struct setting *setting, struct config *config)
{
    uint64_t count;
    if (setting->type == SETTING_TYPE_CHOICE)
        set_number(setting, config, find_word(setting->words, setting->default_text, &count));
    else if (is_text(setting))
        set_text(setting, config, setting->default_text != NULL ? strdup(setting->default_text) : NULL);
    else
        set_number(setting, config, setting->default_number);
}

void setting_free(const struct setting *setting, struct config *config)
{
    if (!is_text(setting))
        return;
    free(get_text(setting, config));
    set_text(setting, config, NULL);
}

/* Replaces the text, or adds to the list. */
static int keep_text(const struct setting *setting, struct config *config, const char *text)
{
    const char *before = get_text(setting, config);
    char *copy;
    if (setting->type == SETTING_TYPE_TEXT || before == NULL)
        copy = strdup(text);
    else if (asprintf(&copy, "%s,%s", before, text) < 0)
        copy = NULL;
    if (copy == NULL)
        return SETTING_NO_MEMORY;
    setting_free(setting, config);
    set_text(setting, config, copy);
    return 0;
}

static int store_text(const struct setting *setting, struct config *config, const char *text, char *error)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F) {
            snprintf(error, SETTING_ERROR_SIZE, "the value must not hold control characters");
            return SETTING_WRONG;
        }
    }
    int result = keep_text(setting, config, text);
    if (result != 0)
        snprintf(error, SETTING_ERROR_SIZE, "out of memory");
    return result;
}

static int store_number(const struct setting *setting, struct config *config, const char *text, char *error)
{
    uint64_t value;
    if (parse_number(text, &value) && value >= setting->min && value <= setting->max) {
        set_number(setting, config, value);
        return 0;
    }
    snprintf(error, SETTING_ERROR_SIZE, SHOWN " is not a whole number from %" PRIu64 " to %" PRIu64, text, setting->min,
             setting->max);
    return SETTING_WRONG;
}

static int store_duration(const struct setting *setting, struct config *config, const char *text, char *error)
{
    uint64_t value;
    if (duration_parse(text, &value) == 0 && value >= setting->min && value <= setting->max) {
        set_number(setting, config, value);
        return 0;
    }
    char min[DURATION_TEXT_SIZE], max[DURATION_TEXT_SIZE];
    snprintf(error, SETTING_ERROR_SIZE, SHOWN " is not a duration from %s to %s, written as 250ms, 15s, 30m, 2h or 7d",
             text, duration_format(setting->min, min), duration_format(setting->max, max));
    return SETTING_WRONG;
}

static int store_switch(const struct setting *setting, struct config *config, const char *text, char *error)
{
    bool on = strcmp(text, "true") == 0;
    if (on || strcmp(text, "false") == 0) {
        set_number(setting, config, on);
        return 0;
    }
    snprintf(error, SETTING_ERROR_SIZE, SHOWN " is neither true nor false", text);
    return SETTING_WRONG;
}

static int store_choice(const struct setting *setting, struct config *config, const char *text, char *error)
{
    uint64_t count;
    uint64_t index = find_word(setting->words, text, &count);
    if (index < count) {
        set_number(setting, config, index);
        return 0;
    }
    snprintf(error, SETTING_ERROR_SIZE, SHOWN " is none of %s", text, setting->words);
    return SETTING_WRONG;
}

int setting_store(const struct setting *setting, struct config *config, const char *text,
                  char error[SETTING_ERROR_SIZE])
{
    static int (*const stores[])(const struct setting *, struct config *, const char *, char *) = {
        [SETTING_TYPE_INT] = store_number,    [SETTING_TYPE_DURATION] = store_duration,
        [SETTING_TYPE_TEXT] = store_text,     [SETTING_TYPE_LIST] = store_text,
        [SETTING_TYPE_SWITCH] = store_switch, [SETTING_TYPE_CHOICE] = store_choice,
    };
    return stores[setting->type](setting, config, text, error);
}

int setting_encode(const struct setting *setting, const struct config *config, struct buf *out)
{
    if (!is_text(setting))
        return buf_printf(out, "%s=%" PRIu64 "\n", setting->flag, get_number(setting, config));
    const char *text = get_text(setting, config);
    return text != NULL ? buf_printf(out, "%s=%s\n", setting->flag, text) : 0;
}

int setting_decode(const struct setting *setting, struct config *config, const char *text)
{
    if (is_text(setting)) {
        setting_free(setting, config);
        return keep_text(setting, config, text);
    }
    uint64_t value, count = 0;
    if (!parse_number(text, &value))
        return SETTING_WRONG;
    if (setting->type == SETTING_TYPE_CHOICE)
        find_word(setting->words, text, &count);
    if ((setting->type == SETTING_TYPE_CHOICE && value >= count) || (setting->type == SETTING_TYPE_SWITCH && value > 1))
        return SETTING_WRONG;
    set_number(setting, config, value);
    return 0;
}
