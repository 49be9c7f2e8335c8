/* SPDX-License-Identifier: MIT */
/* Finds the hub's and the worker's executables, once, before the first fork: a missing one is an error in the user's
 * terminal, not a crash loop.
 *
 * Children get the environment but for two variables: what is said to the service manager is said here, and the Redis
 * URL, which may hold a password, comes to them over the link. */
#include "broker/supervisor/programs.h"

#include "common/program.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    programs->environment = make_environment();
    if (programs->environment == NULL)
        problems_add(problems, "no memory");
    int hub = program_find("mcp-broker-hub", programs->hub, problems);
    int worker = program_find(PROGRAM_WORKER, programs->worker, problems);
    return programs->environment == NULL || hub != 0 || worker != 0 ? 1 : 0;
}

void programs_fini(struct programs *programs)
{
    free(programs->environment);
    programs->environment = NULL;
}
