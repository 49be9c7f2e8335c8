/* SPDX-License-Identifier: MIT */
/* Takes a Redis URL apart. It is one's own small grammar and not a general URL reader, since what must be right here is
 * different: a password may hold any byte, percent-encoded or (but for `/` and `?`) not; a unix socket has a path and no
 * host; sentinels are a list; and no message may ever show the text. Every part is copied and decoded once, at start-up.
 */
#include "common/redis_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERVER_PORT = 6379, SENTINEL_PORT = 26379 };

#ifdef MCP_BROKER_REDIS_TLS
static const bool has_tls = true;
#else
static const bool has_tls = false;
#endif

static int refuse(char why[REDIS_URL_WHY_SIZE], const char *text)
{
    snprintf(why, REDIS_URL_WHY_SIZE, "%s", text);
    return 1;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* A decoded copy of `size` bytes at `text`; NULL for an empty one. 0, 1 (bad encoding, or a NUL), -ENOMEM. */
static int decode(const char *text, size_t size, char **out)
{
    *out = NULL;
    if (size == 0)
        return 0;
    char *copy = malloc(size + 1);
    if (!copy)
        return -ENOMEM;
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        char byte = text[i];
        if (byte == '%') {
            int high = size - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(text[i + 2]);
            if (low < 0 || (high | low) == 0) {
                free(copy);
                return 1;
            }
            byte = (char)(high * 16 + low);
            i += 2;
        }
        copy[length++] = byte;
    }
    copy[length] = '\0';
    *out = copy;
    return 0;
}

/* Digits only, `size` of them, at most `max`. */
static bool read_number(const char *text, size_t size, unsigned max, unsigned *out)
{
    unsigned value = 0;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)text[i]) || value > max)
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return size > 0 && value <= max;
}

/* user:password@ at *cursor; moves it behind. The last `@` before the path ends it. */
static int read_user_info(const char **cursor, struct redis_url *url, char why[REDIS_URL_WHY_SIZE])
{
    size_t span = strcspn(*cursor, "/?");
    const char *at = memrchr(*cursor, '@', span);
    if (!at)
        return 0;
    size_t size = (size_t)(at - *cursor);
    const char *colon = memchr(*cursor, ':', size);
    if (!colon)
        return refuse(why, "the part before @ has no password: write user:password@ or :password@");
    int result = decode(*cursor, (size_t)(colon - *cursor), &url->user);
    if (result == 0)
        result = decode(colon + 1, (size_t)(at - colon - 1), &url->password);
    if (result == 1)
        return refuse(why, "user or password has a % that is not followed by two hexadecimal digits");
    if (result == 0 && !url->password)
        return refuse(why, "the password is empty");
    *cursor = at + 1;
    return result;
}

/* host[:port] at *cursor; moves it behind. */
static int read_address(const char **cursor, uint16_t port, struct redis_address *out, char why[REDIS_URL_WHY_SIZE])
{
    const char *start = *cursor;
    size_t size;
    unsigned number = port;
    if (*start == '[') {
        const char *end = strchr(++start, ']');
        if (!end)
            return refuse(why, "an IPv6 address ends with ]");
        size = (size_t)(end - start);
        *cursor = end + 1;
    } else {
        size = strcspn(start, ":,/?#");
        *cursor = start + size;
    }
    if (size == 0)
        return refuse(why, "it names no host");
    if (**cursor == ':') {
        const char *digits = *cursor + 1;
        size_t count = strcspn(digits, ",/?#");
        if (!read_number(digits, count, UINT16_MAX, &number) || number == 0)
            return refuse(why, "a port is a number from 1 to 65535");
        *cursor = digits + count;
    }
    out->host = strndup(start, size);
    out->port = (uint16_t)number;
    return out->host ? 0 : -ENOMEM;
}

/* What is left is nothing, or /database. */
static int read_database(const char *rest, struct redis_url *url, char why[REDIS_URL_WHY_SIZE])
{
    if (rest[0] == '\0' || strcmp(rest, "/") == 0)
        return 0;
    if (rest[0] != '/' || !read_number(rest + 1, strlen(rest + 1), INT16_MAX, &url->database))
        return refuse(why, "after the host come :port and /database, both numbers, and nothing else");
    return 0;
}

static int read_tcp(const char *rest, struct redis_url *url, char why[REDIS_URL_WHY_SIZE])
{
    int result = read_address(&rest, SERVER_PORT, &url->server, why);
    return result != 0 ? result : read_database(rest, url, why);
}

static int read_tls(const char *rest, struct redis_url *url, char why[REDIS_URL_WHY_SIZE])
{
    url->tls = true;
    if (!has_tls)
        return refuse(why, "rediss:// needs TLS, which this build has not (its hiredis has no TLS library): use "
                           "redis:// to a TLS proxy on this machine, or unix://");
    return read_tcp(rest, url, why);
}

static int read_sentinel(const char *rest, struct redis_url *url, char why[REDIS_URL_WHY_SIZE])
{
    do {
        if (url->sentinel_count == REDIS_URL_SENTINELS_MAX)
            return refuse(why, "it names too many sentinels: 16 are enough");
        rest += url->sentinel_count > 0 ? 1 : 0; /* the comma */
        int result = read_address(&rest, SENTINEL_PORT, &url->sentinels[url->sentinel_count++], why);
        if (result != 0)
            return result;
    } while (*rest == ',');
    size_t size = *rest == '/' ? strcspn(rest + 1, "/?#") : 0;
    if (size == 0)
        return refuse(why, "after the sentinels comes the name of the master: redis+sentinel://host:26379/name");
    int result = decode(rest + 1, size, &url->master);
    if (result == 1)
        return refuse(why, "the name of the master has a % that is not followed by two hexadecimal digits");
    return result != 0 ? result : read_database(rest + 1 + size, url, why);
}

static int read_unix(const char *rest, struct redis_url *url, char why[REDIS_URL_WHY_SIZE])
{
    size_t size = strcspn(rest, "?");
    if (rest[0] != '/' || size < 2)
        return refuse(why, "unix:// is followed by an absolute path: unix:///run/redis.sock");
    const char *query = rest + size;
    if (*query &&
        (strncmp(query, "?db=", 4) != 0 || !read_number(query + 4, strlen(query + 4), INT16_MAX, &url->database)))
        return refuse(why, "after the path comes ?db=N and nothing else");
    int result = decode(rest, size, &url->path);
    if (result == 1)
        return refuse(why, "the path has a % that is not followed by two hexadecimal digits");
    return result;
}

int redis_url_parse(const char *text, struct redis_url *out, char why[REDIS_URL_WHY_SIZE])
{
    static const struct {
        const char *begin;
        int (*read)(const char *rest, struct redis_url *url, char why[REDIS_URL_WHY_SIZE]);
    } forms[] = {
        {"redis://", read_tcp}, {"rediss://", read_tls}, {"unix://", read_unix}, {"redis+sentinel://", read_sentinel}};
    struct redis_url url = {.database = 0};
    size_t form = 0;
    if (strlen(text) > REDIS_URL_TEXT_MAX)
        return refuse(why, "it is too long");
    while (form < ARRAY_LENGTH(forms) && strncmp(text, forms[form].begin, strlen(forms[form].begin)) != 0)
        form++;
    if (form == ARRAY_LENGTH(forms))
        return refuse(why, "it must begin with redis://, rediss://, redis+sentinel:// or unix://");
    const char *rest = text + strlen(forms[form].begin);
    int result = read_user_info(&rest, &url, why);
    if (result == 0)
        result = forms[form].read(rest, &url, why);
    if (result != 0) {
        redis_url_fini(&url);
        return result;
    }
    *out = url;
    return 0;
}

void redis_url_fini(struct redis_url *url)
{
    for (size_t i = 0; i < url->sentinel_count; i++)
        free(url->sentinels[i].host);
    free(url->server.host);
    free(url->path);
    free(url->master);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){.database = 0};
}
