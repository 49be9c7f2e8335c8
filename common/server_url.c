/* SPDX-License-Identifier: MIT */
/* The URL of a server, as far as the broker itself must understand it: that it is one that a connection can be tried
 * to, and which part of it is no secret. libcurl does the real parsing when it connects; what passes here and is
 * refused there costs that one server an error. So this is strict about what would do harm elsewhere (control
 * characters in a request line, another scheme) and leaves names and addresses to the resolver. */
#include "common/server_url.h"

#include "common/url.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

const char *server_url_error(const char *text)
{
    struct url_parts parts;

    if (strlen(text) > SERVER_URL_SIZE_MAX)
        return "is longer than 2048 bytes";
    for (const unsigned char *byte = (const unsigned char *)text; *byte != '\0'; byte++)
        if (*byte <= ' ' || *byte == 0x7f)
            return "has a space or a control character";
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return "must begin with http:// or https://";
    if (!url_split(text, &parts))
        return "has no host that can be read";
    if (parts.host[0] == '[' && parts.host_size == 2)
        return "has no host";
    if (parts.has_port && !port_is_valid(parts.port, parts.port_size))
        return "has a port that is none (1 to 65535)";
    return NULL;
}

const char *server_url_origin(const char *text, char *out, size_t size)
{
    struct url_parts parts;

    if (!url_split(text, &parts))
        snprintf(out, size, "%s", "");
    else
        snprintf(out, size, "%.*s://%.*s%s%.*s", (int)parts.scheme_size, text, (int)parts.host_size, parts.host,
                 parts.has_port ? ":" : "", (int)parts.port_size, parts.port);
    return out;
}
