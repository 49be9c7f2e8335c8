/* SPDX-License-Identifier: MIT */
/* Where Redis is:
 *
 *   redis://[[user]:password@]host[:port][/db]                            one server
 *   rediss://…                                                            the same over TLS, where it is built in
 *   unix://[[user]:password@]/path[?db=N]                                 one server of this machine
 *   redis+sentinel://[[user]:password@]host[:port],host[:port]…/name[/db] whichever server the sentinels call the master
 *
 * User, password, path and name are percent-decoded; an IPv6 address stands in brackets. Pure. */
#ifndef COMMON_REDIS_URL_H
#define COMMON_REDIS_URL_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REDIS_URL_TEXT_MAX = 4096, REDIS_URL_WHY_SIZE = 160, REDIS_URL_SENTINELS_MAX = 16 };

struct redis_address {
    char *host;
    uint16_t port;
};

/* Owned texts; NULL where the URL has none. */
struct redis_url {
    struct redis_address server; /* or `path`, or sentinels */
    char *path;
    struct redis_address sentinels[REDIS_URL_SENTINELS_MAX];
    size_t sentinel_count;
    char *master; /* its name among the sentinels */
    char *user;
    char *password;
    unsigned database;
    bool tls;
};

/* 0; 1 when it is none, `why` then says so without showing the URL, which may hold a password; or -ENOMEM. */
MUST_CHECK int redis_url_parse(const char *text, struct redis_url *out, char why[REDIS_URL_WHY_SIZE]);
void redis_url_fini(struct redis_url *url);

#endif
