/* SPDX-License-Identifier: MIT */
/* A fleet that speaks https: one certificate, made at the start, and the bytes of a connection. The home of OpenSSL. */
#ifndef TESTS_FLEET_TLS_H
#define TESTS_FLEET_TLS_H

#include "common/compiler.h"

#include <stddef.h>
#include <sys/types.h>

/* The certificate is for 127.1.1.1 and those that follow: few, since every client keeps a copy of what it names. */
enum { TLS_ADDRESSES = 32 };

struct ssl_ctx_st;
struct ssl_st;

/* Makes a key and a certificate, and writes the certificate, which clients must trust, to `path`. Lives as long as the
 * process and its children. 0 or a negative errno. */
MUST_CHECK int tls_create(const char *path, struct ssl_ctx_st **out);

/* The server's side of `fd`, which stays the caller's; hands are shaken as bytes are received. NULL: no memory. */
struct ssl_st *tls_accept(struct ssl_ctx_st *tls, int fd);

/* As recv(2) and send(2) that do not wait: bytes, 0 at the end, -1 with errno. */
ssize_t tls_receive(struct ssl_st *connection, void *bytes, size_t size);
ssize_t tls_send(struct ssl_st *connection, const void *bytes, size_t size);

/* Says goodbye when `in_order`, and frees. NULL is allowed. */
void tls_free(struct ssl_st *connection, int in_order);

#endif
