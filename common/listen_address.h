/* SPDX-License-Identifier: MIT */
/* Where to listen for TCP: `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464` (which is 127.0.0.1). Port 0 is any free one.
 * Names are not looked up: what is listened on must not depend on a resolver. */
#ifndef COMMON_LISTEN_ADDRESS_H
#define COMMON_LISTEN_ADDRESS_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { LISTEN_ADDRESS_WHY_SIZE = 160, LISTEN_ADDRESS_TEXT_SIZE = 64 };

struct listen_address {
    struct sockaddr_storage storage;
    socklen_t size;
    bool loopback; /* only this machine can reach it */
};

/* 0; or 1 when it is none, `why` then says so. Pure. */
MUST_CHECK int listen_address_parse(const char *text, struct listen_address *out, char why[LISTEN_ADDRESS_WHY_SIZE]);

/* A listening socket, close-on-exec and not blocking, in *fd, which is the caller's. 0 or a negative errno. */
MUST_CHECK int listen_address_open(const struct listen_address *address, int *fd);

/* Where `fd` listens, "127.0.0.1:9464"; `?` when it does not. Returns `out`. */
const char *listen_address_text(int fd, char out[LISTEN_ADDRESS_TEXT_SIZE]);

#endif
