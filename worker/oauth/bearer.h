/* SPDX-License-Identifier: MIT */
/* An HTTP exchange with a server that wants a bearer token: http.h with a token on each request. A refused request is
 * made again with another token, once for a 401 and once for a 403 that asks for scopes (a token that another worker got
 * counts for none); what is refused then is given as it came. Loop thread only. */
#ifndef WORKER_BEARER_H
#define WORKER_BEARER_H

#include "common/compiler.h"
#include "worker/http/http.h"
#include "worker/oauth/oauth.h"

struct bearer;

/* As in http.h; on_denied instead of on_end, when there is no token to be had. `failure` lives for the call. */
struct bearer_handlers {
    struct http_handlers http;
    void (*on_denied)(void *user, const struct oauth_failure *failure);
};

/* `request` is copied, but method, guard_user, ca_file and proxy, which live longer, as do `handlers`. A DELETE, a
 * farewell, is not made again. 0 or a negative errno; then no handler runs. */
MUST_CHECK int bearer_start(struct http *http, struct oauth_account *account, const struct http_request *request,
                            const struct bearer_handlers *handlers, void *user, struct bearer **out);

/* Ends it without on_end, and sets *bearer to NULL. NULL in *bearer does nothing. */
void bearer_cancel(struct bearer **bearer);

#endif
