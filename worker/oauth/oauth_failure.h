/* SPDX-License-Identifier: MIT */
/* Why there is no token, as a reason that can be acted upon and a text for people: the step that failed, and how. No
 * word of a peer's is repeated, but error codes that are known. Pure. */
#ifndef WORKER_OAUTH_FAILURE_H
#define WORKER_OAUTH_FAILURE_H

#include "common/compiler.h"
#include "worker/oauth/oauth_fetch.h"

#include <stdint.h>

enum oauth_reason {
    OAUTH_REFUSED = 1,  /* as things are, there will be none: the configuration must change */
    OAUTH_OUTAGE,       /* try again later */
    OAUTH_FORBIDDEN,    /* by our own policy on addresses */
    OAUTH_NO_RESOURCES, /* ours: memory, descriptors */
};

struct oauth_failure {
    enum oauth_reason reason;
    uint64_t retry_after_ms; /* asked for; 0: not */
    char text[160];          /* no secret, no URL */
};

void oauth_failure_set(struct oauth_failure *failure, enum oauth_reason reason, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* For a document that was wanted for `step` ("token endpoint") and did not come with a 2xx. */
void oauth_failure_of_document(struct oauth_failure *failure, const char *step, const struct oauth_document *document);

/* For a negative errno. */
void oauth_failure_of_errno(struct oauth_failure *failure, const char *step, int error);

#endif
