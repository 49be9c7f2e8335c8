/* SPDX-License-Identifier: MIT */
/* Finds the hub's and the worker's executables, once, before the first fork: a missing one is an error in the user's
 * terminal, not a crash loop.
 *
 * Environments hold secrets: the Redis URL, which comes to children over the link, and whatever the servers file names as
 * ${NAME}. That is expanded in the hub, which so gets everything but what is said to the service manager; a worker gets
 * what libraries go by, and what stdio servers are given of it (worker/stdio/stdio_env). */
#include "broker/supervisor/programs.h"

#include "common/program.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool begins_with_one_of(const char *variable, const char *const beginnings[])
{
    size_t i = 0;
    while (beginnings[i] != NULL && strncmp(variable, beginnings[i], strlen(beginnings[i])) != 0)
        i++;
    return beginnings[i] != NULL;
}

static bool is_for_hub(const char *variable)
{
    static const char *const kept_back[] = {"NOTIFY_SOCKET=", "REDIS_URL=", NULL};
    return !begins_with_one_of(variable, kept_back);
}

static bool is_for_worker(const char *variable)
{
    static const char *const given[] = {"PATH=",
                                        "HOME=",
                                        "USER=",
                                        "LOGNAME=",
                                        "SHELL=",
                                        "TMPDIR=",
                                        "TZ=",
                                        "LANG=",
                                        "LC_", /* stdio servers */
                                        "http_proxy=",
                                        "https_proxy=",
                                        "HTTPS_PROXY=",
                                        "all_proxy=",
                                        "ALL_PROXY=",
                                        "no_proxy=",
                                        "NO_PROXY=",
                                        "SSL_CERT_FILE=",
                                        "SSL_CERT_DIR=",
                                        "OPENSSL_CONF=",
                                        "RES_OPTIONS=",
                                        "LOCALDOMAIN=", /* libraries */
                                        "LD_",
                                        "GLIBC_TUNABLES=",
                                        "MALLOC_",
                                        "ASAN_OPTIONS=",
                                        "LSAN_OPTIONS=",
                                        "TSAN_OPTIONS=",
                                        "UBSAN_OPTIONS=",
                                        NULL};
    return begins_with_one_of(variable, given);
}

/* NULL without memory. */
static char **make_environment(bool (*is_given)(const char *variable))
{
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **environment = calloc(count + 1, sizeof(*environment));
    for (size_t i = 0; environment != NULL && i < count; i++)
        if (is_given(environ[i]))
            environment[kept++] = environ[i];
    return environment;
}

int programs_init(struct programs *programs, struct problems *problems)
{
    programs->hub_environment = make_environment(is_for_hub);
    programs->worker_environment = make_environment(is_for_worker);
    bool made = programs->hub_environment != NULL && programs->worker_environment != NULL;
    if (!made)
        problems_add(problems, "no memory");
    int hub = program_find("mcp-broker-hub", programs->hub, problems);
    int worker = program_find(PROGRAM_WORKER, programs->worker, problems);
    return !made || hub != 0 || worker != 0 ? 1 : 0;
}

void programs_fini(struct programs *programs)
{
    free(programs->hub_environment);
    free(programs->worker_environment);
    programs->hub_environment = programs->worker_environment = NULL;
}
