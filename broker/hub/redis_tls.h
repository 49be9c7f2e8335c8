/* SPDX-License-Identifier: MIT */
/* TLS for connections to Redis, where hiredis has its TLS library (not in Debian 12). Of the home of hiredis: only
 * redis_conn includes it. */
#ifndef HUB_REDIS_TLS_H
#define HUB_REDIS_TLS_H

#include "common/compiler.h"

#include <hiredis/async.h>

struct redis_tls;

/* Who is believed: the authorities of the system, or those of $SSL_CERT_FILE and $SSL_CERT_DIR. 0, -ENOMEM, or -ENOTSUP
 * where it is not built in (the URL was refused then). */
MUST_CHECK int redis_tls_create(struct redis_tls **out);
/* NULL does nothing. */
void redis_tls_destroy(struct redis_tls *tls);

/* Has `context`, which has just begun to connect, speak TLS to `host`, a name or an address, and only to it. 0 or 1; what
 * goes wrong later ends the context with an error. */
MUST_CHECK int redis_tls_start(struct redis_tls *tls, redisAsyncContext *context, const char *host);

/* What was wrong with the certificate that was shown last, or "": hiredis does not say. */
const char *redis_tls_error(const struct redis_tls *tls);

#endif
