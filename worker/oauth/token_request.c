/* SPDX-License-Identifier: MIT */
/* Who the client is, is proved in one of three ways, which the definition's `auth` says: a secret in a Basic header (or
 * in the form, for servers that offer nothing else), a statement signed with a private key, or nothing but its name
 * (a refresh token of a public client).
 *
 * Everything made here is secret. It is given back by token_request_fini as soon as it has been sent. */
#include "worker/oauth/token_request.h"

#include "common/buf.h"
#include "common/clock.h"
#include "worker/oauth/client_assertion.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { FORM_MAX = 256 * 1024, KEY_FILE_MAX = 16 * 1024, TOKEN_MAX = 16 * 1024 };

enum { LIFETIME_MAX_S = 30 * 24 * 60 * 60 };

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static const char *text_of(const json_t *auth, const char *key)
{
    return json_string_value(json_object_get(auth, key));
}

/* --- encodings --- */

/* As a form has it (RFC 6749, appendix B), but with %20 for a space, which is understood just as well. */
static int add_encoded(struct buf *form, const char *text)
{
    static const char PLAIN[] = "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    int outcome = 0;
    for (; *text != '\0' && outcome == 0; text++) {
        if (strchr(PLAIN, *text) != NULL)
            outcome = buf_append(form, text, 1);
        else
            outcome = buf_printf(form, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return outcome;
}

/* `value` NULL: left out. */
static int add_field(struct buf *form, const char *name, const char *value)
{
    if (value == NULL)
        return 0;
    int outcome = buf_printf(form, "%s%s=", form->size > 0 ? "&" : "", name);
    return outcome != 0 ? outcome : add_encoded(form, value);
}

/* --- proofs --- */

/* "Authorization: Basic …" of both parts, each encoded as in a form before that (RFC 6749, 2.3.1). */
static char *make_basic(const char *client_id, const char *secret)
{
    struct buf pair, line;
    char *text = NULL;
    buf_init(&pair, FORM_MAX);
    buf_init(&line, FORM_MAX);
    if (add_encoded(&pair, client_id) == 0 && buf_append_text(&pair, ":") == 0 && add_encoded(&pair, secret) == 0 &&
        buf_append_text(&line, "Authorization: Basic ") == 0 && buf_append_base64(&line, pair.bytes, pair.size) == 0)
        text = (char *)buf_take(&line);
    buf_fini(&pair);
    buf_fini(&line);
    return text;
}

/* The text of a PEM file; NULL when it can't be read, or is none that can be used. */
static char *read_key_file(const char *path)
{
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is no key file, and must not be waited for */
    if (fd < 0)
        return NULL;
    text = calloc(1, KEY_FILE_MAX);
    ssize_t size = text == NULL ? -1 : read(fd, text, KEY_FILE_MAX - 1);
    close(fd);
    if (size > 0 && strstr(text, "ENCRYPTED") == NULL)
        return text;
    free(text);
    return NULL;
}

static int add_assertion(struct buf *form, const struct token_request_values *values, const char *private_key,
                         const char **problem)
{
    const char *algorithm = text_of(values->auth, "algorithm");
    const struct client_assertion assertion = {
        .client_id = text_of(values->auth, "clientId"),
        .audience = values->audience,
        .private_key = private_key,
        .algorithm = algorithm != NULL ? algorithm : "RS256",
        .key_id = text_of(values->auth, "keyId"),
        .now_wall_ms = clock_wall_ms(),
    };
    char *text;
    int result = client_assertion_sign(&assertion, &text);
    if (result == CLIENT_ASSERTION_BAD_KEY)
        *problem = "the private key is none for the algorithm, or can't be read";
    if (result != 0)
        return result;
    if (add_field(form, "client_assertion_type", ASSERTION_TYPE) != 0 || add_field(form, "client_assertion", text) != 0)
        result = -ENOMEM;
    free(text);
    return result;
}

static int add_proof(struct token_request *request, struct buf *form, const struct token_request_values *values,
                     const char **problem)
{
    const char *client_id = text_of(values->auth, "clientId");
    const char *secret = text_of(values->auth, "clientSecret");
    const char *private_key = text_of(values->auth, "privateKey");
    const char *path = text_of(values->auth, "privateKeyFile");
    if (secret != NULL && !values->secret_in_body) {
        request->authorization = make_basic(client_id, secret);
        return request->authorization == NULL ? -ENOMEM : 0;
    }
    if (add_field(form, "client_id", client_id) != 0 || add_field(form, "client_secret", secret) != 0)
        return -ENOMEM;
    if (private_key != NULL)
        return add_assertion(form, values, private_key, problem);
    if (path == NULL)
        return 0;
    char *read_key = read_key_file(path);
    *problem = "the private key's file can't be read, or the key has a passphrase";
    int result = read_key == NULL ? 1 : add_assertion(form, values, read_key, problem);
    free(read_key);
    return result;
}

/* --- the request --- */

int token_request_init(struct token_request *request, const struct token_request_values *values, const char **problem)
{
    struct buf form;
    const char *type = text_of(values->auth, "type");
    bool refreshes = strcmp(type, "refresh_token") == 0;
    *request = (struct token_request){.body = NULL};
    buf_init(&form, FORM_MAX);
    int result = add_field(&form, "grant_type", type);
    if (result == 0 && refreshes)
        result = add_field(&form, "refresh_token", values->refresh_token);
    if (result == 0)
        result = add_field(&form, "resource", values->resource);
    if (result == 0 && values->scope[0] != '\0')
        result = add_field(&form, "scope", values->scope);
    result = result != 0 ? -ENOMEM : add_proof(request, &form, values, problem);
    if (result == 0)
        request->body = (char *)buf_take(&form);
    else
        token_request_fini(request);
    buf_fini(&form);
    return result;
}

void token_request_fini(struct token_request *request)
{
    free(request->body);
    free(request->authorization);
    *request = (struct token_request){.body = NULL};
}

/* --- the answer --- */

/* Visible ASCII, as RFC 6750 has it and more: what matters is that it can't end the header. */
static bool is_token(const char *text)
{
    size_t size = 0;
    for (; text[size] != '\0'; size++)
        if (text[size] <= ' ' || text[size] > '~')
            return false;
    return size > 0 && size <= TOKEN_MAX;
}

const char *token_request_read(const json_t *document, struct token_answer *out)
{
    const char *type = text_of(document, "token_type");
    const char *refresh_token = text_of(document, "refresh_token");
    const json_t *lifetime = json_object_get(document, "expires_in");
    *out = (struct token_answer){.access_token = text_of(document, "access_token")};
    if (out->access_token == NULL)
        return "it gives no access token";
    if (!is_token(out->access_token))
        return "its access token is none";
    if (type != NULL && strcasecmp(type, "Bearer") != 0)
        return "its token is no bearer token";
    if (refresh_token != NULL && is_token(refresh_token))
        out->refresh_token = refresh_token;
    if (json_is_number(lifetime)) {
        double s = json_number_value(lifetime);
        out->lifetime_ms = s >= LIFETIME_MAX_S ? (uint64_t)LIFETIME_MAX_S * 1000 : s > 0 ? (uint64_t)(s * 1000) + 1 : 1;
    }
    return NULL;
}
