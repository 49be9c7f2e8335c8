/* SPDX-License-Identifier: MIT */
/* Which header fields a definition may add to the requests to its server. A header's value comes from a file, a
 * variable or a request to connect: bytes that end a line would smuggle in headers or a whole request, so they are
 * refused here, once, and nobody below checks again. Names that the worker sets itself are refused as well, since two
 * of them in one request mean something different to each server. */
#include "common/http_field.h"

#include "common/compiler.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Those of the connection (RFC 9110, 7.6.1, and what frames a message), and those of the protocol. */
static const char *const reserved[] = {
    "Connection",           "Content-Length",   "Expect",   "Host",
    "Keep-Alive",           "Proxy-Connection", "TE",       "Trailer",
    "Transfer-Encoding",    "Upgrade",          "Accept",   "Content-Type",
    "Last-Event-ID",        "Mcp-Method",       "Mcp-Name", "Mcp-Session-Id",
    "MCP-Protocol-Version",
};

const char *http_field_name_error(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (name[0] == '\0' || name[strspn(name, token)] != '\0')
        return "is no name of a header";
    for (size_t i = 0; i < ARRAY_LENGTH(reserved); i++)
        if (strcasecmp(name, reserved[i]) == 0)
            return "is set by the broker itself and can't be given";
    return NULL;
}

const char *http_field_value_error(const char *value)
{
    for (const unsigned char *byte = (const unsigned char *)value; *byte != '\0'; byte++)
        if ((*byte < ' ' && *byte != '\t') || *byte == 0x7f)
            return "has a line break or another control character";
    return NULL;
}
