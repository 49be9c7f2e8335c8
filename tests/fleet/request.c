/* SPDX-License-Identifier: MIT */
/* Reads requests as HTTP clients send them to an MCP server: a head, and a body whose size Content-Length tells. Nothing
 * is kept between calls: a request that has come in part is read again from its beginning when there is more of it,
 * which hardly ever happens on loopback. */
#include "tests/fleet/request.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *text;
    enum request_method method;
} METHODS[] = {{"GET /s/", REQUEST_GET}, {"POST /s/", REQUEST_POST}, {"DELETE /s/", REQUEST_DELETE}};

static bool read_line(const char *line, size_t size, struct request *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(METHODS); i++) {
        size_t length = strlen(METHODS[i].text);
        if (size <= length || memcmp(line, METHODS[i].text, length) != 0)
            continue;
        out->method = METHODS[i].method;
        char *end;
        unsigned long number = strtoul(line + length, &end, 10); /* the line's end stops it */
        out->server = (uint32_t)number;
        return end != line + length && *end == ' ' && number <= UINT32_MAX;
    }
    return false;
}

/* The value of the field called `name` (with its colon), when the line is it; else NULL. */
static const char *value_of(const char *line, size_t size, const char *name, size_t *value_size)
{
    size_t length = strlen(name);
    if (size < length || strncasecmp(line, name, length) != 0)
        return NULL;
    const char *value = line + length;
    while (value < line + size && *value == ' ')
        value++;
    *value_size = (size_t)(line + size - value);
    return value;
}

static bool read_field(const char *line, size_t size, struct request *out)
{
    size_t value_size;
    const char *value = value_of(line, size, "mcp-session-id:", &value_size);
    if (value) {
        if (value_size < sizeof(out->session))
            snprintf(out->session, sizeof(out->session), "%.*s", (int)value_size, value);
        return true;
    }
    value = value_of(line, size, "content-length:", &value_size);
    if (value) {
        out->body_size = strtoul(value, NULL, 10);
        return out->body_size <= REQUEST_SIZE_MAX;
    }
    return !value_of(line, size, "transfer-encoding:", &value_size);
}

int request_read(const char *bytes, size_t size, struct request *out)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end)
        return size < REQUEST_SIZE_MAX ? REQUEST_INCOMPLETE : REQUEST_BAD;
    *out = (struct request){.body = end + 4};
    const char *line = bytes;
    for (bool is_first = true; line < end; is_first = false) {
        const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        size_t line_size = (size_t)(line_end - line);
        if (is_first ? !read_line(line, line_size, out) : !read_field(line, line_size, out))
            return REQUEST_BAD;
        line = line_end + 2;
    }
    out->size = (size_t)(out->body - bytes) + out->body_size;
    if (out->size > REQUEST_SIZE_MAX)
        return REQUEST_BAD;
    return size < out->size ? REQUEST_INCOMPLETE : 0;
}
