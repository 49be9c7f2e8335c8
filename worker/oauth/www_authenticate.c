/* SPDX-License-Identifier: MIT */
/* A comma separates parameters of one challenge as well as challenges (RFC 9110, 11.6.1):
 *
 *     Negotiate a87421==, Bearer realm="x, y", scope="a b", Basic realm=z
 *
 * What tells them apart is the "=": a token with one is a parameter of the challenge before it, a token without begins
 * a challenge. Directly after a scheme there may also be token68, which looks like neither.
 *
 * The text is a server's and may be cut off anywhere: nothing here fails. What can't be read is skipped up to the next
 * comma outside of quotes. */
#include "worker/oauth/www_authenticate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char TOKEN[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char BLANK[] = " \t";

struct name {
    const char *text;
    size_t size;
};

static bool is(struct name name, const char *word)
{
    return name.size == strlen(word) && strncasecmp(name.text, word, name.size) == 0;
}

/* Past the closing quote, or at the end. What is unescaped goes to `out`: "" when there is too much of it, or when the
 * closing quote is missing, for then it may have been cut off. */
static const char *read_quoted(const char *at, char *out, size_t max)
{
    size_t size = 0;
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        if (size < max)
            out[size] = *at;
        size++;
    }
    bool whole = *at == '"';
    out[whole && size <= max ? size : 0] = '\0';
    return whole ? at + 1 : at;
}

/* What is not quoted should be a token, but there are servers that leave a URL without quotes. */
static const char *read_value(const char *at, char *out, size_t max)
{
    if (*at == '"')
        return read_quoted(at, out, max);
    size_t size = strcspn(at, ", \t");
    size_t kept = size <= max ? size : 0;
    memcpy(out, at, kept);
    out[kept] = '\0';
    return at + size;
}

/* To the next comma outside of quotes, or the end. */
static const char *skip_item(const char *at)
{
    char ignored[1];
    while (*at != '\0' && *at != ',')
        at = *at == '"' ? read_quoted(at, ignored, 0) : at + 1;
    return at;
}

/* A scope's bytes (RFC 6749, 3.3) are those of a URL and of an error code, too. */
static bool has_foreign_byte(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            return true;
    return false;
}

static void keep(struct www_authenticate *out, struct name name, const char *value)
{
    if (has_foreign_byte(value))
        return;
    if (is(name, "resource_metadata") && out->resource_metadata[0] == '\0')
        snprintf(out->resource_metadata, sizeof(out->resource_metadata), "%s", value);
    else if (is(name, "scope") && out->scope[0] == '\0')
        snprintf(out->scope, sizeof(out->scope), "%s", value);
    else if (is(name, "error") && out->error[0] == '\0' && strlen(value) <= WWW_AUTHENTICATE_ERROR_MAX)
        snprintf(out->error, sizeof(out->error), "%s", value);
}

/* True when `at`, behind a token, goes on as a parameter: "=" and a value. token68 may end in "=", but nothing follows
 * it. */
static bool is_parameter(const char *at)
{
    at += strspn(at, BLANK);
    if (*at != '=')
        return false;
    at += 1 + strspn(at + 1, BLANK);
    return *at != '\0' && *at != '=' && *at != ',';
}

void www_authenticate_parse(const char *text, struct www_authenticate *out)
{
    char value[WWW_AUTHENTICATE_TEXT_MAX + 1];
    bool is_bearer = false;    /* of the challenge that is being read */
    bool after_scheme = false; /* no comma since its scheme: token68 may follow */
    *out = (struct www_authenticate){.is_bearer = false};
    const char *at = text;
    while (at += strspn(at, BLANK), *at != '\0') {
        if (*at == ',') {
            at++;
            after_scheme = false;
            continue;
        }
        struct name name = {.text = at, .size = strspn(at, TOKEN)};
        at += name.size;
        if (name.size > 0 && is_parameter(at)) {
            at += strspn(at, BLANK) + 1;
            at = read_value(at + strspn(at, BLANK), value, sizeof(value) - 1);
            if (is_bearer)
                keep(out, name, value);
            at = skip_item(at);
        } else if (name.size > 0 && !after_scheme && (*at == '\0' || strchr(" \t,", *at) != NULL)) {
            is_bearer = is(name, "Bearer");
            out->is_bearer |= is_bearer;
            after_scheme = true;
        } else {
            at = skip_item(at);
        }
    }
}
