/* SPDX-License-Identifier: MIT */
/* The pages that machines look at. Each is made when it is asked for, from table, roster and the facts that `status` tells
 * as well, so the answers of both never differ.
 *
 * Whoever may ask may ask often: the pass over the rows, the one thing here that takes time, is kept for a second.
 *
 * Ready means that a change would be told now: the hub works, every worker that should be there is, and Redis, where one
 * is configured, takes events. A broker that is not ready loses nothing; it owes it.
 */
#include "broker/hub/http_pages.h"

#include "broker/hub/http_listener.h"
#include "broker/hub/metrics.h"
#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_KEPT_MS = 1000, STATUS_OK = 200, STATUS_INTERNAL = 500, STATUS_UNAVAILABLE = 503, REASON_SIZE = 96 };

struct http_pages {
    struct http_pages_options options;
    struct http_listener *listener;
    struct metrics_rows rows;
    uint64_t rows_at_ms; /* monotonic; 0: never */
};

static const struct metrics_rows *count_rows(struct http_pages *pages)
{
    uint64_t now_ms = clock_mono_ms();
    if (pages->rows_at_ms == 0 || now_ms - pages->rows_at_ms >= ROWS_KEPT_MS) {
        metrics_count_rows(pages->options.table, pages->options.roster, clock_wall_ms(), &pages->rows);
        pages->rows_at_ms = now_ms;
    }
    return &pages->rows;
}

static unsigned answer_metrics(void *user, struct buf *body)
{
    struct http_pages *pages = user;
    struct diag_facts facts;
    pages->options.get_facts(pages->options.user, &facts);
    const struct metrics_facts more = {
        .started_ms = facts.started_ms,
        .workers_configured = facts.workers_configured,
        .redis_state = facts.redis_state,
        .has_file = facts.file_path != NULL,
        .file_good = !facts.file_error || facts.file_error[0] == '\0',
        .file_read_ms = facts.file_read_ms,
    };
    int result = metrics_write(body, pages->options.table, count_rows(pages), &more, clock_wall_ms());
    return result == 0 ? STATUS_OK : STATUS_INTERNAL;
}

/* Appends the JSON and releases it. */
static unsigned answer_json(struct buf *body, unsigned status, json_t *view)
{
    char *text = view ? json_dumps(view, JSON_COMPACT) : NULL;
    int result = text ? buf_printf(body, "%s\n", text) : BUF_NO_MEMORY;
    free(text);
    json_decref(view);
    return result == 0 ? status : STATUS_INTERNAL;
}

static unsigned answer_healthz(void *user, struct buf *body)
{
    (void)user;
    return answer_json(body, STATUS_OK, json_pack("{s:b, s:s}", "ok", 1, "reason", "the hub answers"));
}

static json_t *part(bool ok, const char *reason)
{
    return json_pack("{s:b, s:s}", "ok", ok, "reason", reason);
}

static unsigned answer_readyz(void *user, struct buf *body)
{
    const struct http_pages *pages = user;
    struct diag_facts facts;
    char workers_reason[REASON_SIZE], redis_reason[REASON_SIZE * 2];
    pages->options.get_facts(pages->options.user, &facts);
    unsigned running = metrics_workers_running(pages->options.table, clock_wall_ms());
    bool is_stopping = pages->options.is_stopping(pages->options.user);
    bool workers_ready = running > 0 && running >= facts.workers_configured;
    bool redis_ready = strcmp(facts.redis_state, "off") == 0 || strcmp(facts.redis_state, "up") == 0;
    bool has_error = !redis_ready && facts.redis_error && facts.redis_error[0];
    snprintf(workers_reason, sizeof(workers_reason), "%u of %" PRIu64 " running", running, facts.workers_configured);
    snprintf(redis_reason, sizeof(redis_reason), "%s%s%s", facts.redis_state, has_error ? ": " : "",
             has_error ? facts.redis_error : "");
    bool ready = !is_stopping && workers_ready && redis_ready;
    json_t *view = json_pack("{s:b, s:{s:o, s:o, s:o, s:o}}", "ready", ready, "checks",                //
                             "hub", part(!is_stopping, is_stopping ? "the broker is stopping" : "up"), //
                             "workers", part(workers_ready, workers_reason),                           //
                             "registry", part(true, "open"), /* the hub does not work without it */    //
                             "redis", part(redis_ready, redis_reason));
    return answer_json(body, ready ? STATUS_OK : STATUS_UNAVAILABLE, view);
}

int http_pages_open(uv_loop_t *loop, const struct http_pages_options *options, struct http_pages **out)
{
    static const struct http_listener_route routes[] = {
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8", answer_metrics},
        {"/healthz", "application/json", answer_healthz},
        {"/readyz", "application/json", answer_readyz},
    };
    struct http_pages *pages = calloc(1, sizeof(*pages));
    if (!pages)
        return -ENOMEM;
    pages->options = *options;
    const struct http_listener_options listener = {
        .address = options->address,
        .token_file = options->token_file,
        .routes = routes,
        .route_count = ARRAY_LENGTH(routes),
        .body_max = METRICS_BYTES_MAX,
        .user = pages,
    };
    int result = http_listener_open(loop, &listener, &pages->listener);
    if (result != 0) {
        free(pages);
        return result;
    }
    *out = pages;
    return 0;
}

void http_pages_reload(struct http_pages *pages)
{
    if (pages)
        http_listener_reload(pages->listener);
}

void http_pages_close(struct http_pages *pages)
{
    if (!pages)
        return;
    http_listener_close(pages->listener);
    free(pages);
}
