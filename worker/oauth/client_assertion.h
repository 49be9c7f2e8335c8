/* SPDX-License-Identifier: MIT */
/* A signed statement by which a client proves to an authorization server who it is (private_key_jwt, RFC 7523). The
 * home of libjwt. */
#ifndef WORKER_CLIENT_ASSERTION_H
#define WORKER_CLIENT_ASSERTION_H

#include "common/compiler.h"

#include <stdint.h>

struct client_assertion {
    const char *client_id;
    const char *audience;
    const char *private_key; /* PEM, without a passphrase */
    const char *algorithm;   /* "RS256" … "ES512" */
    const char *key_id;      /* NULL: none */
    uint64_t now_wall_ms;
};

/* What signing can come to, besides 0 and a negative errno. */
enum client_assertion_outcome {
    CLIENT_ASSERTION_BAD_KEY = 1, /* no private key, or not one for the algorithm */
};

/* A new one each time, good for five minutes; the caller frees it. */
MUST_CHECK int client_assertion_sign(const struct client_assertion *assertion, char **out);

#endif
