/* SPDX-License-Identifier: MIT */
/* The line of a key in a JSON text that has been parsed already: a scanner that knows strings, brackets and commas and
 * nothing more, since the parser has seen to the rest. It goes down one level for each part of the path and skips what
 * it does not want by counting brackets, so deep nesting costs nothing. The text may be hundreds of megabytes: nothing
 * is copied but a key with an escape in it. */
#include "common/json_locate.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *at;
    const char *end;
};

static bool at_byte(const struct scan *scan, char byte)
{
    return scan->at < scan->end && *scan->at == byte;
}

static void skip_space(struct scan *scan)
{
    while (at_byte(scan, ' ') || at_byte(scan, '\t') || at_byte(scan, '\r') || at_byte(scan, '\n'))
        scan->at++;
}

/* From a quote to behind the other one. */
static void skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++)
        if (*scan->at == '\\' && scan->at + 1 < scan->end)
            scan->at++;
    if (scan->at < scan->end)
        scan->at++;
}

/* To the comma or bracket that ends the value. */
static void skip_value(struct scan *scan)
{
    size_t depth = 0;

    while (scan->at < scan->end) {
        char byte = *scan->at;
        if (byte == '"') {
            skip_string(scan);
            continue;
        }
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']'))
            return;
        if (byte == '{' || byte == '[')
            depth++;
        else if (byte == '}' || byte == ']')
            depth--;
        scan->at++;
    }
}

/* `token` is a string with its quotes. */
static bool is_name(const char *token, size_t size, const char *name)
{
    if (size < 2)
        return false;
    if (memchr(token, '\\', size) == NULL)
        return size - 2 == strlen(name) && memcmp(token + 1, name, size - 2) == 0;

    json_t *decoded = json_loadb(token, size, JSON_DECODE_ANY, NULL);
    bool same = json_is_string(decoded) && strcmp(json_string_value(decoded), name) == 0;
    json_decref(decoded);
    return same;
}

/* Goes on from one member to the next; false behind the last one. */
static bool next_member(struct scan *scan)
{
    skip_value(scan);
    if (!at_byte(scan, ','))
        return false;
    scan->at++;
    return true;
}

/* From the object's bracket to the value named so; *key is where the name stands. */
static bool enter_object(struct scan *scan, const char *name, const char **key)
{
    scan->at++;
    do {
        skip_space(scan);
        if (!at_byte(scan, '"'))
            return false;
        const char *token = scan->at;
        skip_string(scan);
        bool found = is_name(token, (size_t)(scan->at - token), name);
        skip_space(scan);
        if (!at_byte(scan, ':'))
            return false;
        scan->at++;
        if (found) {
            *key = token;
            return true;
        }
    } while (next_member(scan));
    return false;
}

static bool enter_array(struct scan *scan, const char *number, const char **key)
{
    unsigned long index = strtoul(number, NULL, 10);

    scan->at++;
    for (unsigned long i = 0; i < index; i++)
        if (!next_member(scan))
            return false;
    skip_space(scan);
    *key = scan->at;
    return scan->at < scan->end;
}

static unsigned line_of(const char *text, const char *at)
{
    unsigned line = 1;

    while ((text = memchr(text, '\n', (size_t)(at - text))) != NULL) {
        text++;
        line++;
    }
    return line;
}

unsigned json_locate(const char *text, size_t size, const char *const *path, size_t depth)
{
    struct scan scan = {.at = text, .end = text + size};
    const char *found = text;

    for (size_t i = 0; i < depth; i++) {
        skip_space(&scan);
        bool entered = (at_byte(&scan, '{') && enter_object(&scan, path[i], &found)) ||
                       (at_byte(&scan, '[') && enter_array(&scan, path[i], &found));
        if (!entered)
            break;
    }
    return line_of(text, found);
}
