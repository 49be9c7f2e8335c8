/* SPDX-License-Identifier: MIT */
/* Finds the hub's and the worker's executables, once, before the first fork: a missing one is an error in the user's
 * terminal, not a crash loop. They are looked for from where the running executable is and never along $PATH, so that
 * the parts of one build run together whatever else is installed.
 *
 * Children get the environment but for two variables: what is said to the service manager is said here, and the Redis
 * URL, which may hold a password, comes to them over the link. */
#include "broker/supervisor/programs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int find(const char *dir, const char *name, char path[PATH_MAX], struct problems *problems)
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

static bool is_kept_back(const char *variable)
{
    return strncmp(variable, "NOTIFY_SOCKET=", 14) == 0 || strncmp(variable, "REDIS_URL=", 10) == 0;
}

/* NULL without memory. */
static char **make_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **environment = calloc(count + 1, sizeof(*environment));
    for (size_t i = 0; environment != NULL && i < count; i++)
        if (!is_kept_back(environ[i]))
            environment[kept++] = environ[i];
    return environment;
}

int programs_init(struct programs *programs, struct problems *problems)
{
    char dir[PATH_MAX];
    programs->environment = make_environment();
    ssize_t length = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    if (length < 0 || programs->environment == NULL) {
        problems_add(problems, "/proc/self/exe: %s; mount /proc", strerror(errno));
        return 1;
    }
    dir[length] = '\0';
    *strrchr(dir, '/') = '\0';
    int hub = find(dir, "mcp-broker-hub", programs->hub, problems);
    int worker = find(dir, "mcp-broker-worker", programs->worker, problems);
    return hub != 0 || worker != 0 ? 1 : 0;
}

void programs_fini(struct programs *programs)
{
    free(programs->environment);
    programs->environment = NULL;
}
