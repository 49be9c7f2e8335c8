/* SPDX-License-Identifier: MIT */
/* What differs when a fleet speaks https. The certificate signs itself and is made anew at each start, so that no key
 * stands in the tree and none expires. Buffers are released between records, as a server with many quiet connections
 * does: what a stream costs the fleet must leave room for what it costs the client. */
#include "tests/fleet/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { VALID_SECONDS = 30 * 24 * 3600 };

static int add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int is_added = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return is_added;
}

static int add_addresses(X509 *certificate)
{
    char names[TLS_ADDRESSES * sizeof("IP:127.1.1.255,")];
    size_t size = 0;
    for (int i = 1; i <= TLS_ADDRESSES; i++)
        size += (size_t)snprintf(names + size, sizeof(names) - size, "%sIP:127.1.1.%d", i == 1 ? "" : ",", i);
    return add_extension(certificate, NID_subject_alt_name, names);
}

/* NULL: OpenSSL could not. */
static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    if (!certificate)
        return NULL;
    X509_NAME *name = X509_get_subject_name(certificate);
    if (X509_set_version(certificate, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -VALID_SECONDS) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_SECONDS) && X509_set_pubkey(certificate, key) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mcp-fleet", -1, -1, 0) &&
        X509_set_issuer_name(certificate, name) && add_extension(certificate, NID_basic_constraints, "CA:TRUE") &&
        add_addresses(certificate) && X509_sign(certificate, key, EVP_sha256()))
        return certificate;
    X509_free(certificate);
    return NULL;
}

static int write_certificate(const char *path, X509 *certificate)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    int is_written = PEM_write_X509(file, certificate);
    return fclose(file) == 0 && is_written ? 0 : -EIO;
}

int tls_create(const char *path, struct ssl_ctx_st **out)
{
    int result = -ENOMEM;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key) : NULL;
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (certificate && tls && SSL_CTX_use_certificate(tls, certificate) && SSL_CTX_use_PrivateKey(tls, key)) {
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
        result = write_certificate(path, certificate);
    }
    EVP_PKEY_free(key);
    X509_free(certificate);
    if (result != 0)
        SSL_CTX_free(tls);
    *out = result == 0 ? tls : NULL;
    return result;
}

struct ssl_st *tls_accept(struct ssl_ctx_st *tls, int fd)
{
    SSL *connection = SSL_new(tls);
    if (connection && SSL_set_fd(connection, fd)) {
        SSL_set_accept_state(connection);
        return connection;
    }
    SSL_free(connection);
    return NULL;
}

static ssize_t outcome(SSL *connection, int count)
{
    if (count > 0)
        return count;
    int error = SSL_get_error(connection, count);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

ssize_t tls_receive(struct ssl_st *connection, void *bytes, size_t size)
{
    return outcome(connection, SSL_read(connection, bytes, (int)size));
}

ssize_t tls_send(struct ssl_st *connection, const void *bytes, size_t size)
{
    return outcome(connection, SSL_write(connection, bytes, (int)size));
}

void tls_free(struct ssl_st *connection, int in_order)
{
    if (connection && in_order && SSL_is_init_finished(connection))
        SSL_shutdown(connection);
    ERR_clear_error();
    SSL_free(connection);
}
