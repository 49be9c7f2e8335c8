/* SPDX-License-Identifier: MIT */
/* What a server says in WWW-Authenticate about the bearer token that it wants (RFC 6750, RFC 9728). Pure. */
#ifndef WORKER_WWW_AUTHENTICATE_H
#define WORKER_WWW_AUTHENTICATE_H

#include <stdbool.h>

enum { WWW_AUTHENTICATE_TEXT_MAX = 1024, WWW_AUTHENTICATE_ERROR_MAX = 63 };

/* "" for what is not there, is longer than its maximum, or has bytes that its kind must not have. */
struct www_authenticate {
    bool is_bearer; /* there was a challenge of that scheme */
    char resource_metadata[WWW_AUTHENTICATE_TEXT_MAX + 1];
    char scope[WWW_AUTHENTICATE_TEXT_MAX + 1];
    char error[WWW_AUTHENTICATE_ERROR_MAX + 1];
};

/* Reads the header's value, several joined by commas. Challenges of other schemes are passed over; of several Bearer
 * challenges the first that has a parameter counts for it. Whatever the text is, something is read. */
void www_authenticate_parse(const char *text, struct www_authenticate *out);

#endif
