/* SPDX-License-Identifier: MIT */
/* A resolver for tests, loaded before the C library's: names under `.test` are 127.0.0.1, but the first label says how
 * late that is known: "after-700.test" after 700 ms, "never.test" not in this life. All other names are looked up as ever.
 * What waits here is a thread of libcurl's, as with a real name server that is slow. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int (*resolver)(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

static void wait_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict result)
{
    resolver original;
    *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
    size_t size = node != NULL ? strlen(node) : 0;
    if (size < strlen(".test") || strcmp(node + size - strlen(".test"), ".test") != 0)
        return original(node, service, hints, result);
    while (strcmp(node, "never.test") == 0)
        wait_ms(1000);
    if (strncmp(node, "after-", strlen("after-")) == 0)
        wait_ms(strtol(node + strlen("after-"), NULL, 10));
    return original("127.0.0.1", service, hints, result);
}
