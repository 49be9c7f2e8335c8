/* SPDX-License-Identifier: MIT */
/* The URL of a server, as far as the broker itself must understand it: that it is one that a connection can be tried
 * to, and which part of it is no secret. libcurl does the real parsing when it connects; what passes here and is
 * refused there costs that one server an error. So this is strict about what would do harm elsewhere (control
 * characters in a request line, another scheme) and leaves names and addresses to the resolver.
 *
 *     https://user:password@host:port/path?query
 *     scheme   user-info    host port rest           shown: scheme, host, port */
#include "common/server_url.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Where the parts are; each borrowed from the text. */
struct url_parts {
    size_t scheme_size;
    const char *host; /* with its brackets, when it has some */
    size_t host_size;
    const char *port; /* NULL: not given */
    size_t port_size;
};

static size_t scheme_size(const char *text)
{
    if (strncasecmp(text, "https://", 8) == 0)
        return 5;
    return strncasecmp(text, "http://", 7) == 0 ? 4 : 0;
}

static bool port_is_valid(const char *port, size_t size)
{
    unsigned number = 0;

    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (port[i] < '0' || port[i] > '9')
            return false;
        number = number * 10 + (unsigned)(port[i] - '0');
    }
    return number >= 1 && number <= 65535;
}

/* False when the authority has no shape: only the split, no judgement of its parts. */
static bool split(const char *text, struct url_parts *parts)
{
    parts->scheme_size = scheme_size(text);
    if (parts->scheme_size == 0)
        return false;

    const char *authority = text + parts->scheme_size + 3;
    const char *end = authority + strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', (size_t)(end - authority));
    const char *host = at != NULL ? at + 1 : authority;
    const char *host_end = host;

    if (*host == '[') {
        const char *bracket = memchr(host, ']', (size_t)(end - host));
        if (bracket == NULL)
            return false;
        host_end = bracket + 1;
    } else {
        const char *colon = memchr(host, ':', (size_t)(end - host));
        host_end = colon != NULL ? colon : end;
    }
    if (host_end != end && *host_end != ':')
        return false;
    parts->host = host;
    parts->host_size = (size_t)(host_end - host);
    parts->port = host_end != end ? host_end + 1 : NULL;
    parts->port_size = parts->port != NULL ? (size_t)(end - parts->port) : 0;
    return true;
}

const char *server_url_error(const char *text)
{
    struct url_parts parts;

    if (strlen(text) > SERVER_URL_SIZE_MAX)
        return "is longer than 2048 bytes";
    for (const unsigned char *byte = (const unsigned char *)text; *byte != '\0'; byte++)
        if (*byte <= ' ' || *byte == 0x7f)
            return "has a space or a control character";
    if (scheme_size(text) == 0)
        return "must begin with http:// or https://";
    if (!split(text, &parts))
        return "has no host that can be read";
    if (parts.host_size == 0 || (parts.host[0] == '[' && parts.host_size == 2))
        return "has no host";
    if (parts.port != NULL && !port_is_valid(parts.port, parts.port_size))
        return "has a port that is none (1 to 65535)";
    return NULL;
}

const char *server_url_origin(const char *text, char *out, size_t size)
{
    struct url_parts parts;

    if (!split(text, &parts))
        snprintf(out, size, "%s", "");
    else
        snprintf(out, size, "%.*s://%.*s%s%.*s", (int)parts.scheme_size, text, (int)parts.host_size, parts.host,
                 parts.port != NULL ? ":" : "", (int)parts.port_size, parts.port != NULL ? parts.port : "");
    return out;
}
