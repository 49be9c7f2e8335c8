/* SPDX-License-Identifier: MIT */
/* The statement says: I am this client (iss, sub), I speak to you (aud), just now (iat, exp), and only once (jti). So
 * one that is overheard is of no use to another server, and of none for long.
 *
 * libjwt gives the tokens to free() and the errors as EINVAL without a reason; since all else that it is given here is
 * known to be good, that means the key. A key with a passphrase never gets here: OpenSSL would ask for it on a
 * terminal. */
#include "worker/oauth/client_assertion.h"

#include "common/random.h"

#include <errno.h>
#include <jwt.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { LIFETIME_S = 300 };

static jwt_alg_t algorithm_of(const char *name)
{
    static const struct {
        const char *name;
        jwt_alg_t algorithm;
    } ALGORITHMS[] = {
        {"RS256", JWT_ALG_RS256}, {"RS384", JWT_ALG_RS384}, {"RS512", JWT_ALG_RS512},
        {"ES256", JWT_ALG_ES256}, {"ES384", JWT_ALG_ES384}, {"ES512", JWT_ALG_ES512},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(ALGORITHMS); i++)
        if (strcmp(name, ALGORITHMS[i].name) == 0)
            return ALGORITHMS[i].algorithm;
    return JWT_ALG_INVAL;
}

static bool add_claims(jwt_t *jwt, const struct client_assertion *assertion, const char *id)
{
    long now_s = (long)(assertion->now_wall_ms / 1000);
    return (assertion->key_id == NULL || jwt_add_header(jwt, "kid", assertion->key_id) == 0) &&
           jwt_add_grant(jwt, "iss", assertion->client_id) == 0 &&
           jwt_add_grant(jwt, "sub", assertion->client_id) == 0 &&
           jwt_add_grant(jwt, "aud", assertion->audience) == 0 && jwt_add_grant(jwt, "jti", id) == 0 &&
           jwt_add_grant_int(jwt, "iat", now_s) == 0 && jwt_add_grant_int(jwt, "exp", now_s + LIFETIME_S) == 0;
}

int client_assertion_sign(const struct client_assertion *assertion, char **out)
{
    char id[RANDOM_ID_SIZE];
    jwt_t *jwt = NULL;
    int result = random_id(id);
    if (result != 0)
        return result;
    if (jwt_new(&jwt) != 0 || !add_claims(jwt, assertion, id)) {
        result = -ENOMEM;
        goto free_jwt;
    }
    const unsigned char *key = (const unsigned char *)assertion->private_key;
    result = CLIENT_ASSERTION_BAD_KEY;
    if (jwt_set_alg(jwt, algorithm_of(assertion->algorithm), key, (int)strlen(assertion->private_key)) != 0)
        goto free_jwt;
    char *text = jwt_encode_str(jwt);
    if (text == NULL)
        goto free_jwt;
    *out = text;
    result = 0;
free_jwt:
    jwt_free(jwt);
    return result;
}
