/* SPDX-License-Identifier: MIT */
/* A resolver for tests, loaded before the C library's: names under `.test` are 127.0.0.1, but the first label says how
 * late that is known: "after-700.test" after 700 ms, "never.test" not in this life. The address of "asks-4000.test" is what
 * port 4000 of this machine says, whenever it is asked: a name server that changes its mind. All other names are looked up
 * as ever. What waits here is a thread of libcurl's, as with a real name server that is slow. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESS_SIZE = 64 };

typedef int (*resolver)(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

static void wait_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

/* The text that the port sends before it closes; empty where nobody listens, which is no address. */
static void ask_port(const char *port, char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t size = 0;
    ssize_t more = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        while ((more = recv(fd, address + size, ADDRESS_SIZE - 1 - size, 0)) > 0)
            size += (size_t)more;
    address[size] = '\0';
    if (fd >= 0)
        close(fd);
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
    char address[ADDRESS_SIZE] = "127.0.0.1";
    if (strncmp(node, "asks-", strlen("asks-")) == 0)
        ask_port(node + strlen("asks-"), address);
    return original(address, service, hints, result);
}
