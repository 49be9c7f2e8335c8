/* SPDX-License-Identifier: MIT */
/* Finds the broker's executables: the supervisor's children, and the worker that mcp-brokerctl runs to probe. They are
 * looked for from where the running executable is and never along $PATH, so that the parts of one build run together
 * whatever else is installed. */
#include "common/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int find_beside(const char *dir, const char *name, char path[PATH_MAX], struct problems *problems)
{
    static const char *const places[] = {"", "/../libexec/mcp-broker"};
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        int length = snprintf(path, PATH_MAX, "%s%s/%s", dir, places[i], name);
        if (length < PATH_MAX && access(path, X_OK) == 0)
            return 0;
    }
    problems_add(problems, "%s: not found in %s nor in %s%s; install it there", name, dir, dir, places[1]);
    return 1;
}

int program_find(const char *name, char path[PATH_MAX], struct problems *problems)
{
    char dir[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    if (length < 0) {
        problems_add(problems, "/proc/self/exe: %s; mount /proc", strerror(errno));
        return 1;
    }
    dir[length] = '\0';
    *strrchr(dir, '/') = '\0';
    return find_beside(dir, name, path, problems);
}
