/* SPDX-License-Identifier: MIT */
/* Almost no answer has a secret in it, so the bytes are searched first, which costs next to nothing; only where one is
 * found are the texts gone through; or where there are escapes, since some write the `/` and `+` of a token with them. What a server
 * has disguised is not found: it knows its secrets anyway, and this is against their being passed on by accident. */
#include "worker/mask.h"

#include "common/server_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENT_MIN = 12 }; /* bytes of an argument that may be a secret */

/* Something done with each secret; true ends it. */
struct visit {
    bool (*see)(struct visit *visit, const char *secret, size_t size);
    const void *bytes;
    char *text;
    size_t size;
    struct buf *out;
};

static bool visit_part(struct visit *visit, const char *secret, size_t size)
{
    return size >= MASK_SECRET_MIN && visit->see(visit, secret, size);
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* What the text of a URL stands for; `out` has room for `size` bytes. */
static size_t decode(const char *text, size_t size, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_code = text[i] == '%' && i + 2 < size && isxdigit((unsigned char)text[i + 1]) &&
                       isxdigit((unsigned char)text[i + 2]);
        out[length++] = is_code ? (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2])) : text[i];
        i += is_code ? 2 : 0;
    }
    return length;
}

/* A part of a URL as it stands there, and as the server reads it. */
static bool visit_encoded(struct visit *visit, const char *text, size_t size)
{
    char decoded[SERVER_URL_SIZE_MAX];
    if (visit_part(visit, text, size))
        return true;
    return size <= sizeof(decoded) && memchr(text, '%', size) != NULL &&
           visit_part(visit, decoded, decode(text, size, decoded));
}

/* User and password, and what libcurl makes of them: a header with both. */
static bool visit_user_info(struct visit *visit, const char *text, size_t size)
{
    char decoded[SERVER_URL_SIZE_MAX];
    const char *colon = memchr(text, ':', size);
    size_t user = colon != NULL ? (size_t)(colon - text) : size;
    size_t password = size - user > 0 ? size - user - 1 : 0;
    if (visit_encoded(visit, text, user) || visit_encoded(visit, text + size - password, password))
        return true;
    if (size + 1 > sizeof(decoded))
        return false;
    size_t length = decode(text, user, decoded);
    decoded[length++] = ':';
    length += decode(text + size - password, password, decoded + length);
    struct buf header;
    buf_init(&header, 2 * sizeof(decoded));
    bool is_over =
        buf_append_base64(&header, decoded, length) == 0 && visit_part(visit, buf_text(&header), header.size);
    buf_fini(&header);
    return is_over;
}

/* Between separators. */
static bool visit_parts(struct visit *visit, const char *text, size_t size, const char *separators)
{
    const char *end = text + size;
    while (text < end) {
        size_t length = 0;
        while (text + length < end && strchr(separators, text[length]) == NULL)
            length++;
        if (visit_part(visit, text, length))
            return true;
        text += length + 1;
    }
    return false;
}

/* The whole of it, what stands behind a scheme ("Bearer abc"), and each of several lines. */
static bool visit_value(struct visit *visit, const char *value)
{
    const char *space = strrchr(value, ' ');
    return visit_part(visit, value, strlen(value)) ||
           (space != NULL && visit_part(visit, space + 1, strlen(space + 1))) ||
           (strchr(value, '\n') != NULL && visit_parts(visit, value, strlen(value), "\r\n"));
}

/* The values of a query, and user-info. */
static bool visit_url(struct visit *visit, const char *url)
{
    const char *host = url != NULL ? strstr(url, "://") : NULL;
    if (host == NULL)
        return false;
    size_t authority = strcspn(host + 3, "/?#");
    const char *at = memrchr(host + 3, '@', authority);
    if (at != NULL && visit_user_info(visit, host + 3, (size_t)(at - host - 3)))
        return true;
    const char *query = strchr(url, '?');
    for (const char *value = query; value != NULL && (value = strchr(value, '=')) != NULL;) {
        size_t size = strcspn(++value, "&#");
        if (visit_encoded(visit, value, size))
            return true;
    }
    return false;
}

static bool visit_pairs(struct visit *visit, const struct server_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (visit_value(visit, pairs[i].value))
            return true;
    return false;
}

/* Words, paths and the names of packages are none, and are needed to understand what a server says. */
static bool is_like_a_secret(const char *word)
{
    return strlen(word) >= ARGUMENT_MIN && strpbrk(word, "0123456789") != NULL && strpbrk(word, "/@ \t\r\n") == NULL;
}

/* Arguments, and what is behind the `=` of `--name=value`. */
static bool visit_arguments(struct visit *visit, const struct server_def *def)
{
    for (size_t i = 0; i < def->extras->arg_count; i++) {
        const char *equals = strchr(def->extras->args[i], '=');
        const char *word = equals != NULL ? equals + 1 : def->extras->args[i];
        if (visit_url(visit, def->extras->args[i]) || (is_like_a_secret(word) && visit_part(visit, word, strlen(word))))
            return true;
    }
    return false;
}

static bool visit_auth(struct visit *visit, const json_t *auth)
{
    static const char *const keys[] = {"clientSecret", "refreshToken", "privateKey"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        const char *value = json_string_value(json_object_get(auth, keys[i]));
        if (value != NULL && visit_part(visit, value, strlen(value)))
            return true;
    }
    return false;
}

/* Each with the NUL that its text ended with. */
static bool visit_copied(struct visit *visit, const struct buf *copied)
{
    const char *at = (const char *)copied->bytes;
    for (const char *end = at + copied->size; at < end; at += strlen(at) + 1)
        if (visit_part(visit, at, strlen(at)))
            return true;
    return false;
}

static bool visit_all(struct visit *visit, const struct mask *mask)
{
    if (mask->copied != NULL)
        return visit_copied(visit, mask->copied);
    const struct server_def *def = mask->def;
    return visit_pairs(visit, def->extras->headers, def->extras->header_count) ||
           visit_pairs(visit, def->extras->env, def->extras->env_count) || visit_url(visit, def->url) ||
           visit_url(visit, def->extras->proxy) || visit_auth(visit, def->extras->auth) ||
           visit_arguments(visit, def) || (mask->token != NULL && visit_value(visit, mask->token)) ||
           (mask->session_id != NULL && visit_value(visit, mask->session_id));
}

static bool is_there(struct visit *visit, const char *secret, size_t size)
{
    return memmem(visit->bytes, visit->size, secret, size) != NULL;
}

static bool cover(struct visit *visit, const char *secret, size_t size)
{
    char *at = visit->text;
    while ((at = memmem(at, visit->size - (size_t)(at - visit->text), secret, size)) != NULL) {
        memset(at, '*', size);
        at += size;
    }
    return false;
}

/* True, when there is no memory. */
static bool collect(struct visit *visit, const char *secret, size_t size)
{
    return buf_append(visit->out, secret, size) != 0 || buf_append(visit->out, "", 1) != 0;
}

int mask_copy(const struct mask *mask, struct buf *out)
{
    struct visit collecting = {.see = collect, .out = out};
    return visit_all(&collecting, mask) ? -ENOMEM : 0;
}

void mask_text(const struct mask *mask, char *text, size_t size)
{
    struct visit covering = {.see = cover, .text = text, .size = size};
    visit_all(&covering, mask);
}

static void cover_text(const struct mask *mask, json_t *value)
{
    struct visit look = {.see = is_there, .bytes = json_string_value(value), .size = json_string_length(value)};
    if (!visit_all(&look, mask))
        return;
    char *copy = malloc(look.size + 1);
    if (copy != NULL) {
        memcpy(copy, look.bytes, look.size + 1);
        mask_text(mask, copy, look.size);
    }
    /* A secret that ends within a character leaves no text: then nothing is left of it. */
    if (copy == NULL || json_string_setn(value, copy, look.size) != 0)
        (void)json_string_set(value, "");
    free(copy);
}

/* As deep as the parser allowed. */
static void cover_all(const struct mask *mask, json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(value))
        cover_text(mask, value);
    json_array_foreach (value, i, member)
        cover_all(mask, member);
    json_object_foreach (value, key, member)
        if (strcmp(key, "nextCursor") != 0)
            cover_all(mask, member);
}

void mask_document(const struct mask *mask, const void *bytes, size_t size, json_t *document)
{
    struct visit look = {.see = is_there, .bytes = bytes, .size = size};
    if (memchr(bytes, '\\', size) != NULL || visit_all(&look, mask))
        cover_all(mask, document);
}
