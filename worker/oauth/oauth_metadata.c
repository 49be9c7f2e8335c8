/* SPDX-License-Identifier: MIT */
/* The rules of discovery as functions of texts, so that each can be tested without a network.
 *
 * A client's secret goes where these documents say, so two checks carry the weight: a server can only speak for
 * resources that contain it, and an authorization server only for the issuer that it was asked as. A URL that a peer
 * names must be https: http is for tests, where everything is on one machine. Where the address may be is the guard's
 * to say, when the connection is made. */
#include "worker/oauth/oauth_metadata.h"

#include "common/server_url.h"
#include "common/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- URLs --- */

/* Size of the path, without a slash at its end; 0: none. */
static size_t path_size(const struct url_parts *parts)
{
    size_t size = strcspn(parts->rest, "?#");
    while (size > 0 && parts->rest[size - 1] == '/')
        size--;
    return size;
}

/* Writes scheme://host[:port] of the parts, then `infix`, then `size` bytes of the path, then `suffix`. */
static bool compose(const struct url_parts *parts, const char *infix, size_t size, const char *suffix,
                    char out[OAUTH_URL_SIZE])
{
    int length = snprintf(out, OAUTH_URL_SIZE, "%.*s://%.*s%s%.*s%s%.*s%s", (int)parts->scheme_size, parts->scheme,
                          (int)parts->host_size, parts->host, parts->port_size > 0 ? ":" : "", (int)parts->port_size,
                          parts->port, infix, (int)size, parts->rest, suffix);
    return length > 0 && length < OAUTH_URL_SIZE;
}

static bool is_loopback(const struct url_parts *parts)
{
    char host[64];
    struct in_addr address;
    if (parts->host_size >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)parts->host_size, parts->host);
    if (inet_pton(AF_INET, host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

bool oauth_metadata_may_ask(const char *url, const char *server_url)
{
    struct url_parts parts, server;
    if (server_url_error(url) != NULL || strchr(url, '#') != NULL || !url_split(url, &parts) || parts.has_user_info)
        return false;
    if (parts.scheme_size == strlen("https"))
        return true;
    return is_loopback(&parts) && url_split(server_url, &server) && is_loopback(&server);
}

bool oauth_metadata_default_resource(const char *server_url, char out[OAUTH_URL_SIZE])
{
    struct url_parts parts;
    return url_split(server_url, &parts) && compose(&parts, "", strcspn(parts.rest, "?#"), "", out);
}

bool oauth_metadata_origin(const char *server_url, char out[OAUTH_URL_SIZE])
{
    struct url_parts parts;
    return url_split(server_url, &parts) && compose(&parts, "", 0, "", out);
}

bool oauth_metadata_resource_url(const char *server_url, unsigned index, char out[OAUTH_URL_SIZE])
{
    static const char KNOWN[] = "/.well-known/oauth-protected-resource";
    struct url_parts parts;
    if (!url_split(server_url, &parts))
        return false;
    size_t path = path_size(&parts);
    if (index == 0)
        return compose(&parts, KNOWN, path, "", out);
    return index == 1 && path > 0 && compose(&parts, KNOWN, 0, "", out);
}

bool oauth_metadata_issuer_url(const char *issuer, unsigned index, char out[OAUTH_URL_SIZE])
{
    static const char OAUTH[] = "/.well-known/oauth-authorization-server";
    static const char OPENID[] = "/.well-known/openid-configuration";
    struct url_parts parts;
    if (!url_split(issuer, &parts))
        return false;
    size_t path = path_size(&parts);
    switch (index) {
    case 0:
        return compose(&parts, OAUTH, path, "", out);
    case 1:
        return compose(&parts, OPENID, path, "", out);
    case 2: /* the same as the one before, when there is no path */
        return path > 0 && compose(&parts, "", path, OPENID, out);
    default:
        return false;
    }
}

/* --- documents --- */

/* Copies the text of a member; false when it is none, is empty, or too long. */
static bool copy_text(const json_t *text, char *out, size_t size)
{
    size_t length = json_string_length(text);
    if (length == 0 || length >= size)
        return false;
    memcpy(out, json_string_value(text), length + 1);
    return true;
}

static bool covers(const char *resource, const char *server_url)
{
    struct url_parts a, b;
    if (!url_split(resource, &a) || !url_split(server_url, &b) || !url_same_origin(&a, &b) || a.has_user_info)
        return false;
    size_t size = path_size(&a);
    return size <= path_size(&b) && memcmp(a.rest, b.rest, size) == 0 && (size == path_size(&b) || b.rest[size] == '/');
}

/* Scope names (RFC 6749, 3.3) without the space between them. */
static bool is_scope_name(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '"' || name[i] == '\\')
            return false;
    return size > 0;
}

static bool has_scope(const char *scope, const char *name, size_t size)
{
    while (*scope != '\0') {
        size_t length = strcspn(scope, " ");
        if (length == size && memcmp(scope, name, size) == 0)
            return true;
        scope += length + strspn(scope + length, " ");
    }
    return false;
}

bool oauth_metadata_add_scope(char scope[OAUTH_SCOPE_SIZE], const char *more)
{
    char sum[OAUTH_SCOPE_SIZE];
    size_t used = strlen(scope);
    memcpy(sum, scope, used + 1);
    for (more += strspn(more, " "); *more != '\0'; more += strspn(more, " ")) {
        size_t size = strcspn(more, " ");
        if (!is_scope_name(more, size) || used + size + 2 > OAUTH_SCOPE_SIZE)
            return false;
        if (!has_scope(sum, more, size)) {
            if (used > 0)
                sum[used++] = ' ';
            memcpy(sum + used, more, size);
            used += size;
            sum[used] = '\0';
        }
        more += size;
    }
    bool is_more = used > strlen(scope);
    memcpy(scope, sum, used + 1);
    return is_more;
}

/* All names, or "" when one of them is none or there are too many: half of them would be another scope. */
static void read_scopes(const json_t *names, char out[OAUTH_SCOPE_SIZE])
{
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        bool is_known = name != NULL && has_scope(out, name, strlen(name));
        if (name == NULL || strchr(name, ' ') != NULL || (!is_known && !oauth_metadata_add_scope(out, name))) {
            out[0] = '\0';
            return;
        }
    }
}

/* NULL, or what is wrong with the first one that may not be asked. */
static const char *read_issuers(const json_t *issuers, const char *server_url, struct oauth_resource *out)
{
    const char *problem = NULL;
    out->issuer_count = 0;
    for (size_t i = 0; i < json_array_size(issuers) && out->issuer_count < OAUTH_ISSUERS_MAX; i++) {
        char *issuer = out->issuers[out->issuer_count];
        if (!copy_text(json_array_get(issuers, i), issuer, OAUTH_URL_SIZE))
            problem = problem != NULL ? problem : "its authorization server is no URL";
        else if (!oauth_metadata_may_ask(issuer, server_url))
            problem = problem != NULL ? problem : "its authorization server is not on https";
        else
            out->issuer_count++;
    }
    return problem;
}

const char *oauth_metadata_read_resource(const json_t *document, const char *server_url, struct oauth_resource *out)
{
    const json_t *issuers = json_object_get(document, "authorization_servers");
    if (!copy_text(json_object_get(document, "resource"), out->resource, sizeof(out->resource)))
        return "it names no resource";
    if (!covers(out->resource, server_url))
        return "it is for another resource";
    const char *problem = read_issuers(issuers, server_url, out);
    if (problem != NULL && out->issuer_count == 0)
        return problem;
    read_scopes(json_object_get(document, "scopes_supported"), out->scope);
    return NULL;
}

/* RFC 8414, 3.3: identical; but for the slash that alone is no path. */
static bool is_same_issuer(const char *a, const char *b)
{
    struct url_parts parts;
    size_t size = strlen(a), other = strlen(b);
    if (!url_split(a, &parts))
        return false;
    if (path_size(&parts) == 0 && size > 0 && a[size - 1] == '/')
        size--;
    if (path_size(&parts) == 0 && other == size + 1 && b[size] == '/')
        other--;
    return size == other && memcmp(a, b, size) == 0;
}

static bool has_text(const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *item = json_string_value(json_array_get(array, i));
        if (item != NULL && strcmp(item, text) == 0)
            return true;
    }
    return false;
}

const char *oauth_metadata_read_issuer(const json_t *document, const char *issuer, const char *server_url,
                                       struct oauth_issuer *out)
{
    const json_t *methods = json_object_get(document, "token_endpoint_auth_methods_supported");
    if (!copy_text(json_object_get(document, "issuer"), out->issuer, sizeof(out->issuer)))
        return "it names no issuer";
    if (!is_same_issuer(out->issuer, issuer))
        return "it is of another issuer";
    if (!copy_text(json_object_get(document, "token_endpoint"), out->token_endpoint, sizeof(out->token_endpoint)))
        return "it names no token endpoint";
    if (!oauth_metadata_may_ask(out->token_endpoint, server_url))
        return "its token endpoint is not on https";
    out->secret_in_body = has_text(methods, "client_secret_post") && !has_text(methods, "client_secret_basic");
    return NULL;
}
