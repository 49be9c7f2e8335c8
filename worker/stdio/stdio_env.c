/* SPDX-License-Identifier: MIT */
/* The broker's own environment holds secrets: those that ${NAME} in the servers file stands for, and whatever else its
 * operator gave it. A server gets none of them that its definition does not name. What is let through is what programs
 * take for granted: where programs and homes are, who runs them, language and time zone. */
#include "worker/stdio/stdio_env.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_name(const char *variable, const char *name)
{
    size_t length = strlen(name);
    return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

static bool is_inherited(const struct server_def *def, const char *variable)
{
    static const char *const names[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG"};
    bool found = strncmp(variable, "LC_", 3) == 0;
    for (size_t i = 0; i < ARRAY_LENGTH(names) && !found; i++)
        found = has_name(variable, names[i]);
    for (size_t i = 0; i < def->extras->env_count && found; i++)
        found = !has_name(variable, def->extras->env[i].name);
    return found;
}

char **stdio_env_create(const struct server_def *def, char *const *inherited)
{
    size_t count = def->extras->env_count, used = 0;
    for (size_t i = 0; inherited[i] != NULL; i++)
        count += is_inherited(def, inherited[i]) ? 1 : 0;
    char **env = calloc(count + 1, sizeof(*env));
    if (env == NULL)
        return NULL;
    for (size_t i = 0; inherited[i] != NULL; i++)
        if (is_inherited(def, inherited[i]) && (env[used++] = strdup(inherited[i])) == NULL)
            goto fail;
    for (size_t i = 0; i < def->extras->env_count; i++) {
        if (asprintf(&env[used], "%s=%s", def->extras->env[i].name, def->extras->env[i].value) < 0) {
            env[used] = NULL;
            goto fail;
        }
        used++;
    }
    return env;

fail:
    stdio_env_destroy(env);
    return NULL;
}

void stdio_env_destroy(char **env)
{
    if (env == NULL)
        return;
    for (size_t i = 0; env[i] != NULL; i++)
        free(env[i]);
    free(env);
}
