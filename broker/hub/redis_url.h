/* SPDX-License-Identifier: MIT */
/* Where Redis is: redis://[[user]:password@]host[:port][/db] or unix://[[user]:password@]/path[?db=N]. User, password
 * and path are percent-decoded; an IPv6 address stands in brackets. Pure. */
#ifndef HUB_REDIS_URL_H
#define HUB_REDIS_URL_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

enum { REDIS_URL_TEXT_MAX = 4096, REDIS_URL_WHY_SIZE = 160 };

/* Owned texts; NULL where the URL has none. */
struct redis_url {
    char *host; /* or `path` */
    char *path;
    char *user;
    char *password;
    uint16_t port;
    unsigned database;
};

/* 0; 1 when it is none, `why` then says so without showing the URL, which may hold a password; or -ENOMEM. */
MUST_CHECK int redis_url_parse(const char *text, struct redis_url *out, char why[REDIS_URL_WHY_SIZE]);
void redis_url_fini(struct redis_url *url);

#endif
