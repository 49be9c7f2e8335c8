/* SPDX-License-Identifier: MIT */
/* hiredis' own TLS contexts check the chain of a certificate, but not whose it is. So the session is made here, with
 * OpenSSL, where both are asked for, and given to hiredis, which owns it from then on.
 */
#include "broker/hub/redis_tls.h"

#include <errno.h>

#ifdef MCP_BROKER_REDIS_TLS

#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_tls {
    SSL_CTX *context;
    char why[128];
};

static int on_verified(int is_good, X509_STORE_CTX *store)
{
    SSL *session = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct redis_tls *tls = SSL_get_app_data(session);
    if (!is_good)
        snprintf(tls->why, sizeof(tls->why), "certificate: %s",
                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    return is_good;
}

int redis_tls_create(struct redis_tls **out)
{
    struct redis_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return -ENOMEM;
    tls->context = SSL_CTX_new(TLS_client_method());
    if (!tls->context || SSL_CTX_set_default_verify_paths(tls->context) != 1 ||
        SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
        redis_tls_destroy(tls);
        return -ENOMEM;
    }
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, on_verified);
    *out = tls;
    return 0;
}

void redis_tls_destroy(struct redis_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

static bool expect_host(SSL *session, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) == 1;
    return SSL_set1_host(session, host) == 1 && SSL_set_tlsext_host_name(session, host) == 1;
}

int redis_tls_start(struct redis_tls *tls, redisAsyncContext *context, const char *host)
{
    SSL *session = SSL_new(tls->context);
    tls->why[0] = '\0';
    if (session && SSL_set_app_data(session, tls) == 1 && expect_host(session, host) &&
        redisInitiateSSL(&context->c, session) == REDIS_OK)
        return 0;
    SSL_free(session);
    return 1;
}

const char *redis_tls_error(const struct redis_tls *tls)
{
    return tls->why;
}

#else

int redis_tls_create(struct redis_tls **out)
{
    (void)out;
    return -ENOTSUP;
}

void redis_tls_destroy(struct redis_tls *tls)
{
    (void)tls;
}

int redis_tls_start(struct redis_tls *tls, redisAsyncContext *context, const char *host)
{
    (void)tls, (void)context, (void)host;
    return 1;
}

const char *redis_tls_error(const struct redis_tls *tls)
{
    (void)tls;
    return "";
}

#endif
