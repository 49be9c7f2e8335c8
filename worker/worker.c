/* SPDX-License-Identifier: MIT */
/* Introduces the parts to each other and turns them with the loop. One turn: the poll phase brings what sockets and
 * timers have; then, before the loop sleeps again (prepare), attempts begin that there is room for, what changed is told
 * to the hub in one bell, and the one timer is set to what is due next. So all that a turn brings is handled and told
 * in the same turn.
 *
 * Once a second the slot of the table says that the worker lives, how long its longest turn was, and what it holds.
 *
 * Descriptors: the soft limit is raised to the hard one. What is left of it after a reserve, the second sockets of
 * attempts under way and the sessions being ended bounds the connections, so that accepting one more never makes others
 * fail. */
#include "worker/worker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/table.h"
#include "common/trim.h"
#include "common/turn.h"
#include "worker/assignments.h"
#include "worker/conn/conns.h"
#include "worker/http/guard.h"
#include "worker/http/http.h"
#include "worker/http/tls_memory.h"
#include "worker/limits.h"
#include "worker/oauth/oauth.h"
#include "worker/peer/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    DESCRIPTORS_RESERVED = 64,
    CONNECTING_SHARE = 8, /* of the descriptors, for attempts to connect at most */
    BEAT_MS = 1000,
    STOP_LOOK_MS = 20,
    STOP_MAX_MS = 6000, /* --farewell-timeout is 5 s at most */
    HANDLES = 3
};

/* Who may be connected to. Exchanges under way hold on to the rules they began with, so old ones are kept. */
struct rules {
    struct rules *older;
    struct guard *runtime, *file;
};

struct worker {
    uv_loop_t *loop;
    int slot;
    struct config config;
    struct table *table;
    struct http *http;
    struct tokens *tokens;
    struct oauth *oauth;
    struct limits limits;
    struct rules *rules;
    struct publish *publish;
    struct timeline timeline;
    struct peer_env peers;
    struct conn_env env;
    struct conns *conns;
    struct assignments *assignments;
    uint64_t descriptors; /* connections that the limit of open files allows */
    uint64_t armed_for;   /* what `timer` is set to, TIMELINE_NEVER: not set */
    struct turn turn;
    uint64_t window_ns; /* since when changes are counted */
    size_t window_changes;
    uint64_t changes;  /* since the start */
    long gathering_ns; /* that each turn waits for more */
    uint64_t bytes_counted;
    struct trim trim; /* of another thread, while `is_trimming` */
    bool is_trimming;
    uint64_t stop_until_ms; /* 0: not stopping */
    void (*on_stopped)(void *user);
    void *on_stopped_user;
    int handles_open;
    uv_prepare_t prepare;
    uv_timer_t timer, beat;
};

/* --- settings --- */

static uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t soft = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return soft;
    }
    return limit.rlim_cur;
}

/* Takes it over, with no more attempts under way than there are descriptors for. */
static void take_config(struct worker *worker, const struct config *config)
{
    uint64_t most = worker->descriptors / CONNECTING_SHARE;
    worker->config = *config;
    if (worker->config.max_connecting > most)
        worker->config.max_connecting = most > 0 ? most : 1;
    limits_set(&worker->limits, &worker->config);
}

/* How many connections that leaves: each has one descriptor, and a second one while it is made; as many sessions may be
 * ended as connections be made. */
static uint64_t connections_within(uint64_t descriptors, uint64_t connecting)
{
    uint64_t used = DESCRIPTORS_RESERVED + 2 * connecting;
    return descriptors > used ? descriptors - used : 1;
}

static struct admission_limits limits_of(struct worker *worker)
{
    const struct config *config = &worker->config;
    struct admission_limits limits = {
        .connections = config->max_connections,
        .connecting = config->max_connecting,
        .per_host = config->max_per_host,
    };
    uint64_t most = connections_within(worker->descriptors, config->max_connecting);
    char *text = worker->env.full_text;
    size_t size = sizeof(worker->env.full_text);
    if (limits.connections <= most) {
        snprintf(text, size, "limit: --max-connections %llu reached", (unsigned long long)limits.connections);
    } else {
        limits.connections = most;
        snprintf(text, size, "limit: %llu connections, which is what %llu open files (ulimit -n) allow",
                 (unsigned long long)most, (unsigned long long)worker->descriptors);
    }
    return limits;
}

static void rules_free(struct rules *rules)
{
    while (rules) {
        struct rules *older = rules->older;
        guard_destroy(rules->runtime);
        guard_destroy(rules->file);
        free(rules);
        rules = older;
    }
}

/* Makes the configuration's rules those of connections from now on. */
static int set_rules(struct worker *worker)
{
    const struct config *config = &worker->config;
    char error[256] = "";
    struct rules *rules = calloc(1, sizeof(*rules));
    if (!rules)
        return -ENOMEM;
    int result =
        guard_create(GUARD_PUBLIC_ONLY, config->allow_net, config->deny_net, &rules->runtime, error, sizeof(error));
    if (result == 0)
        result = guard_create(GUARD_ANYWHERE, config->allow_net, config->deny_net, &rules->file, error, sizeof(error));
    if (result) {
        log_error("worker.rules", LOG_TEXT("error", error));
        rules_free(rules);
        return result < 0 ? result : -EINVAL;
    }
    rules->older = worker->rules;
    worker->rules = rules;
    worker->peers.guard = guard_check;
    worker->peers.guard_user_runtime = rules->runtime;
    worker->peers.guard_user_file = rules->file;
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

void worker_reconfigure(struct worker *worker, struct config *config)
{
    bool same_rules =
        same_text(worker->config.allow_net, config->allow_net) && same_text(worker->config.deny_net, config->deny_net);
    config_fini(&worker->config);
    take_config(worker, config);
    if (!same_rules && set_rules(worker) != 0)
        log_error("worker.rules_kept", LOG_TEXT("remedy", "correct --allow-net and --deny-net"));
    log_set_level((enum log_level)worker->config.log_level);
    worker->peers.connect_timeout_ms = worker->config.connect_timeout;
    struct admission_limits limits = limits_of(worker);
    http_set_parking(worker->http, !worker->config.no_park);
    admission_set_limits(worker->env.admission, &limits);
    conns_reconfigured(worker->conns);
}

/* --- the turns of the loop --- */

static void on_timer(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    worker->armed_for = TIMELINE_NEVER;
    conn_run_due(&worker->env);
}

static void set_timer(struct worker *worker)
{
    uint64_t next_ms = timeline_next(&worker->timeline);
    if (next_ms == worker->armed_for)
        return;
    worker->armed_for = next_ms;
    if (next_ms == TIMELINE_NEVER) {
        uv_timer_stop(&worker->timer);
        return;
    }
    uint64_t now_ms = clock_mono_ms();
    uv_update_time(worker->loop);
    uv_timer_start(&worker->timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

/* What network cards call moderation of interrupts. Where changes come faster than this, being woken for each costs more
 * than the change itself does, here and in all that come after; so the loop lets some gather, and each turn, bell and
 * pipeline carries more of them. A change waits a little longer then, and not behind all the others' wake-ups. */
static long gathering_ns(size_t changes_a_second)
{
    static const struct {
        size_t from;
        long ns;
    } steps[] = {{15000, 500000}, {3000, 150000}, {0, 0}};
    size_t i = 0;
    while (changes_a_second < steps[i].from)
        i++;
    return steps[i].ns;
}

static void moderate(struct worker *worker, size_t changes)
{
    enum { WINDOW_NS = 10000000, WINDOWS_A_SECOND = 100 };
    uint64_t now_ns = uv_hrtime(), passed_ns = now_ns - worker->window_ns;
    worker->window_changes += changes;
    worker->changes += changes;
    if (passed_ns >= WINDOW_NS) {
        bool is_over = passed_ns >= (uint64_t)2 * WINDOW_NS; /* nothing came */
        worker->gathering_ns = is_over ? 0 : gathering_ns(worker->window_changes * WINDOWS_A_SECOND);
        worker->window_changes = 0;
        worker->window_ns = now_ns;
    }
    if (worker->gathering_ns > 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = worker->gathering_ns}, NULL);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct worker *worker = prepare->data;
    conn_run_admitted(&worker->env);
    size_t changes = publish_flush(worker->publish);
    set_timer(worker);
    turn_end(&worker->turn, worker->loop);
    moderate(worker, changes);
}

/* The last of the handles, or of what is under way beside the loop, frees the worker. */
static void release(struct worker *worker)
{
    if (--worker->handles_open == 0)
        free(worker);
}

static void trim(void *user)
{
    struct worker *worker = user;
    tls_memory_trim();
    (void)trim_look(&worker->trim);
}

static void on_trimmed(void *user)
{
    struct worker *worker = user;
    worker->is_trimming = false;
    release(worker);
}

/* Beside the loop: what a large document leaves behind, millions of pieces, takes longer than a turn may. */
static void begin_trimming(struct worker *worker)
{
    if (worker->is_trimming || !trim_is_calm(&worker->trim, worker->changes + worker->env.count))
        return;
    (void)http_trim(worker->http);
    if (document_run_beside(worker->loop, trim, on_trimmed, worker) != 0)
        return;
    worker->is_trimming = true;
    worker->handles_open++;
}

static void on_beat(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    uint64_t connections = admission_connections(worker->env.admission);
    table_slot_beat(worker->table, worker->slot, turn_take_longest_us(&worker->turn), connections);
    uint64_t bytes = http_bytes_received(worker->http);
    table_count(worker->table, worker->slot, COUNTER_BYTES_RECEIVED, bytes - worker->bytes_counted);
    worker->bytes_counted = bytes;
    begin_trimming(worker);
    limits_tell(&worker->limits, worker->table, worker->slot);
    if (admission_waiting(worker->env.admission) > 0 && admission_is_full(worker->env.admission))
        conns_tell_limits(worker->conns);
}

/* --- life --- */

static void start_handles(struct worker *worker)
{
    uv_prepare_init(worker->loop, &worker->prepare);
    turn_init(&worker->turn, worker->loop);
    uv_timer_init(worker->loop, &worker->timer);
    uv_timer_init(worker->loop, &worker->beat);
    worker->handles_open = HANDLES;
    worker->prepare.data = worker->timer.data = worker->beat.data = worker;
    uv_prepare_start(&worker->prepare, on_prepare);
    uv_timer_start(&worker->beat, on_beat, 0, BEAT_MS);
    worker->armed_for = TIMELINE_NEVER;
}

/* What connections share. */
static int create_env(struct worker *worker)
{
    struct admission_limits limits = limits_of(worker);
    worker->env.admission = admission_create(&limits);
    if (!worker->env.admission)
        return -ENOMEM;
    worker->peers.loop = worker->loop;
    worker->peers.http = worker->http;
    worker->peers.limits = &worker->limits;
    worker->peers.handlers = &conn_peer_handlers;
    worker->peers.oauth = worker->oauth;
    worker->peers.connect_timeout_ms = worker->config.connect_timeout;
    worker->env.table = worker->table;
    worker->env.slot = worker->slot;
    worker->env.config = &worker->config;
    worker->env.peers = &worker->peers;
    worker->env.publish = worker->publish;
    worker->env.timeline = &worker->timeline;
    worker->env.random = uv_hrtime() ^ ((uint64_t)uv_os_getpid() << 32);
    return conns_create(&worker->env, &worker->conns);
}

static int open_table(struct worker *worker, uint64_t start_count)
{
    char error[TABLE_ERROR_SIZE] = "";
    int result = table_open(worker->config.run_dir, TABLE_READ_WRITE, &worker->table, error);
    if (result) {
        log_error("worker.no_table", LOG_TEXT("error", error));
        return result < 0 ? result : -ENOENT;
    }
    if (worker->slot < 0 || worker->slot >= table_slot_count(worker->table)) {
        log_error("worker.no_slot", LOG_I64("slot", worker->slot));
        table_close(worker->table);
        return -EINVAL;
    }
    table_slot_begin(worker->table, worker->slot, start_count);
    return 0;
}

int worker_create(uv_loop_t *loop, int slot, uint64_t start_count, struct config *config, struct worker **out)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->loop = loop;
    worker->slot = slot;
    worker->descriptors = raise_descriptor_limit();
    take_config(worker, config);
    int result = open_table(worker, start_count);
    if (result)
        goto free_worker;
    result = set_rules(worker);
    if (result)
        goto end_slot;
    result = http_create(loop, &worker->http);
    if (result)
        goto free_rules;
    http_set_parking(worker->http, !worker->config.no_park);
    result = tokens_open(loop, worker->config.run_dir, slot, start_count, &worker->tokens);
    if (result)
        goto destroy_http;
    result = oauth_create(loop, worker->http, &worker->oauth);
    if (result)
        goto close_tokens;
    oauth_share(worker->oauth, worker->tokens);
    result = publish_open(worker->config.run_dir, (int)worker->config.bell_queue, worker->table, slot, start_count,
                          &worker->publish);
    if (result)
        goto destroy_oauth;
    result = create_env(worker);
    if (result)
        goto destroy_env;
    result = assignments_open(loop, worker->config.run_dir, slot, start_count, worker->conns, &worker->assignments);
    if (result)
        goto destroy_env;
    start_handles(worker);
    *out = worker;
    return 0;

destroy_env:
    conns_destroy(worker->conns);
    admission_destroy(worker->env.admission);
    publish_close(worker->publish);
destroy_oauth:
    oauth_destroy(worker->oauth);
close_tokens:
    tokens_close(worker->tokens);
destroy_http:
    http_destroy(worker->http);
free_rules:
    rules_free(worker->rules);
end_slot:
    table_slot_end(worker->table, slot);
    table_close(worker->table);
free_worker:
    free(worker);
    log_error("worker.not_started", LOG_TEXT("error", strerror(-result)));
    return result;
}

static void look_whether_stopped(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    unsigned farewells = peer_farewells();
    bool is_busy = farewells > 0 || oauth_is_busy(worker->oauth);
    if (is_busy && clock_mono_ms() < worker->stop_until_ms)
        return;
    if (farewells > 0)
        log_warn("worker.sessions_left", LOG_U64("sessions", farewells));
    uv_timer_stop(&worker->beat);
    worker->on_stopped(worker->on_stopped_user);
}

void worker_stop(struct worker *worker, void (*on_stopped)(void *user), void *user)
{
    if (worker->stop_until_ms)
        return;
    log_info("worker.stopping", LOG_U64("connections", admission_connections(worker->env.admission)));
    worker->stop_until_ms = clock_mono_ms() + STOP_MAX_MS;
    worker->on_stopped = on_stopped;
    worker->on_stopped_user = user;
    assignments_close(worker->assignments);
    worker->assignments = NULL;
    conns_stop(worker->conns);
    uv_timer_start(&worker->beat, look_whether_stopped, STOP_LOOK_MS, STOP_LOOK_MS);
}

static void on_handle_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    conns_destroy(worker->conns);
    (void)publish_flush(worker->publish);
    publish_close(worker->publish);
    admission_destroy(worker->env.admission);
    timeline_fini(&worker->timeline);
    if (peer_farewells() == 0) { /* they use both */
        oauth_destroy(worker->oauth);
        tokens_close(worker->tokens);
        http_destroy(worker->http);
    }
    rules_free(worker->rules);
    table_slot_end(worker->table, worker->slot);
    table_close(worker->table);
    config_fini(&worker->config);
    uv_close((uv_handle_t *)&worker->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&worker->timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->beat, on_handle_closed);
}
