/* SPDX-License-Identifier: MIT */
/* Credentials are sent where a URL says, so all that decide by its parts (may it be shown, is it of the same origin, is it
 * loopback) must see the same parts: there is one way to split it. libcurl does the real parsing when it connects.
 *
 * References come from servers: the 2024-11-05 transport lets a server say where messages are to be POSTed. They carry
 * our credentials, so the place must be of the origin that the definition names: scheme, host and port. Dot segments
 * are left as they are (whoever fetches removes them, and they cannot leave the origin). A reference with user-info,
 * white space or control characters is refused rather than interpreted. */
#include "common/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static size_t scheme_size_of(const char *text)
{
    if (strncasecmp(text, "https://", 8) == 0)
        return 5;
    return strncasecmp(text, "http://", 7) == 0 ? 4 : 0;
}

/* Where the host that begins at `host` ends; NULL when its bracket does not close. */
static const char *end_of_host(const char *host, const char *end)
{
    if (*host == '[') {
        const char *bracket = memchr(host, ']', (size_t)(end - host));
        return bracket != NULL ? bracket + 1 : NULL;
    }
    const char *colon = memchr(host, ':', (size_t)(end - host));
    return colon != NULL ? colon : end;
}

bool url_split(const char *url, struct url_parts *parts)
{
    size_t scheme_size = scheme_size_of(url);
    if (scheme_size == 0)
        return false;
    const char *authority = url + scheme_size + 3;
    const char *end = authority + strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', (size_t)(end - authority));
    const char *host = at != NULL ? at + 1 : authority;
    const char *host_end = end_of_host(host, end);
    if (host_end == NULL || host_end == host || (host_end != end && *host_end != ':'))
        return false;
    bool has_port = host_end != end;
    const char *port = has_port ? host_end + 1 : end;
    *parts = (struct url_parts){
        .scheme = url,
        .host = host,
        .port = port,
        .rest = end,
        .scheme_size = scheme_size,
        .host_size = (size_t)(host_end - host),
        .port_size = (size_t)(end - port),
        .has_user_info = at != NULL,
        .has_port = has_port,
    };
    return true;
}

static bool same_text(const char *a, size_t a_size, const char *b, size_t b_size)
{
    return a_size == b_size && strncasecmp(a, b, a_size) == 0;
}

static bool same_port(const struct url_parts *a, const struct url_parts *b)
{
    const struct url_parts *const both[] = {a, b};
    const char *ports[2];
    size_t sizes[2];
    for (size_t i = 0; i < ARRAY_LENGTH(both); i++) {
        const char *own = both[i]->scheme_size == strlen("https") ? "443" : "80";
        ports[i] = both[i]->port_size > 0 ? both[i]->port : own;
        sizes[i] = both[i]->port_size > 0 ? both[i]->port_size : strlen(own);
    }
    return same_text(ports[0], sizes[0], ports[1], sizes[1]);
}

bool url_same_origin(const struct url_parts *a, const struct url_parts *b)
{
    return same_text(a->scheme, a->scheme_size, b->scheme, b->scheme_size) &&
           same_text(a->host, a->host_size, b->host, b->host_size) && same_port(a, b);
}

/* Length of `base` up to where a relative `reference` is put. */
static size_t kept_of(const char *base, const struct url_parts *parts, const char *reference)
{
    const char *path_end = parts->rest + strcspn(parts->rest, "?#");
    if (reference[0] == '/')
        return (size_t)(parts->rest - base);
    if (reference[0] == '?')
        return (size_t)(path_end - base);
    while (path_end > parts->rest && path_end[-1] != '/')
        path_end--;
    return (size_t)(path_end - base);
}

char *url_resolve(const char *base, const char *reference)
{
    struct url_parts from, to;
    size_t size = strlen(reference);
    if (size == 0 || size > URL_REFERENCE_MAX || !url_split(base, &from))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (reference[i] <= ' ' || reference[i] == 0x7f || reference[i] == '\\')
            return NULL;
    }
    size_t kept;
    char full[URL_REFERENCE_MAX + 16];
    if (strncmp(reference, "//", 2) == 0) { /* an authority, with the base's scheme */
        snprintf(full, sizeof(full), "%.*s:%s", (int)from.scheme_size, base, reference);
        reference = full;
    }
    if (url_split(reference, &to)) {
        if (!url_same_origin(&from, &to) || to.has_user_info)
            return NULL;
        kept = (size_t)(from.rest - base);
        reference = to.rest;
    } else if (reference[strcspn(reference, ":/?#")] == ':') { /* another scheme, without an authority */
        return NULL;
    } else {
        kept = kept_of(base, &from, reference);
    }
    const char *slash = kept == (size_t)(from.rest - base) && reference[0] != '/' && reference[0] != '?' ? "/" : "";
    char *url;
    return asprintf(&url, "%.*s%s%s", (int)kept, base, slash, reference) < 0 ? NULL : url;
}
