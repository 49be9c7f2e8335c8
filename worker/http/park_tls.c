/* SPDX-License-Identifier: MIT */
/* How a TLS connection leaves libcurl, which has no way to give one away. It closes a connection with all of its
 * transfer: reads once more, says goodbye, has SSL_set_connect_state wipe the keys, and frees. So before that
 *
 *   - a reference keeps the SSL alive, and its BIO, which is libcurl's, is exchanged for one of the duplicate descriptor;
 *   - it is marked as closed in both directions and quiet, whereupon OpenSSL neither reads nor writes;
 *   - SSL_set_connect_state is defined here, and leaves alone an SSL that was taken. All other calls go to OpenSSL's.
 *
 * Should another libcurl do otherwise, the handshake is found undone afterwards, and the stream ends as if it were cut.
 *
 * What a connection holds for a handshake, it needs no more: the chain, the session with the peer's certificates, and
 * the context, which are exchanged for some that all share. A session can only be exchanged under a context of the very
 * method that was agreed upon, else OpenSSL starts anew: so there is a shared context for each method. Tickets, which
 * still come, are taken by nobody; renegotiation and requests for a certificate end the connection.
 *
 * Nothing is written but the goodbye, and OpenSSL's answers to KeyUpdate. A peer that asks for so many that they don't go
 * out is given up, for the park waits for no socket to become writable. */
#include "worker/http/park_tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

enum { METHODS_MAX = 4 };

/* What all connections of a method share. Made when first needed, and kept as long as the process lives. */
struct shared {
    const SSL_METHOD *method;
    SSL_CTX *context;
    SSL_SESSION *session;
};

static struct shared shared[METHODS_MAX];

typedef void (*state_function)(SSL *);

static state_function find(void *where)
{
    void *symbol = dlsym(where, "SSL_set_connect_state");
    state_function function;
    memcpy(&function, &symbol, sizeof function); /* C knows no cast for it */
    return function;
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
    static state_function real;
    if (is_taken(tls))
        return;
    if (!real)
        real = find(RTLD_NEXT);
    real(tls);
}

bool park_tls_can(void)
{
    return find(RTLD_DEFAULT) == SSL_set_connect_state && mark_index() >= 0;
}

int park_tls_take(SSL *tls, int fd)
{
    if (!SSL_is_init_finished(tls) || SSL_get_shutdown(tls) != 0)
        return -ENOTCONN;
    BIO *bio = BIO_new_socket(fd, BIO_NOCLOSE);
    if (!bio || !SSL_set_ex_data(tls, mark_index(), tls)) {
        BIO_free(bio);
        ERR_clear_error();
        return -ENOMEM;
    }
    SSL_up_ref(tls);
    SSL_set_bio(tls, bio, bio);
    SSL_set_app_data(tls, NULL); /* libcurl's, where it looks when a ticket comes */
    SSL_set_quiet_shutdown(tls, 1);
    SSL_set_shutdown(tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return 0;
}

static bool make_shared(struct shared *made, const SSL_METHOD *method)
{
    made->context = SSL_CTX_new(method);
    made->session = SSL_SESSION_new();
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

/* What can't be exchanged is kept. */
static void shed(SSL *tls)
{
    const struct shared *with = shared_of(SSL_get_ssl_method(tls));
    if (with && SSL_set_SSL_CTX(tls, with->context) == with->context)
        SSL_set_session(tls, with->session);
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

ssize_t park_tls_read(SSL *tls, uint8_t *bytes, size_t size)
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

void park_tls_close(SSL *tls)
{
    if (!tls)
        return;
    SSL_shutdown(tls);
    ERR_clear_error();
    SSL_free(tls);
}
