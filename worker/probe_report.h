/* SPDX-License-Identifier: MIT */
/* What a probe has found, and its JSON: fields named as in common/row_view.h where they are the same. Not known is null.
 *
 *   origin transport era protocolVersion serverInfo
 *   reachable      it has answered, or said anything (also: that it has no TLS, or a certificate that is not trusted)
 *   http           what the last response came in, as "HTTP/2"
 *   tls            "verified", "not verified" (the certificate is not trusted, or another's), "failed"
 *   tlsVersion tlsCipher   as "TLSv1.3", "TLS_AES_256_GCM_SHA384"
 *   capabilities   {"tools": {"listChanged": true}, …}: lists that the server has, and what it advertises
 *   events heard   lists that are watched; those of them that the server will tell about, as far as can be known
 *   toolCount toolsHash promptCount promptsHash resourceCount resourcesHash
 *   stream         {"openedAfterMs", "heldMs", "resumed", "changes": {"tools": 0, …}}
 *   tools prompts resources   the lists as they came, when they were asked for
 *   call           when a tool was to be called: {"tool", "result", "error"}, one of the latter two is null
 *   state connected supportsListChanged lastError   as a broker would show them */
#ifndef WORKER_PROBE_REPORT_H
#define WORKER_PROBE_REPORT_H

#include "common/compiler.h"
#include "common/names.h"
#include "common/server_def.h"
#include "worker/http/http.h"
#include "worker/peer/catalog.h"
#include "worker/peer/peer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct probe_list {
    unsigned changes; /* heard */
    json_t *items;    /* NULL: not wanted, or not known */
    bool known, failed;
    uint32_t count;
    struct fingerprint fingerprint;
};

struct probe_report {
    enum state state;
    char error[ROW_ERROR_SIZE];
    bool heard;               /* bytes came */
    const char *http_version; /* of the last response; "": there was none */
    struct http_last_tls tls;
    struct peer_facts facts; /* but server_info: */
    char server_info[ROW_SERVER_INFO_SIZE];
    struct probe_list lists[KIND_COUNT];
    uint64_t started_ms, opened_ms, closed_ms; /* monotonic; opened 0: there was no stream */
    unsigned resumed;
    json_t *called;      /* name of the tool; NULL: none was to be called */
    json_t *call_result; /* NULL: it was not, or failed: call_error */
    char call_error[ROW_ERROR_SIZE];
};

void probe_report_fini(struct probe_report *report);

/* True when a worker gets on with it: listens, polls, or could poll if that were wanted; and the tool that was to be
 * called has given a result. */
bool probe_report_is_good(const struct probe_report *report);

/* A new reference; NULL without memory. */
MUST_CHECK json_t *probe_report_view(const struct probe_report *report, const struct server_def *def);

#endif
