/* SPDX-License-Identifier: MIT */
/* The kernel shows the bytes that execve() put on the stack, and goes on showing them whatever a process does with its
 * variables: to be hidden they must be overwritten. `environ` then points to copies. A command line is wanted by people
 * who look at processes, so only what is secret in it is covered: what stands between `://` and `@`.
 *
 * A process that cannot be dumped belongs to root in /proc, which also keeps its own user out: one compromised service
 * of that user reads nothing here. */
#include "common/conceal.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Copies of texts, ended by NULL; NULL without memory. */
static char **copy_texts(char *const texts[], size_t count)
{
    char **copies = calloc(count + 1, sizeof(*copies));
    for (size_t i = 0; copies != NULL && i < count; i++) {
        copies[i] = strdup(texts[i]);
        if (copies[i] == NULL) {
            while (i-- > 0)
                free(copies[i]);
            free(copies);
            return NULL;
        }
    }
    return copies;
}

/* Reachable for as long as the process lives: `used`, or the compiler would leave out what nobody reads. */
static char **variables __attribute__((used)), **arguments __attribute__((used));

void conceal_environment(void)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    variables = copy_texts(environ, count);
    if (variables == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        explicit_bzero(environ[i], strlen(environ[i]));
    environ = variables;
}

char **conceal_arguments(int argc, char *argv[])
{
    arguments = copy_texts(argv, (size_t)argc);
    for (int i = 1; arguments != NULL && i < argc; i++) {
        char *start = strstr(argv[i], "://");
        char *end = start != NULL ? strrchr(start, '@') : NULL;
        if (end != NULL)
            memset(start + 3, '*', (size_t)(end - start - 3));
    }
    return arguments;
}

void conceal_memory(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        log_warn("conceal.memory", LOG_TEXT("error", strerror(errno)));
    if (setrlimit(RLIMIT_CORE, &none) != 0) /* a second bolt, which a service manager may have forbidden to touch */
        log_debug("conceal.core_limit", LOG_TEXT("error", strerror(errno)));
}
