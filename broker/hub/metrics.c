/* SPDX-License-Identifier: MIT */
/* The metrics. Names and units are a contract with dashboards and alerts: they begin with mcp_broker_, say their base unit
 * (seconds, bytes), and counters end with _total. A counter's text is that of common/counters.def.
 *
 * Counters live in the table, so they go on when a process is replaced, and begin anew only with a new table, which
 * Prometheus knows for a reset. A series is there from the start, with 0, where its labels are few; only the connections
 * by worker, era and state are told as far as there are any.
 *
 * The time since the last verification is a histogram of the moment, not of events: its buckets can sink.
 */
#include "broker/hub/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "mcp_broker_"

enum { BEAT_STALE_MS = 10000, LABEL_SIZE = 24, LATENCY_BOUNDS = 11 };

/* --- counting --- */

static const uint64_t age_bounds_ms[METRICS_AGE_BOUNDS] = {60000, 300000, 900000, 1800000, 3600000, 21600000, 86400000};

/* Bounds and counters of the latency, one by one; past the last bound it is LATENCY_LONGER. */
static const struct {
    uint64_t bound_ms;
    enum counter counter;
} latencies[LATENCY_BOUNDS] = {
    {1, COUNTER_LATENCY_1MS},   {2, COUNTER_LATENCY_2MS},   {5, COUNTER_LATENCY_5MS},     {10, COUNTER_LATENCY_10MS},
    {25, COUNTER_LATENCY_25MS}, {50, COUNTER_LATENCY_50MS}, {100, COUNTER_LATENCY_100MS}, {250, COUNTER_LATENCY_250MS},
    {1000, COUNTER_LATENCY_1S}, {5000, COUNTER_LATENCY_5S}, {60000, COUNTER_LATENCY_60S},
};

static const enum counter published_counters[REASON_COUNT] = {
    [REASON_NOTIFICATION] = COUNTER_PUBLISHED_NOTIFICATION,
    [REASON_RECONNECT] = COUNTER_PUBLISHED_RECONNECT,
    [REASON_VERIFY] = COUNTER_PUBLISHED_VERIFY,
    [REASON_POLL] = COUNTER_PUBLISHED_POLL,
};

void metrics_count_published(struct table *table, unsigned reason, uint64_t latency_ms)
{
    if (reason >= REASON_COUNT)
        return;
    table_count(table, TABLE_HUB, published_counters[reason], 1);
    if (reason != REASON_NOTIFICATION)
        return;
    size_t i = 0;
    while (i < LATENCY_BOUNDS && latency_ms > latencies[i].bound_ms)
        i++;
    table_count(table, TABLE_HUB, i < LATENCY_BOUNDS ? latencies[i].counter : COUNTER_LATENCY_LONGER, 1);
    table_count(table, TABLE_HUB, COUNTER_LATENCY_SUM_MS, latency_ms);
}

static void count_age(struct metrics_rows *rows, const struct row *row, uint64_t now_ms)
{
    uint64_t since_ms = row->verified_ms ? row->verified_ms : row->state_since_ms;
    uint64_t age_ms = now_ms > since_ms ? now_ms - since_ms : 0;
    size_t i = 0;
    while (i < METRICS_AGE_BOUNDS && age_ms > age_bounds_ms[i])
        i++;
    rows->ages[i]++;
    rows->ages_sum_ms += age_ms;
}

void metrics_count_rows(const struct table *table, const struct roster *roster, uint64_t now_ms,
                        struct metrics_rows *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t row = 0; row < roster_end(roster); row++) {
        struct row value;
        uint32_t incarnation;
        if (!roster_def(roster, row))
            continue;
        out->servers++;
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            out->unpublished += table_generation(table, row, kind) > table_published(table, row, kind) ? 1 : 0;
        if (table_row_read(table, row, &value) != 0 || value.state >= STATE_COUNT)
            continue;
        int owner = table_row_owner(table, row, &incarnation);
        unsigned worker = owner >= 0 && owner < METRICS_WORKERS ? (unsigned)owner : METRICS_WORKERS;
        unsigned era = value.era < ERA_COUNT ? value.era : ERA_UNKNOWN;
        out->states[value.state]++;
        out->connections[worker][era][value.state]++;
        if (state_is_connected(value.state))
            count_age(out, &value, now_ms);
    }
}

unsigned metrics_workers_running(const struct table *table, uint64_t now_ms)
{
    unsigned running = 0;
    for (int i = 0; i < table_slot_count(table); i++) {
        struct slot slot;
        table_slot_read(table, i, &slot);
        running += slot.pid != 0 && slot.heartbeat_ms + BEAT_STALE_MS > now_ms ? 1 : 0;
    }
    return running;
}

/* --- writing --- */

/* Keeps the first failure; what is written after one is of no use. */
struct writer {
    struct buf *out;
    const struct table *table;
    int result;
};

static void put(struct writer *writer, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct writer *writer, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (writer->result == 0)
        writer->result = buf_append_text(writer->out, line);
}

static void put_head(struct writer *writer, const char *name, const char *type, const char *help)
{
    put(writer, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void put_gauge(struct writer *writer, const char *name, const char *help, uint64_t value)
{
    put_head(writer, name, "gauge", help);
    put(writer, PREFIX "%s %" PRIu64 "\n", name, value);
}

/* Milliseconds as seconds, exactly. */
static void put_seconds(struct writer *writer, uint64_t ms)
{
    put(writer, "%" PRIu64 ".%03u\n", ms / 1000, (unsigned)(ms % 1000));
}

/* "hub", "worker-3". */
static const char *process_name(int slot, char out[LABEL_SIZE])
{
    if (slot == TABLE_HUB)
        return "hub";
    snprintf(out, LABEL_SIZE, "worker-%d", slot);
    return out;
}

/* --- counters --- */

static const struct counted {
    enum counter counter;
    const char *name;
} of_workers[] = {
    {COUNTER_CONNECTS, "connects_total"},
    {COUNTER_CONNECT_FAILURES, "connect_failures_total"},
    {COUNTER_LISTENS, "streams_opened_total"},
    {COUNTER_REOPENED, "reconnects_total"},
    {COUNTER_STREAM_ENDS, "stream_ends_total"},
    {COUNTER_NOTIFICATIONS, "notifications_total"},
    {COUNTER_COALESCED, "notifications_coalesced_total"},
    {COUNTER_SUPPRESSED, "notifications_suppressed_total"},
    {COUNTER_CHANGES, "changes_total"},
    {COUNTER_LIST_FETCHES, "list_fetches_total"},
    {COUNTER_LIST_FAILURES, "list_fetch_failures_total"},
    {COUNTER_BYTES_RECEIVED, "received_bytes_total"},
    {COUNTER_PROTOCOL_ERRORS, "protocol_errors_total"},
    {COUNTER_BELLS_RUNG, "nng_sent_total"},
};

static const struct counted of_hub[] = {
    {COUNTER_BELLS_HEARD, "nng_received_total"}, {COUNTER_BELL_GAPS, "nng_gaps_total"},
    {COUNTER_SWEPT, "nng_repairs_total"},        {COUNTER_SWEEPS, "sweeps_total"},
    {COUNTER_PUBLISHED, "publishes_total"},      {COUNTER_PUBLISH_FAILURES, "publish_failures_total"},
    {COUNTER_RELAYED, "foreign_events_total"},   {COUNTER_FOREIGN_REJECTED, "foreign_rejected_total"},
    {COUNTER_ASKED, "questions_total"},          {COUNTER_ASKED_BADLY, "questions_malformed_total"},
};

static const struct {
    enum counter counter;
    const char *reason;
} closes[] = {
    {COUNTER_CLOSED_CHANGED, "changed"},           {COUNTER_CLOSED_SWITCHED_OFF, "switched_off"},
    {COUNTER_CLOSED_DROPPED, "dropped"},           {COUNTER_CLOSED_STOPPED, "stopped"},
    {COUNTER_CLOSED_RECONNECT, "reconnect"},       {COUNTER_CLOSED_IDLE, "idle"},
    {COUNTER_CLOSED_REFUSED, "refused"},           {COUNTER_CLOSED_STREAM_ENDED, "stream_ended"},
    {COUNTER_CLOSED_SESSION_LOST, "session_lost"}, {COUNTER_CLOSED_DEAF, "deaf"},
};

/* True for a slot that a process ever had; its counters stay, also when it is out of service. */
static bool read_slot(const struct writer *writer, int slot, struct slot *out)
{
    table_slot_read(writer->table, slot, out);
    return out->start_count > 0;
}

static void put_worker_counters(struct writer *writer)
{
    struct slot slot;
    for (size_t i = 0; i < ARRAY_LENGTH(of_workers); i++) {
        const struct counted *counted = &of_workers[i];
        put_head(writer, counted->name, "counter", counter_help(counted->counter));
        for (int worker = 0; worker < table_slot_count(writer->table); worker++)
            if (read_slot(writer, worker, &slot))
                put(writer, PREFIX "%s{worker=\"%d\"} %" PRIu64 "\n", counted->name, worker,
                    slot.counters[counted->counter]);
    }
    put_head(writer, "closes_total", "counter", "streams that were closed or ended, by reason");
    for (int worker = 0; worker < table_slot_count(writer->table); worker++)
        for (size_t i = 0; i < ARRAY_LENGTH(closes) && read_slot(writer, worker, &slot); i++)
            put(writer, PREFIX "closes_total{worker=\"%d\",reason=\"%s\"} %" PRIu64 "\n", worker, closes[i].reason,
                slot.counters[closes[i].counter]);
}

/* The bounds that were met, by whom and which: their counters are named limit_, and those of the hub stand together. */
static void put_limits(struct writer *writer)
{
    struct slot slot;
    char name[LABEL_SIZE];
    put_head(writer, "limits_hit_total", "counter", "times that a bound was met, by process and bound");
    for (int i = TABLE_HUB; i < table_slot_count(writer->table); i++) {
        for (unsigned counter = COUNTER_LIMIT_HEADER; counter <= COUNTER_LIMIT_FAREWELL_TIME; counter++) {
            bool is_hubs = counter >= COUNTER_LIMIT_QUESTION && counter <= COUNTER_LIMIT_SUBSCRIBERS;
            if (is_hubs == (i == TABLE_HUB) && read_slot(writer, i, &slot))
                put(writer, PREFIX "limits_hit_total{process=\"%s\",limit=\"%s\"} %" PRIu64 "\n", process_name(i, name),
                    counter_name(counter) + strlen("limit_"), slot.counters[counter]);
        }
    }
}

static void put_latency(struct writer *writer, const struct slot *hub)
{
    uint64_t count = 0;
    put_head(writer, "publish_latency_seconds", "histogram",
             "from the moment a notified change was noticed to the confirmation of its event");
    for (size_t i = 0; i < LATENCY_BOUNDS; i++) {
        count += hub->counters[latencies[i].counter];
        put(writer, PREFIX "publish_latency_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
            (double)latencies[i].bound_ms / 1000, count);
    }
    count += hub->counters[COUNTER_LATENCY_LONGER];
    put(writer, PREFIX "publish_latency_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", count);
    put(writer, PREFIX "publish_latency_seconds_sum ");
    put_seconds(writer, hub->counters[COUNTER_LATENCY_SUM_MS]);
    put(writer, PREFIX "publish_latency_seconds_count %" PRIu64 "\n", count);
}

static void put_hub_counters(struct writer *writer)
{
    struct slot hub;
    table_slot_read(writer->table, TABLE_HUB, &hub);
    for (size_t i = 0; i < ARRAY_LENGTH(of_hub); i++) {
        put_head(writer, of_hub[i].name, "counter", counter_help(of_hub[i].counter));
        put(writer, PREFIX "%s %" PRIu64 "\n", of_hub[i].name, hub.counters[of_hub[i].counter]);
    }
    put_head(writer, "events_published_total", "counter", "events of changed lists that were published, by reason");
    for (unsigned reason = 0; reason < REASON_COUNT; reason++)
        put(writer, PREFIX "events_published_total{reason=\"%s\"} %" PRIu64 "\n", reason_name(reason),
            hub.counters[published_counters[reason]]);
    put_latency(writer, &hub);
}

/* --- processes --- */

static void put_processes(struct writer *writer)
{
    struct slot slot;
    char name[LABEL_SIZE];
    put_head(writer, "process_starts_total", "counter", "starts of each process since the broker began");
    for (int i = TABLE_HUB; i < table_slot_count(writer->table); i++)
        if (read_slot(writer, i, &slot))
            put(writer, PREFIX "process_starts_total{process=\"%s\"} %" PRIu64 "\n", process_name(i, name),
                slot.start_count);
    put_head(writer, "loop_lag_seconds", "gauge", "longest turn of the loop in the last second");
    for (int i = TABLE_HUB; i < table_slot_count(writer->table); i++)
        if (read_slot(writer, i, &slot) && slot.pid != 0)
            put(writer, PREFIX "loop_lag_seconds{process=\"%s\"} %" PRIu64 ".%06u\n", process_name(i, name),
                slot.loop_lag_us / 1000000, (unsigned)(slot.loop_lag_us % 1000000));
    put_head(writer, "held_connections", "gauge", "connections held or under way");
    for (int i = 0; i < table_slot_count(writer->table); i++)
        if (read_slot(writer, i, &slot))
            put(writer, PREFIX "held_connections{worker=\"%d\"} %" PRIu64 "\n", i, slot.connections);
}

/* --- rows --- */

static void put_connections(struct writer *writer, const struct metrics_rows *rows)
{
    put_head(writer, "connections", "gauge", "servers by worker, era and state");
    for (unsigned worker = 0; worker <= METRICS_WORKERS; worker++) {
        char name[LABEL_SIZE] = "none";
        if (worker < METRICS_WORKERS)
            snprintf(name, sizeof(name), "%u", worker);
        for (unsigned era = 0; era < ERA_COUNT; era++)
            for (unsigned state = STATE_NONE + 1; state < STATE_COUNT; state++)
                if (rows->connections[worker][era][state] > 0)
                    put(writer, PREFIX "connections{worker=\"%s\",era=\"%s\",state=\"%s\"} %" PRIu32 "\n", name,
                        era_name(era), state_name(state), rows->connections[worker][era][state]);
    }
}

static void put_ages(struct writer *writer, const struct metrics_rows *rows)
{
    uint64_t count = 0;
    put_head(writer, "verification_age_seconds", "histogram",
             "listening servers by the time since their list was fetched and compared");
    for (size_t i = 0; i < METRICS_AGE_BOUNDS; i++) {
        count += rows->ages[i];
        put(writer, PREFIX "verification_age_seconds_bucket{le=\"%" PRIu64 "\"} %" PRIu64 "\n", age_bounds_ms[i] / 1000,
            count);
    }
    count += rows->ages[METRICS_AGE_BOUNDS];
    put(writer, PREFIX "verification_age_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", count);
    put(writer, PREFIX "verification_age_seconds_sum ");
    put_seconds(writer, rows->ages_sum_ms);
    put(writer, PREFIX "verification_age_seconds_count %" PRIu64 "\n", count);
}

static void put_rows(struct writer *writer, const struct metrics_rows *rows)
{
    put_head(writer, "servers", "gauge", "servers by state");
    for (unsigned state = STATE_NONE + 1; state < STATE_COUNT; state++)
        put(writer, PREFIX "servers{state=\"%s\"} %" PRIu32 "\n", state_name(state), rows->states[state]);
    put_connections(writer, rows);
    put_gauge(writer, "events_unpublished", "lists whose last change is not published yet", rows->unpublished);
    put_gauge(writer, "table_capacity_servers", "servers that there is room for", table_capacity(writer->table));
    put_ages(writer, rows);
}

/* --- the broker --- */

static void put_broker(struct writer *writer, const struct metrics_facts *facts, uint64_t now_ms)
{
    static const char *const redis_states[] = {"off", "down", "connecting", "up"};
    put_head(writer, "build_info", "gauge", "1, with the version");
    put(writer, PREFIX "build_info{version=\"%s\"} 1\n", MCP_BROKER_VERSION);
    put_head(writer, "start_time_seconds", "gauge", "when the hub was started, since the epoch");
    put(writer, PREFIX "start_time_seconds ");
    put_seconds(writer, facts->started_ms);
    put_gauge(writer, "workers_configured", "worker processes that there should be", facts->workers_configured);
    put_gauge(writer, "workers_running", "worker processes whose loop turns",
              metrics_workers_running(writer->table, now_ms));
    put_head(writer, "redis_state", "gauge", "1 for the state that the connection to Redis is in");
    for (size_t i = 0; i < ARRAY_LENGTH(redis_states); i++)
        put(writer, PREFIX "redis_state{state=\"%s\"} %d\n", redis_states[i],
            strcmp(facts->redis_state, redis_states[i]) == 0);
    if (!facts->has_file)
        return;
    put_gauge(writer, "servers_file_good", "1 when the servers file was right when it was last read", facts->file_good);
    put_head(writer, "servers_file_read_time_seconds", "gauge",
             "when the servers file was last applied, since the epoch");
    put(writer, PREFIX "servers_file_read_time_seconds ");
    put_seconds(writer, facts->file_read_ms);
}

int metrics_write(struct buf *out, const struct table *table, const struct metrics_rows *rows,
                  const struct metrics_facts *facts, uint64_t now_ms)
{
    struct writer writer = {.out = out, .table = table};
    put_broker(&writer, facts, now_ms);
    put_rows(&writer, rows);
    put_processes(&writer);
    put_worker_counters(&writer);
    put_hub_counters(&writer);
    put_limits(&writer);
    return writer.result;
}
