/* SPDX-License-Identifier: MIT */
/* Puts the parts of the hub together, and takes them apart again. It owns all of them; they know each other only as far
 * as the list in the README goes downwards, and what comes back up comes through the callbacks here:
 *
 *   bells ──▶ relay ──▶ redis_link, fanout        a change goes out
 *     └─────▶ diag                                a verdict for who waits
 *   redis_link ──▶ relay                          answers, and other machines' events
 *   servers_source ──▶ watchlist                  another servers file
 *
 * It decides nothing about servers or events itself. Stopping is bounded: what Redis does not take in time is still owed
 * in table and registry, and goes out after the next start.
 */
#include "broker/hub/hub.h"

#include "broker/hub/assign.h"
#include "broker/hub/assignments.h"
#include "broker/hub/bells.h"
#include "broker/hub/diag.h"
#include "broker/hub/fanout.h"
#include "broker/hub/history.h"
#include "broker/hub/http_pages.h"
#include "broker/hub/levels.h"
#include "broker/hub/pulse.h"
#include "broker/hub/redis_link.h"
#include "broker/hub/registry.h"
#include "broker/hub/relay.h"
#include "broker/hub/roster.h"
#include "broker/hub/servers_source.h"
#include "broker/hub/tokens.h"
#include "broker/hub/watchlist.h"
#include "broker/hub/worker_files.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/sandbox.h"
#include "common/trim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTTP_RETRY_S = 10, FILES_LOOK_S = 10, STOP_LOOK_MS = 20, STOP_AFTER_MS = 2000, EVENT_ID_SIZE = 512 };

struct hub {
    struct hub_options options;
    uv_loop_t *loop;
    uint64_t started_ms;
    struct table *table;
    struct registry *registry;
    struct history history;
    struct roster *roster;
    struct watchlist *watchlist;
    struct servers_source *source; /* NULL: no servers file */
    struct fanout *fanout;
    struct redis_link *redis; /* NULL: local only */
    struct relay *relay;
    struct levels *levels;
    struct bells *bells;
    struct tokens *tokens;
    struct assignments *assignments;
    struct diag *diag;
    struct http_pages *pages; /* NULL: no --http, or not yet */
    unsigned http_wait_s;
    uint64_t refused_counted; /* connections to the sockets */
    uint64_t dropped_counted; /* messages to subscribers */
    struct worker_files worker_files;
    unsigned files_wait_s;
    struct pulse *pulse;
    struct trim trim;
    uv_timer_t *stop_timer; /* freed by its close callback */
    bool leaving, stopping;
    json_t *configured; /* what the supervisor says of reading the configuration; NULL: nothing yet */
    uint64_t stop_by_ms;
    struct hub_slots slots;
};

/* --- what the parts tell each other --- */

static void on_bell_item(void *user, const struct bell_item *item)
{
    struct hub *hub = user;
    if (item->type < KIND_COUNT) {
        relay_ring(hub->relay, item->row, (enum kind)item->type, item->diff);
    } else {
        relay_ring_status(hub->relay, item->row);
        diag_state_changed(hub->diag, item->row);
    }
}

static void on_gap(void *user)
{
    struct hub *hub = user;
    relay_sweep(hub->relay, RELAY_SWEEP_DIRTY);
}

static void on_successor(void *user)
{
    struct hub *hub = user;
    relay_sweep(hub->relay, RELAY_SWEEP_ALL);
}

/* The id, which only the stream has, is the same however often the event is published, also by the next process. */
static int publish(void *user, const struct relay_message *message, uint32_t ticket)
{
    struct hub *hub = user;
    char id[EVENT_ID_SIZE] = "";
    if (hub->options.config->stream)
        snprintf(id, sizeof(id), "%s:%s:%s:%" PRIu64, registry_instance(hub->registry), message->server_id,
                 event_type_name(message->type), message->number);
    return redis_link_publish(hub->redis, message->type, message->payload, message->size, id, ticket);
}

static void fan_out(void *user, uint64_t sequence, const void *bytes, size_t size)
{
    struct hub *hub = user;
    fanout_send(hub->fanout, sequence, bytes, size);
}

static bool is_heard(void *user)
{
    const struct hub *hub = user;
    return fanout_is_heard(hub->fanout);
}

static void on_redis_up(void *user, bool elsewhere)
{
    struct hub *hub = user;
    if (elsewhere)
        relay_redo(hub->relay);
    relay_sweep(hub->relay, RELAY_SWEEP_ALL);
}

static void on_redis_reply(void *user, uint32_t ticket, enum redis_conn_reply reply)
{
    static const enum relay_answer answers[] = {
        [REDIS_CONN_DONE] = RELAY_DONE, [REDIS_CONN_REFUSED] = RELAY_REFUSED, [REDIS_CONN_LOST] = RELAY_LOST};
    struct hub *hub = user;
    relay_answered(hub->relay, ticket, answers[reply]);
}

static void on_redis_message(void *user, unsigned type, const void *payload, size_t size)
{
    struct hub *hub = user;
    relay_foreign(hub->relay, type, payload, size);
}

static int ask_supervisor(void *user, const char *word, const char *argument)
{
    const struct hub *hub = user;
    return hub->options.tell_supervisor(hub->options.user, word, argument);
}

static void tell_files(struct hub *hub)
{
    worker_files_tell(&hub->worker_files, hub->roster, ask_supervisor, hub);
    hub->files_wait_s = FILES_LOOK_S;
}

static void on_servers(void *user, struct servers_file *file)
{
    struct hub *hub = user;
    watchlist_apply_file(hub->watchlist, file);
    tell_files(hub);
}

static const char *redis_state(const struct hub *hub)
{
    if (!hub->redis)
        return "off";
    if (!redis_link_is_up(hub->redis))
        return "down";
    return redis_link_is_subscribed(hub->redis) ? "up" : "connecting";
}

static void get_facts(void *user, struct diag_facts *out)
{
    const struct hub *hub = user;
    *out = (struct diag_facts){
        .instance = registry_instance(hub->registry),
        .started_ms = hub->started_ms,
        .config = hub->options.config,
        .configured = hub->configured,
        .workers_configured = hub->slots.in_count + hub->slots.out_count,
        .out_of_service = hub->slots.out_of_service,
        .out_of_service_count = hub->slots.out_count,
        .redis_state = redis_state(hub),
        .redis_error = hub->redis ? redis_link_error(hub->redis) : NULL,
        .sandbox = sandbox_text(),
    };
    if (hub->source) {
        out->file_path = servers_source_path(hub->source);
        out->file_read_ms = servers_source_read_ms(hub->source);
        out->file_error = servers_source_error(hub->source);
        out->file_left_out = watchlist_left_out(hub->watchlist);
    }
}

static bool is_leaving(void *user)
{
    const struct hub *hub = user;
    return hub->leaving;
}

/* Being looked at is not the hub's work, and must not keep it from that. The supervisor found the address free when the
 * broker was started; if somebody else has it by now, it is tried again. */
static void keep_http_open(struct hub *hub)
{
    const struct config *config = hub->options.config;
    if (!config->http || hub->pages || hub->leaving || hub->http_wait_s++ % HTTP_RETRY_S != 0)
        return;
    const struct http_pages_options options = {
        .address = config->http,
        .token_file = config->http_token_file,
        .table = hub->table,
        .roster = hub->roster,
        .get_facts = get_facts,
        .is_stopping = is_leaving,
        .user = hub,
    };
    if (http_pages_open(hub->loop, &options, &hub->pages) != 0)
        log_warn("http.closed", LOG_U64("next_try_s", HTTP_RETRY_S));
}

static void on_unused(void *user, uint32_t first, uint32_t end)
{
    const struct hub *hub = user;
    relay_forget(hub->relay, first, end);
    levels_forget(hub->levels, first, end);
}

static void on_second(void *user)
{
    struct hub *hub = user;
    if (trim_is_calm(&hub->trim, fanout_sequence(hub->fanout) + roster_count(hub->roster))) {
        (void)trim_look(&hub->trim); /* first, so that it sees what the registry has used */
        registry_rest(hub->registry);
    }
    keep_http_open(hub);
    bells_check_tails(hub->bells);
    relay_tick(hub->relay);
    fanout_tick(hub->fanout);
    levels_tick(hub->levels);
    tokens_tick(hub->tokens);
    watchlist_tick(hub->watchlist, on_unused, hub);
    assign_check_gone(watchlist_assign(hub->watchlist));
    uint64_t refused = diag_refused(hub->diag) + fanout_refused(hub->fanout);
    table_count(hub->table, TABLE_HUB, COUNTER_LIMIT_CLIENTS, refused - hub->refused_counted);
    hub->refused_counted = refused;
    uint64_t dropped = fanout_dropped(hub->fanout);
    table_count(hub->table, TABLE_HUB, COUNTER_LIMIT_SUBSCRIBERS, dropped - hub->dropped_counted);
    hub->dropped_counted = dropped;
    if (hub->files_wait_s-- == 0) /* a server that was connected at run time may name one */
        tell_files(hub);
}

/* --- setting up --- */

static int open_storage(struct hub *hub)
{
    const struct config *config = hub->options.config;
    char table_error[TABLE_ERROR_SIZE], registry_error[REGISTRY_ERROR_SIZE];
    int result = table_open(config->run_dir, TABLE_READ_WRITE, &hub->table, table_error);
    if (result != 0) {
        log_error("table.open", LOG_TEXT("error", table_error));
        return result < 0 ? result : -EPROTO;
    }
    result = registry_open(config->state_dir, &hub->registry, registry_error);
    if (result != 0)
        log_error("registry.open", LOG_TEXT("error", registry_error));
    else
        result = history_open(hub->registry, hub->table, &hub->history);
    return result;
}

/* Finds out which servers there are, and gives each its row. */
static int load_servers(struct hub *hub)
{
    const struct config *config = hub->options.config;
    int result = roster_create(table_capacity(hub->table), &hub->roster);
    if (result == 0)
        result = watchlist_create(hub->table, hub->roster, hub->registry, &hub->history, &hub->watchlist);
    if (result == 0)
        result = watchlist_load(hub->watchlist);
    if (result == 0 && config->servers)
        result = servers_source_open(hub->loop, config->servers, hub->registry, on_servers, hub, &hub->source);
    if (result == 0 && hub->source && servers_source_read(hub->source) != 0)
        result = -ENOENT; /* to go on without them would be to take them all away */
    if (result != 0)
        return result;
    watchlist_loaded(hub->watchlist);
    return history_settle(&hub->history);
}

static int open_redis(struct hub *hub)
{
    const struct config *config = hub->options.config;
    const struct redis_link_options options = {
        .channel_prefix = config->channel_prefix,
        .stream = config->stream,
        .stream_maxlen = config->stream_maxlen,
        .handlers = {.on_up = on_redis_up, .on_reply = on_redis_reply, .on_message = on_redis_message},
        .user = hub,
    };
    struct redis_url url;
    char why[REDIS_URL_WHY_SIZE];
    if (!config->redis || !config->redis[0])
        return 0;
    int result = redis_url_parse(config->redis, &url, why);
    if (result != 0) {
        log_error("redis.url", LOG_TEXT("flag", "--redis"), LOG_TEXT("problem", result > 0 ? why : "no memory"));
        return result > 0 ? HUB_MISCONFIGURED : result;
    }
    result = redis_link_open(hub->loop, &url, &options, &hub->redis);
    redis_url_fini(&url);
    return result;
}

static int open_relay(struct hub *hub)
{
    const struct relay_options options = {
        .table = hub->table,
        .roster = hub->roster,
        .sinks = {.publish = hub->redis ? publish : NULL, .fan_out = fan_out, .is_heard = is_heard, .user = hub},
        .status_events = hub->options.config->status_events,
    };
    int result = relay_open(hub->loop, &options, &hub->relay);
    if (result == 0)
        result = levels_open(hub->loop, hub->table, hub->roster, hub->registry, &hub->levels);
    if (result != 0)
        log_error("hub.memory", LOG_TEXT("error", strerror(-result)));
    return result;
}

/* The doors, last: whoever comes in finds everything there. */
static int open_sockets(struct hub *hub)
{
    const char *run_dir = hub->options.config->run_dir;
    static const struct bells_handlers bells = {
        .on_item = on_bell_item, .on_gap = on_gap, .on_successor = on_successor};
    const struct assignments_options assignments = {
        .run_dir = run_dir, .table = hub->table, .assign = watchlist_assign(hub->watchlist), .roster = hub->roster};
    const struct tokens_options tokens = {.run_dir = run_dir, .registry = hub->registry, .roster = hub->roster};
    const struct diag_options diag = {
        .run_dir = run_dir,
        .table = hub->table,
        .roster = hub->roster,
        .watchlist = hub->watchlist,
        .get_facts = get_facts,
        .config = hub->options.config,
        .ask_supervisor = ask_supervisor,
        .user = hub,
    };
    int result = diag_open(hub->loop, &diag, &hub->diag);
    if (result == 0)
        result = bells_open(hub->loop, run_dir, hub->options.config->bell_queue, hub->table, &bells, hub, &hub->bells);
    if (result == 0)
        result = tokens_open(hub->loop, &tokens, &hub->tokens);
    if (result == 0)
        result = assignments_open(hub->loop, &assignments, &hub->assignments);
    if (result == 0)
        result = pulse_start(hub->loop, hub->table, hub->options.start_count, on_second, hub, &hub->pulse);
    if (result == 0)
        keep_http_open(hub);
    return result;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

/* In reverse; for a hub that is half set up, too. */
static void destroy(struct hub *hub)
{
    uv_close((uv_handle_t *)hub->stop_timer, on_closed);
    http_pages_close(hub->pages);
    pulse_cancel(hub->pulse);
    assignments_close(hub->assignments);
    tokens_close(hub->tokens);
    bells_close(hub->bells);
    diag_close(hub->diag);
    levels_close(hub->levels);
    redis_link_close(hub->redis);
    relay_close(hub->relay);
    fanout_close(hub->fanout);
    servers_source_close(hub->source);
    json_decref(hub->configured);
    watchlist_destroy(hub->watchlist);
    roster_destroy(hub->roster);
    registry_close(hub->registry);
    table_close(hub->table);
    worker_files_fini(&hub->worker_files);
    free(hub);
}

int hub_open(uv_loop_t *loop, const struct hub_options *options, struct hub **out)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    uv_timer_t *stop_timer = calloc(1, sizeof(*stop_timer));
    if (!hub || !stop_timer) {
        free(hub);
        free(stop_timer);
        return -ENOMEM;
    }
    uv_timer_init(loop, stop_timer);
    stop_timer->data = hub;
    hub->stop_timer = stop_timer;
    hub->options = *options;
    hub->loop = loop;
    hub->started_ms = clock_wall_ms();
    int result = open_storage(hub);
    if (result == 0)
        result = load_servers(hub);
    if (result == 0)
        result = fanout_open(hub->loop, options->config, &hub->fanout);
    if (result == 0)
        result = open_redis(hub);
    if (result == 0)
        result = open_relay(hub);
    if (result == 0)
        result = open_sockets(hub);
    if (result != 0) {
        destroy(hub);
        return result;
    }
    relay_sweep(hub->relay, RELAY_SWEEP_ALL);
    log_info("hub.open", LOG_U64("servers", roster_count(hub->roster)), LOG_TEXT("redis", redis_state(hub)));
    *out = hub;
    return 0;
}

/* --- what the supervisor says --- */

void hub_set_slots(struct hub *hub, const struct hub_slots *slots)
{
    log_info("hub.slots", LOG_U64("in_service", slots->in_count), LOG_U64("out_of_service", slots->out_count));
    hub->slots = *slots;
    assign_set_slots(watchlist_assign(hub->watchlist), slots->in_service, slots->in_count);
}

void hub_reload(struct hub *hub)
{
    if (hub->source && !hub->stopping)
        servers_source_reload(hub->source);
}

void hub_set_configured(struct hub *hub, const char *report)
{
    json_decref(hub->configured);
    hub->configured = json_loads(report, 0, NULL);
}

void hub_configure(struct hub *hub)
{
    relay_set_status_events(hub->relay, hub->options.config->status_events);
    http_pages_reload(hub->pages);
}

static void on_stop_look(uv_timer_t *timer)
{
    struct hub *hub = timer->data;
    if (!relay_is_settled(hub->relay) && clock_mono_ms() < hub->stop_by_ms)
        return;
    if (levels_flush(hub->levels) != 0 || history_leave(&hub->history) != 0)
        log_error("hub.flush", LOG_TEXT("then", "what was not stored counts as changed after a loss of the table"));
    void (*on_stopped)(void *user) = hub->options.on_stopped;
    void *user = hub->options.user;
    destroy(hub);
    on_stopped(user);
}

void hub_leave(struct hub *hub)
{
    hub->leaving = true;
    diag_stop(hub->diag);
    servers_source_forget(hub->source);
    servers_source_close(hub->source);
    hub->source = NULL;
}

void hub_stop(struct hub *hub)
{
    if (hub->stopping)
        return;
    hub->stopping = true;
    hub_leave(hub);
    hub->stop_by_ms = clock_mono_ms() + STOP_AFTER_MS;
    relay_sweep(hub->relay, RELAY_SWEEP_ALL);
    uv_timer_start(hub->stop_timer, on_stop_look, STOP_LOOK_MS, STOP_LOOK_MS);
}
