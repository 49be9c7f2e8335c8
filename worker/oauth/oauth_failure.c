/* SPDX-License-Identifier: MIT */
/* An operator reads these texts in the row of a server that stays "unauthorized", so they say where to look: which of
 * the three parties (server, metadata, token endpoint) said what. An authorization server's own description of an
 * error is left out, since it may repeat what it was sent; its code is repeated if it is one of those that exist. */
#include "worker/oauth/oauth_failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* RFC 6749, 6750, 8693 and 9449. */
static const char *const CODES[] = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "invalid_resource",
    "invalid_token",
    "use_dpop_nonce",
    "invalid_dpop_proof",
    "insufficient_scope",
    "slow_down",
    "unsupported_response_type",
};

void oauth_failure_set(struct oauth_failure *failure, enum oauth_reason reason, const char *format, ...)
{
    va_list arguments;
    *failure = (struct oauth_failure){.reason = reason};
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof(failure->text), format, arguments);
    va_end(arguments);
}

void oauth_failure_of_errno(struct oauth_failure *failure, const char *step, int error)
{
    oauth_failure_set(failure, OAUTH_NO_RESOURCES, "%s: %s", step, strerror(-error));
}

/* "" for one that is not known. */
static const char *known_code(const json_t *object)
{
    const char *code = json_string_value(json_object_get(object, "error"));
    for (size_t i = 0; code != NULL && i < ARRAY_LENGTH(CODES); i++)
        if (strcmp(code, CODES[i]) == 0)
            return CODES[i];
    return "";
}

static enum oauth_reason reason_of_end(const struct http_end *end)
{
    switch (end->reason) {
    case HTTP_FORBIDDEN:
        return OAUTH_FORBIDDEN;
    case HTTP_NO_RESOURCES:
        return OAUTH_NO_RESOURCES;
    case HTTP_DONE:
    case HTTP_CUT:
    case HTTP_NO_RESOLVE:
    case HTTP_NO_CONNECT:
    case HTTP_NO_TLS:
    case HTTP_TIMED_OUT:
    case HTTP_TOO_LARGE:
    case HTTP_BAD:
        break;
    }
    return OAUTH_OUTAGE;
}

void oauth_failure_of_document(struct oauth_failure *failure, const char *step, const struct oauth_document *document)
{
    int status = document->status;
    const char *code = known_code(document->object);
    if (document->failure != NULL) {
        oauth_failure_set(failure, reason_of_end(document->failure), "%s: %.120s", step, document->failure->text);
    } else if (document->is_too_large) {
        oauth_failure_set(failure, OAUTH_REFUSED, "%s: the answer is larger than 64 KiB", step);
    } else {
        bool is_outage = status >= 500 || status == 408 || status == 425 || status == 429 ||
                         strcmp(code, "server_error") == 0 || strcmp(code, "temporarily_unavailable") == 0;
        bool is_redirect = status >= 300 && status < 400;
        oauth_failure_set(failure, is_outage ? OAUTH_OUTAGE : OAUTH_REFUSED, "%s: HTTP %d%s%s%s", step, status,
                          code[0] != '\0' ? " " : "", code, is_redirect ? ": a redirect, which is not followed" : "");
    }
    failure->retry_after_ms = document->retry_after_ms;
}
