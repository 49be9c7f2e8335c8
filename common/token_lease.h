/* SPDX-License-Identifier: MIT */
/* How workers share bearer tokens, so that one token request serves all of them, and one that is refreshed by a token
 * that is good only once is not lost with a worker. The hub has the tokens that workers got; who wants one asks, and
 * either gets it, or the lease: then it is the only one that goes to the authorization server, and tells what came of it.
 *
 *   question  "ask"   grant, chain, known, refused      a token, but not `known` (`refused`: it is no good for anybody)
 *             "give"  grant, chain, token, lifetime, refresh_token       got one; `refresh_token`: for the next time
 *             "fail"  grant, chain, reason, text, retry_after            got none
 *   answer    "token"   token, lifetime                 what is left of it
 *             "lease"   refresh_token                   get one; with that, or (NULL) with the definition's
 *             "wait"                                    another one is at it: ask again in a moment
 *             "failed"  reason, text, retry_after       another one has just got none
 *             "noted"                                   to the other questions
 *
 * A grant is all that a token request is made of; a chain is what a refresh token belongs to, which may be several
 * grants' (that then ask one after another). Both are texts that the workers make and the hub only compares; they have
 * secrets in them, as the tokens are: the socket is 0600, and who asks is checked besides. JSON values in msgpack. Pure. */
#ifndef COMMON_TOKEN_LEASE_H
#define COMMON_TOKEN_LEASE_H

#include "common/compiler.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { TOKEN_LEASE_BYTES_MAX = 256 * 1024 };

enum token_lease_act { TOKEN_LEASE_ASK, TOKEN_LEASE_GIVE, TOKEN_LEASE_FAIL };

/* Texts are borrowed; NULL: none. */
struct token_lease_question {
    enum token_lease_act act;
    int slot;
    uint64_t start_count; /* the worker's: what an older one of the slot had leased is free */
    const char *grant;
    const char *chain;
    const char *known;
    bool refused;
    const char *token;
    const char *refresh_token;
    uint64_t lifetime_ms; /* 0: until it is refused */
    int reason;           /* 0: none, the lease is only given back; else only the workers' to know */
    const char *text;
    uint64_t retry_after_ms;
};

enum token_lease_verdict {
    TOKEN_LEASE_TOKEN,
    TOKEN_LEASE_LEASE,
    TOKEN_LEASE_WAIT,
    TOKEN_LEASE_FAILED,
    TOKEN_LEASE_NOTED,
};

struct token_lease_answer {
    enum token_lease_verdict verdict;
    const char *token;
    const char *refresh_token;
    uint64_t lifetime_ms;
    int reason;
    const char *text;
    uint64_t retry_after_ms;
};

/* A new reference; NULL without memory, or when a text is no UTF-8. */
json_t *token_lease_question_write(const struct token_lease_question *question);
json_t *token_lease_answer_write(const struct token_lease_answer *answer);

/* 0, or 1 when it is none. What is read is borrowed from the message. */
MUST_CHECK int token_lease_question_read(const json_t *message, struct token_lease_question *question);
MUST_CHECK int token_lease_answer_read(const json_t *message, struct token_lease_answer *answer);

#endif
