/* SPDX-License-Identifier: MIT */
/* The configuration as a value: made with its defaults, freed, and carried from the supervisor to a child as text. How a
 * user's flags and file become one is in config_read.c, what `--help` says in config_help.c; what each type of setting
 * means is in setting.c.
 *
 * A child takes what it is sent as it is: the ranges were checked where the user could be told. A key that it does not
 * know is another matter, for then its supervisor is of another version, and it must not run on half of the settings. */
#include "common/config.h"

#include "common/link.h"
#include "common/setting.h"

#include <stdlib.h>
#include <string.h>

void config_init(struct config *config)
{
    *config = (struct config){0};
    for (size_t i = 0; i < SETTING_COUNT; i++)
        setting_reset(&setting_table[i], config);
}

void config_fini(struct config *config)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        setting_free(&setting_table[i], config);
}

void config_keep_fixed(struct config *now, struct config *next, void (*on_waiting)(void *user, const char *flag),
                       void *user)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        char flag[64];
        if (!setting_is_fixed(setting) || setting_is_same(setting, now, next))
            continue;
        setting_swap(setting, now, next);
        snprintf(flag, sizeof(flag), "--%s", setting->flag);
        on_waiting(user, flag);
    }
}

char *config_encode(const struct config *config)
{
    struct buf text;
    buf_init(&text, LINK_MESSAGE_MAX);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_encode(&setting_table[i], config, &text) != 0) {
            buf_fini(&text);
            return NULL;
        }
    }
    return (char *)buf_take(&text);
}

int config_decode(struct config *config, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return 1;
    int result = 0;
    char *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL && result == 0; line = strtok_r(NULL, "\n", &rest)) {
        size_t length = strcspn(line, "=");
        const struct setting *setting = setting_find(line, length);
        if (setting == NULL || line[length] != '=' || setting_decode(setting, config, line + length + 1) != 0)
            result = 1;
    }
    free(copy);
    return result;
}
