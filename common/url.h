/* SPDX-License-Identifier: MIT */
/* URLs of http and https: the one place that takes them apart, compares them by origin, and resolves a reference so that
 * it stays on its server. What a URL of a definition must be is server_url.h's. Pure. */
#ifndef COMMON_URL_H
#define COMMON_URL_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>

enum { URL_REFERENCE_MAX = 4096 };

/* An absolute URL, taken apart; every part lies in it.
 *
 *     https://user:password@host:port/path?query#fragment
 *     scheme   user-info    host port rest                */
struct url_parts {
    const char *scheme;
    const char *host; /* with its brackets, when it has some; never empty */
    const char *port; /* as written, of size 0 when there is none: the scheme's own is meant */
    const char *rest; /* path, query, fragment */
    size_t scheme_size, host_size, port_size;
    bool has_user_info;
    bool has_port; /* a colon stands there, if only with nothing behind it */
};

/* False when `url` is no absolute http or https URL (the case makes no difference) with a host. A judgement of the parts is
 * not made: the port is any text. */
MUST_CHECK bool url_split(const char *url, struct url_parts *parts);

/* Scheme, host and port (written or not); case makes no difference. */
bool url_same_origin(const struct url_parts *a, const struct url_parts *b);

/* The URL that `reference` (RFC 3986: absolute, or relative to `base` in any way) names, of the same origin as `base`;
 * user-info is always the base's. `base` is an absolute http or https URL. NULL when it is of another origin, too long,
 * no reference, or without memory. The caller frees it. */
MUST_CHECK char *url_resolve(const char *base, const char *reference);

#endif
