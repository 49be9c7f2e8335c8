/* SPDX-License-Identifier: MIT */
/* The request to a token endpoint (RFC 6749, 7523, 8707), and its answer. No network here; a private key may be read
 * from its file. */
#ifndef WORKER_TOKEN_REQUEST_H
#define WORKER_TOKEN_REQUEST_H

#include "common/compiler.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What is asked for, and by whom. */
struct token_request_values {
    const json_t *auth;        /* of the definition, checked there */
    const char *audience;      /* of a signed statement: the issuer */
    const char *resource;      /* what the token shall be good for */
    const char *scope;         /* ""; none is asked for */
    const char *refresh_token; /* of the type refresh_token: the one that is good now */
    bool secret_in_body;       /* where the server wants a secret: there, or in a header */
};

struct token_request {
    char *body;          /* a form */
    char *authorization; /* "Authorization: Basic …", or NULL */
};

/* 0 or a negative errno; 1: `problem` says what the definition lacks, a literal for people. */
MUST_CHECK int token_request_init(struct token_request *request, const struct token_request_values *values,
                                  const char **problem);
void token_request_fini(struct token_request *request);

/* What the answer gives; borrowed from it. */
struct token_answer {
    const char *access_token;
    const char *refresh_token; /* NULL: the old one stays good */
    uint64_t lifetime_ms;      /* 0: not told */
};

/* NULL, or what is wrong: a literal, for people. A token is taken only if it can stand in a header. */
MUST_CHECK const char *token_request_read(const json_t *document, struct token_answer *out);

#endif
