/* SPDX-License-Identifier: MIT */
/* Which keys of `auth` belong to which type, and what each may be. What is let through here is used without another
 * check: an algorithm is one that can be signed with, a scope can stand in a form, a URL is one.
 *
 * A key with a passphrase is refused, because the library that reads it would ask for the passphrase on a terminal and
 * so stop the worker. A path is refused at run time: whoever may connect a server is not the operator, and must not
 * have files read for him. */
#include "common/server_def_auth.h"

#include "common/compiler.h"
#include "common/server_url.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CLIENT_CREDENTIALS = 1, REFRESH_TOKEN = 2, BOTH = CLIENT_CREDENTIALS | REFRESH_TOKEN };

enum { MESSAGE_SIZE = 256 };

struct checking {
    json_t *auth;
    enum source source;
    server_def_auth_on_problem on_problem;
    void *user;
};

/* --- what is wrong with a value, or NULL --- */

static const char *check_filled(const char *text)
{
    return text[0] == '\0' ? "is empty" : NULL;
}

static const char *check_private_key(const char *text)
{
    if (strstr(text, "-----BEGIN ") == NULL)
        return "must be a private key as PEM text";
    return strstr(text, "ENCRYPTED") != NULL ? "has a passphrase, which nobody would be there to give" : NULL;
}

static const char *check_algorithm(const char *text)
{
    static const char *const algorithms[] = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"};

    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++)
        if (strcmp(text, algorithms[i]) == 0)
            return NULL;
    return "must be RS256, RS384, RS512, ES256, ES384 or ES512";
}

/* RFC 6749, 3.3: names with single spaces between them. */
static const char *check_scope(const char *text)
{
    for (const unsigned char *byte = (const unsigned char *)text; *byte != '\0'; byte++)
        if (*byte < ' ' || *byte > '~' || *byte == '"' || *byte == '\\')
            return "must be names with spaces between them";
    return check_filled(text);
}

static const char *check_url(const char *text)
{
    const char *error = server_url_error(text);

    if (error == NULL && strchr(text, '#') != NULL)
        error = "has a fragment";
    return error;
}

static const char *check_issuer(const char *text)
{
    return strchr(text, '?') != NULL ? "has a query" : check_url(text);
}

static const struct key {
    const char *name;
    int types;
    const char *(*check)(const char *text);
} keys[] = {
    {"type", BOTH, check_filled},           {"clientId", BOTH, check_filled},
    {"clientSecret", BOTH, check_filled},   {"privateKey", BOTH, check_private_key},
    {"privateKeyFile", BOTH, check_filled}, {"algorithm", BOTH, check_algorithm},
    {"keyId", BOTH, check_filled},          {"refreshToken", REFRESH_TOKEN, check_filled},
    {"scope", BOTH, check_scope},           {"issuer", BOTH, check_issuer},
    {"tokenEndpoint", BOTH, check_url},
};

/* --- the whole --- */

static void tell(const struct checking *checking, const char *key, const char *message)
{
    checking->on_problem(checking->user, key, message);
}

static bool has(const struct checking *checking, const char *key)
{
    return json_object_get(checking->auth, key) != NULL;
}

/* 0: told that there is none to go by. */
static int check_type(const struct checking *checking)
{
    const char *type = json_string_value(json_object_get(checking->auth, "type"));

    if (type != NULL && strcmp(type, "client_credentials") == 0)
        return CLIENT_CREDENTIALS;
    if (type != NULL && strcmp(type, "refresh_token") == 0)
        return REFRESH_TOKEN;
    tell(checking, "type", "must be \"client_credentials\" or \"refresh_token\"");
    return 0;
}

static void tell_unknown(const struct checking *checking, const char *name)
{
    char message[MESSAGE_SIZE] = "unknown key; known are";
    size_t size = strlen(message);

    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        if (strcasecmp(keys[i].name, name) == 0) {
            snprintf(message, sizeof message, "unknown key; \"%s\" is meant", keys[i].name);
            break;
        }
        size += (size_t)snprintf(message + size, sizeof message - size, "%s %s", i > 0 ? "," : "", keys[i].name);
    }
    tell(checking, name, message);
}

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static void check_keys(const struct checking *checking, int type)
{
    const char *name;
    json_t *value;

    json_object_foreach (checking->auth, name, value) {
        const struct key *key = find_key(name);
        if (key == NULL) {
            tell_unknown(checking, name);
            continue;
        }
        if ((key->types & type) == 0) {
            tell(checking, name, "means nothing for type \"client_credentials\"");
            continue;
        }
        const char *error = json_is_string(value) ? key->check(json_string_value(value)) : NULL;
        if (error != NULL)
            tell(checking, name, error);
    }
}

/* How the client proves that it is the one that it says it is. */
static void check_proof(const struct checking *checking, int type)
{
    bool has_key = has(checking, "privateKey") || has(checking, "privateKeyFile");
    int proofs = has(checking, "clientSecret") + has(checking, "privateKey") + has(checking, "privateKeyFile");

    if (proofs == 0 && type == CLIENT_CREDENTIALS)
        tell(checking, "clientSecret", "is missing (or privateKey, or privateKeyFile)");
    else if (proofs > 1)
        tell(checking, has(checking, "privateKey") ? "privateKey" : "privateKeyFile",
             "only one of clientSecret, privateKey and privateKeyFile can be given");
    if (!has_key && has(checking, "algorithm"))
        tell(checking, "algorithm", "means nothing without a private key");
    if (!has_key && has(checking, "keyId"))
        tell(checking, "keyId", "means nothing without a private key");
    if (has(checking, "privateKeyFile") && checking->source == SOURCE_RUNTIME)
        tell(checking, "privateKeyFile", "can be given in the servers file only");
}

void server_def_auth_check(json_t *auth, enum source source, server_def_auth_on_problem on_problem, void *user)
{
    const struct checking checking = {.auth = auth, .source = source, .on_problem = on_problem, .user = user};
    int type = check_type(&checking);

    if (type == 0)
        return;
    check_keys(&checking, type);
    if (!has(&checking, "clientId"))
        tell(&checking, "clientId", "is missing");
    if (type == REFRESH_TOKEN && !has(&checking, "refreshToken"))
        tell(&checking, "refreshToken", "is missing");
    check_proof(&checking, type);
}
