/* SPDX-License-Identifier: MIT */
/* Addresses for listening. The supervisor reads one when it checks the configuration, and opens it once to find out
 * whether it may, while the user still looks; the process that serves it opens it for good.
 *
 * A socket of IPv6 takes IPv6 only, so that an address means what it says. */
#include "common/listen_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 64, PORT_DIGITS = 5, PORT_MAX = 65535 };

static int refuse(char why[LISTEN_ADDRESS_WHY_SIZE], const char *text)
{
    snprintf(why, LISTEN_ADDRESS_WHY_SIZE,
             "\"%.60s\" is no ADDR:PORT, written as 127.0.0.1:9464, [::1]:9464 or localhost:9464", text);
    return 1;
}

static bool parse_port(const char *text, in_port_t *port)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = strtoul(text, NULL, 10);
    *port = htons((uint16_t)value);
    return digits > 0 && digits <= PORT_DIGITS && text[digits] == '\0' && value <= PORT_MAX;
}

static bool parse_host(const char *host, bool bracketed, in_port_t port, struct listen_address *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    *out = (struct listen_address){0};
    if (bracketed) {
        if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
            return false;
        memcpy(&out->storage, &v6, sizeof(v6));
        out->size = sizeof(v6);
        out->loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
        return true;
    }
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4.sin_addr) != 1)
        return false;
    memcpy(&out->storage, &v4, sizeof(v4));
    out->size = sizeof(v4);
    out->loopback = ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return true;
}

int listen_address_parse(const char *text, struct listen_address *out, char why[LISTEN_ADDRESS_WHY_SIZE])
{
    char host[INET6_ADDRSTRLEN];
    bool bracketed = text[0] == '[';
    const char *begin = text + (bracketed ? 1 : 0);
    const char *end = bracketed ? strstr(text, "]:") : strchr(text, ':');
    in_port_t port;
    if (end == NULL || (size_t)(end - begin) >= sizeof(host) || !parse_port(end + (bracketed ? 2 : 1), &port))
        return refuse(why, text);
    snprintf(host, sizeof(host), "%.*s", (int)(end - begin), begin);
    return parse_host(host, bracketed, port, out) ? 0 : refuse(why, text);
}

int listen_address_open(const struct listen_address *address, int *fd)
{
    static const int on = 1;
    int family = address->storage.ss_family;
    int opened = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0)
        return -errno;
    /* Connections of the time before, that still linger, are no reason to wait. */
    if (setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (family == AF_INET6 && setsockopt(opened, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(opened, (const struct sockaddr *)&address->storage, address->size) != 0 || listen(opened, BACKLOG) != 0) {
        int error = errno;
        close(opened);
        return -error;
    }
    *fd = opened;
    return 0;
}

const char *listen_address_text(int fd, char out[LISTEN_ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN];
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    socklen_t size = sizeof(name);
    snprintf(out, LISTEN_ADDRESS_TEXT_SIZE, "?");
    if (getsockname(fd, &name.any, &size) != 0)
        return out;
    if (name.any.sa_family == AF_INET && inet_ntop(AF_INET, &name.v4.sin_addr, host, sizeof(host)) != NULL)
        snprintf(out, LISTEN_ADDRESS_TEXT_SIZE, "%s:%" PRIu16, host, ntohs(name.v4.sin_port));
    else if (name.any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &name.v6.sin6_addr, host, sizeof(host)) != NULL)
        snprintf(out, LISTEN_ADDRESS_TEXT_SIZE, "[%s]:%" PRIu16, host, ntohs(name.v6.sin6_port));
    return out;
}
