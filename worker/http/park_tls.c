/* SPDX-License-Identifier: MIT */
/* How a TLS connection leaves libcurl, which has no way to give one away. It closes a connection with all of its
 * transfer: reads once more, says goodbye, has SSL_set_connect_state wipe the keys, and frees. So before that
 *
 *   - a reference keeps the SSL alive, and its BIO, which is libcurl's, is exchanged for the one of all that were taken;
 *   - it is marked as closed in both directions and quiet, whereupon OpenSSL neither reads nor writes;
 *   - SSL_set_connect_state is defined here, and leaves alone an SSL that was taken. All other calls go to OpenSSL's.
 *
 * Should another libcurl do otherwise, the handshake is found undone afterwards, and the stream ends as if it were cut.
 *
 * What a connection holds for a handshake, it needs no more: the keys that were exchanged, the chain, and the session with
 * the peer's certificates, which is exchanged for one that all share. It can only be exchanged under a context of the very
 * method that was agreed upon, else OpenSSL starts anew: so there is a shared context for each method. Tickets, which still
 * come, are taken by nobody; renegotiation and requests for a certificate end the connection.
 *
 * An SSL holds on to the context that it was made with, and libcurl makes one for each connection, which is larger than
 * all the rest. So SSL_new is defined here, too: it takes the first one of all those to be verified by the same CA file.
 * libcurl fills a context's store only once its server has answered; with hundreds on their way at once that is late, and
 * so the first one is filled here. After an hour another, whose file may have changed, takes its place.
 *
 * That context of libcurl's, and the certificates, are some hundred small pieces that are soon freed again: SSL_CTX_new,
 * X509_new_ex, d2i_X509 and X509_verify_cert, which takes apart what is in one, are defined here to tell so to tls_memory.c.
 *
 * Between two reads an SSL is at rest, and nobody but this file reaches for it: see fold.c.
 *
 * Nothing is written but the goodbye, and OpenSSL's answers to KeyUpdate. A peer that asks for so many that they don't go
 * out is given up, for the park waits for no socket to become writable. */
#include "worker/http/park_tls.h"

#include "common/clock.h"
#include "worker/http/fold.h"
#include "worker/http/tls_memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

enum { METHODS_MAX = 4, AUTHORITIES_MAX = 16 };

enum { KEPT_MS = 3600 * 1000 };

/* What has been silent for that long is folded; so many take less than a millisecond. */
enum { SILENT_MS = 1000, FOLDED_AT_ONCE = 64 };

/* What all connections of a method share. Made when first needed, and kept as long as the process lives. */
struct shared {
    const SSL_METHOD *method;
    SSL_CTX *context;
    SSL_SESSION *session;
};

static struct shared shared[METHODS_MAX];

struct park_tls_authority {
    char *ca_file; /* "": the system's */
    SSL_CTX *context;
    uint64_t since_ms; /* it has been this one */
};

static struct park_tls_authority authorities[AUTHORITIES_MAX];

/* That of all connections that were taken. It has the descriptor of the one that is in use. */
static BIO *socket_bio;

/* In the next SSL_new of this thread, one context stands for another. */
static _Thread_local SSL_CTX *replaced, *replacement;

/* C knows no cast from a pointer to data. */
static void find(void *where, const char *name, void *function)
{
    void *symbol = dlsym(where, name);
    memcpy(function, &symbol, sizeof symbol);
}

/* Of the mark of those that were taken; negative: there is no memory for it. */
static int mark_index(void)
{
    static int index = -1;
    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

static bool is_taken(const SSL *tls)
{
    int index = mark_index();
    return index >= 0 && SSL_get_ex_data(tls, index) != NULL;
}

/* libcurl's calls come here, as do all others of the process. */
void SSL_set_connect_state(SSL *tls)
{
    void (*real)(SSL *);
    if (is_taken(tls))
        return;
    find(RTLD_NEXT, "SSL_set_connect_state", &real);
    real(tls);
}

SSL *SSL_new(SSL_CTX *ctx)
{
    SSL *(*real)(SSL_CTX *);
    find(RTLD_NEXT, "SSL_new", &real);
    SSL *tls = real(replaced && ctx == replaced ? replacement : ctx);
    replaced = replacement = NULL;
    return tls;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    SSL_CTX *(*real)(const SSL_METHOD *);
    find(RTLD_NEXT, "SSL_CTX_new", &real);
    tls_memory_is_brief(true);
    SSL_CTX *context = real(method);
    tls_memory_is_brief(false);
    return context;
}

X509 *d2i_X509(X509 **out, const unsigned char **in, long size)
{
    X509 *(*real)(X509 **, const unsigned char **, long);
    find(RTLD_NEXT, "d2i_X509", &real);
    tls_memory_is_brief(true);
    X509 *certificate = real(out, in, size);
    tls_memory_is_brief(false);
    return certificate;
}

X509 *X509_new_ex(OSSL_LIB_CTX *libctx, const char *propq)
{
    X509 *(*real)(OSSL_LIB_CTX *, const char *);
    find(RTLD_NEXT, "X509_new_ex", &real);
    tls_memory_is_brief(true);
    X509 *certificate = real(libctx, propq);
    tls_memory_is_brief(false);
    return certificate;
}

int X509_verify_cert(X509_STORE_CTX *ctx)
{
    int (*real)(X509_STORE_CTX *);
    find(RTLD_NEXT, "X509_verify_cert", &real);
    tls_memory_is_brief(true);
    int result = real(ctx);
    tls_memory_is_brief(false);
    return result;
}

struct park_tls_authority *park_tls_authority(const char *ca_file)
{
    const char *name = ca_file ? ca_file : "";
    for (size_t i = 0; i < AUTHORITIES_MAX; i++) {
        struct park_tls_authority *authority = &authorities[i];
        if (!authority->ca_file)
            authority->ca_file = strdup(name);
        if (!authority->ca_file)
            return NULL;
        if (strcmp(authority->ca_file, name) == 0)
            return authority;
    }
    return NULL;
}

static bool is_current(const struct park_tls_authority *authority)
{
    return authority->context && clock_mono_ms() - authority->since_ms < KEPT_MS;
}

/* As libcurl will, which sees to it only once the server has answered: others may share it from now on. */
static bool fill(SSL_CTX *context, const char *ca_file)
{
    tls_memory_is_brief(true); /* or these few would keep blocks of the many that go */
    bool is_filled = SSL_CTX_load_verify_file(context, ca_file) == 1 &&
                     X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN) == 1;
    tls_memory_is_brief(false);
    ERR_clear_error();
    return is_filled;
}

void park_tls_share(SSL_CTX *context, struct park_tls_authority *authority)
{
    if (is_current(authority)) {
        replaced = context;
        replacement = authority->context;
    } else if (authority->ca_file[0] != '\0' && fill(context, authority->ca_file)) {
        SSL_CTX_up_ref(context);
        SSL_CTX_free(authority->context);
        authority->context = context;
        authority->since_ms = clock_mono_ms();
    }
}

bool park_tls_can(void)
{
    void (*first)(SSL *);
    find(RTLD_DEFAULT, "SSL_set_connect_state", &first);
    return first == SSL_set_connect_state && mark_index() >= 0;
}

int park_tls_take(SSL *tls)
{
    if (!SSL_is_init_finished(tls) || SSL_get_shutdown(tls) != 0)
        return -ENOTCONN;
    if (!socket_bio)
        socket_bio = BIO_new(BIO_s_socket());
    if (!socket_bio || !SSL_set_ex_data(tls, mark_index(), tls)) {
        ERR_clear_error();
        return -ENOMEM;
    }
    SSL_up_ref(tls);
    BIO_up_ref(socket_bio);
    SSL_set_bio(tls, socket_bio, socket_bio);
    SSL_set_app_data(tls, NULL); /* libcurl's, where it looks when a ticket comes */
    SSL_set_quiet_shutdown(tls, 1);
    SSL_set_shutdown(tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return 0;
}

static bool make_shared(struct shared *made, const SSL_METHOD *method)
{
    made->context = SSL_CTX_new(method);
    tls_memory_is_brief(true); /* as above */
    made->session = SSL_SESSION_new();
    tls_memory_is_brief(false);
    if (made->context && made->session) {
        made->method = method;
        return true;
    }
    SSL_CTX_free(made->context);
    SSL_SESSION_free(made->session);
    *made = (struct shared){0};
    return false;
}

/* NULL: no memory, or there are more methods than there can be. */
static const struct shared *shared_of(const SSL_METHOD *method)
{
    for (size_t i = 0; i < METHODS_MAX; i++)
        if (shared[i].method == method || (!shared[i].method && make_shared(&shared[i], method)))
            return &shared[i];
    return NULL;
}

/* A key that the traffic's were made of. The SSL keeps the hull. */
static void empty(EVP_PKEY *key)
{
    (void)EVP_PKEY_set_type(key, EVP_PKEY_get_base_id(key));
    EVP_PKEY_free(key);
}

/* What can't be exchanged is kept. */
static void shed(SSL *tls)
{
    EVP_PKEY *key;
    if (SSL_get_tmp_key(tls, &key))
        empty(key);
    if (SSL_get_peer_tmp_key(tls, &key))
        empty(key);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(tls);
    while (sk_X509_num(chain) > 0) /* -1: there is none */
        X509_free(sk_X509_pop(chain));
    const struct shared *with = shared_of(SSL_get_ssl_method(tls));
    if (with && SSL_set_SSL_CTX(tls, with->context) == with->context)
        SSL_set_session(tls, with->session);
    (void)SSL_set_alpn_protos(tls, NULL, 0);
    SSL_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    ERR_clear_error();
}

int park_tls_settle(SSL *tls)
{
    if (!SSL_is_init_finished(tls) || SSL_in_before(tls))
        return -EPROTO;
    SSL_set_shutdown(tls, 0);
    SSL_set_quiet_shutdown(tls, 0);
    SSL_set_options(tls, SSL_OP_NO_RENEGOTIATION);
    SSL_set_post_handshake_auth(tls, 0);
    shed(tls);
    return 0;
}

static ssize_t read_some(SSL *tls, uint8_t *bytes, size_t size)
{
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(tls, bytes, size, &got);
    if (result == 1)
        return (ssize_t)got;
    int os_error = errno;
    int error = SSL_get_error(tls, result);
    bool is_end = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_SYSCALL:
        return -os_error;
    default: /* an end without a goodbye is one, as it is for libcurl: what is half there counts for nothing */
        return is_end ? 0 : -EPROTO;
    }
}

static void begin(SSL *tls, int fd)
{
    fold_wake(tls);
    BIO_set_fd(socket_bio, fd, BIO_NOCLOSE);
    BIO_clear_flags(socket_bio, BIO_FLAGS_IN_EOF); /* another's end */
}

ssize_t park_tls_read(SSL *tls, int fd, uint8_t *bytes, size_t size)
{
    begin(tls, fd);
    ssize_t got = read_some(tls, bytes, size);
    (void)SSL_free_buffers(tls); /* reading a ticket makes 16 KB of room to write, which only writing gives back */
    fold_rest(tls);
    return got;
}

bool park_tls_tidy(void)
{
    return fold_oldest(SILENT_MS, FOLDED_AT_ONCE);
}

void park_tls_close(SSL *tls, int fd)
{
    if (!tls)
        return;
    begin(tls, fd);
    SSL_shutdown(tls);
    ERR_clear_error();
    SSL_free(tls);
}
