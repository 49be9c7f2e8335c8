/* SPDX-License-Identifier: MIT */
/* URLs that a server names: taken apart, compared by origin, resolved so that they stay on that server. Pure. */
#ifndef WORKER_URL_H
#define WORKER_URL_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>

enum { URL_REFERENCE_MAX = 4096 };

/* An absolute URL, taken apart; every part lies in it. */
struct url_parts {
    const char *scheme;
    const char *host; /* with its brackets, when it has some */
    const char *port; /* the scheme's own when it is left out: then a literal */
    const char *rest; /* path, query, fragment */
    size_t scheme_size, host_size, port_size;
    bool has_user_info;
};

/* False when `url` has no scheme and authority. */
MUST_CHECK bool url_split(const char *url, struct url_parts *parts);

/* Scheme, host and port; case makes no difference. */
bool url_same_origin(const struct url_parts *a, const struct url_parts *b);

/* The URL that `reference` (RFC 3986: absolute, or relative to `base` in any way) names, of the same origin as `base`;
 * user-info is always the base's. `base` is an absolute http or https URL. NULL when it is of another origin, too long,
 * no reference, or without memory. The caller frees it. */
MUST_CHECK char *url_resolve(const char *base, const char *reference);

#endif
