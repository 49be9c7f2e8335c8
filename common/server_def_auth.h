/* SPDX-License-Identifier: MIT */
/* The `auth` key of a definition: how the worker gets a bearer token for a server. All values are texts.
 *
 *   client_credentials   clientId, and one of: clientSecret; privateKey (PEM); privateKeyFile (its path)
 *   refresh_token        clientId, refreshToken; those above may be given
 *
 *   with a private key   algorithm (RS256, the default, RS384, RS512, ES256, ES384, ES512)  keyId
 *   with both types      scope  issuer  tokenEndpoint  (the last two: where to ask, instead of asking the server)
 *
 * Checked here for everybody: who gets a definition relies on it. Private to server_def_draft.c. Pure. */
#ifndef COMMON_SERVER_DEF_AUTH_H
#define COMMON_SERVER_DEF_AUTH_H

#include "common/names.h"

#include <jansson.h>

typedef void (*server_def_auth_on_problem)(void *user, const char *key, const char *message);

/* Tells all that is wrong with an object whose values are texts, key by key; never a value. */
void server_def_auth_check(json_t *auth, enum source source, server_def_auth_on_problem on_problem, void *user);

#endif
