/* SPDX-License-Identifier: MIT */
/* Where the run directory and the state directory are when no flag says so. The supervisor and the command line both ask
 * here, so that `mcp-brokerctl status` finds the broker that was started without flags. systemd's variables come first
 * (a unit's RuntimeDirectory= is the one place the service may write), then the system's directories for root, then
 * the user's. Nothing is created or checked here: see the supervisor's run_dir. */
#include "common/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY_NAME "mcp-broker"

/* The variable's value; NULL when unset or empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* systemd sets a colon-separated list: the first of it. 0, -ENOENT when the variable is not set. */
static int first_of_list(char *out, size_t size, const char *variable)
{
    const char *list = environment(variable);
    if (list == NULL)
        return -ENOENT;
    size_t length = strcspn(list, ":");
    if (length >= size)
        return -ENAMETOOLONG;
    memcpy(out, list, length);
    out[length] = '\0';
    return 0;
}

/* "$variable<below>/mcp-broker", -ENOENT when the variable is not set. */
static int under(char *out, size_t size, const char *variable, const char *below)
{
    const char *dir = environment(variable);
    if (dir == NULL)
        return -ENOENT;
    int length = snprintf(out, size, "%s%s/%s", dir, below, DIRECTORY_NAME);
    return length >= 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}

int paths_join(char *out, size_t size, const char *dir, const char *name)
{
    int length = snprintf(out, size, "%s/%s", dir, name);
    return length >= 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}

int paths_default_run_dir(char *out, size_t size, bool is_system)
{
    int result = first_of_list(out, size, "RUNTIME_DIRECTORY");
    if (result != -ENOENT)
        return result;
    if (is_system)
        return paths_join(out, size, "/run", DIRECTORY_NAME);
    return under(out, size, "XDG_RUNTIME_DIR", "");
}

int paths_default_state_dir(char *out, size_t size, bool is_system)
{
    int result = first_of_list(out, size, "STATE_DIRECTORY");
    if (result != -ENOENT)
        return result;
    if (is_system)
        return paths_join(out, size, "/var/lib", DIRECTORY_NAME);
    result = under(out, size, "XDG_STATE_HOME", "");
    return result != -ENOENT ? result : under(out, size, "HOME", "/.local/state");
}
