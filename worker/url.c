/* SPDX-License-Identifier: MIT */
/* The 2024-11-05 transport lets the server say where messages are to be POSTed. They carry our credentials, so the
 * place must be of the origin that the definition names: scheme, host and port.
 *
 * Dot segments are left as they are (whoever fetches removes them, and they cannot leave the origin). A reference with
 * user-info, white space or control characters is refused rather than interpreted. */
#include "worker/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void split_port(struct url_parts *parts, size_t authority_size)
{
    size_t at = authority_size;
    while (at > 0 && parts->host[at - 1] >= '0' && parts->host[at - 1] <= '9')
        at--;
    bool has_port = at > 0 && parts->host[at - 1] == ':';
    parts->host_size = has_port ? at - 1 : authority_size;
    parts->port = parts->host + at;
    parts->port_size = has_port ? authority_size - at : 0;
    if (parts->port_size == 0) {
        parts->port = parts->scheme_size == strlen("https") ? "443" : "80";
        parts->port_size = strlen(parts->port);
    }
}

bool url_split(const char *url, struct url_parts *parts)
{
    size_t scheme_size = strcspn(url, ":/?#");
    if (strncmp(url + scheme_size, "://", 3) != 0)
        return false;
    const char *authority = url + scheme_size + 3;
    *parts = (struct url_parts){.scheme = url, .scheme_size = scheme_size, .host = authority};
    parts->rest = authority + strcspn(authority, "/?#");
    for (const char *at = authority; at < parts->rest; at++) {
        if (*at == '@')
            parts->host = at + 1;
    }
    parts->has_user_info = parts->host != authority;
    split_port(parts, (size_t)(parts->rest - parts->host));
    return parts->host_size > 0;
}

static bool same_text(const char *a, size_t a_size, const char *b, size_t b_size)
{
    return a_size == b_size && strncasecmp(a, b, a_size) == 0;
}

bool url_same_origin(const struct url_parts *a, const struct url_parts *b)
{
    return same_text(a->scheme, a->scheme_size, b->scheme, b->scheme_size) &&
           same_text(a->host, a->host_size, b->host, b->host_size) &&
           same_text(a->port, a->port_size, b->port, b->port_size);
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
