/* SPDX-License-Identifier: MIT */
/* The life of a connection, on a clock and with a peer of the test's own: peer.c, publish.c and clock.c are replaced at
 * link time by what stands here, the table is a real one. A test moves the time on with pass(), which runs each timer at
 * its moment. */
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "worker/conn/conns.h"
#include "worker/conn/retry.h"
#include "worker/peer/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 64, PEERS_MAX = 4096, SLOT = 0, START_WALL = 1700000000 };

/* --- the clock --- */

static uint64_t now_ms;

uint64_t clock_mono_ms(void)
{
    return now_ms;
}
static uint64_t wall_jump_ms; /* whoever sets the clock */

uint64_t clock_wall_ms(void)
{
    return START_WALL * UINT64_C(1000) + now_ms + wall_jump_ms;
}
uint64_t clock_wall_us(void)
{
    return clock_wall_ms() * 1000;
}

/* --- the peer --- */

struct peer {
    struct server_def *def;
    enum era hint;
    const struct peer_handlers *handlers;
    void *user;
    unsigned asked[KIND_COUNT]; /* lists asked for and not yet given */
    unsigned pings;
};

static struct peer *last_peer; /* the newest; NULL when it is closed */
static int peers_open, peers_started, start_result, list_result;
static bool pings_help;

int peer_start(const struct peer_env *env, struct server_def *def, enum era hint, void *user, struct peer **out)
{
    if (start_result)
        return start_result;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    *peer = (struct peer){.def = def, .hint = hint, .handlers = env->handlers, .user = user};
    peers_open++;
    peers_started++;
    last_peer = *out = peer;
    return 0;
}

struct server_def *peer_def(const struct peer *peer)
{
    return peer->def;
}

int peer_list(struct peer *peer, enum kind kind)
{
    if (list_result == 0)
        peer->asked[kind]++;
    return list_result;
}

bool peer_ping(struct peer *peer)
{
    peer->pings++;
    return pings_help;
}

void peer_close(struct peer *peer)
{
    if (!peer)
        return;
    peers_open--;
    if (last_peer == peer)
        last_peer = NULL;
    free(peer);
}

/* --- the bell --- */

static struct {
    unsigned changes, states;
    json_t *diff; /* of the last change */
} told;

void publish_note(struct publish *publish, uint32_t row, uint32_t incarnation, unsigned type, json_t *diff)
{
    (void)publish, (void)row, (void)incarnation;
    if (type == EVENT_STATUS) {
        told.states++;
        return;
    }
    told.changes++;
    json_decref(told.diff);
    told.diff = json_incref(diff);
}

/* --- the world around a connection --- */

static struct {
    char dir[32];
    struct config config;
    struct table *table;
    struct timeline timeline;
    struct limits limits;
    struct peer_env peers;
    struct conn_env env;
    struct conns *conns;
} world;

static void attach(void)
{
    struct admission_limits limits = {world.config.max_connections, world.config.max_connecting,
                                      world.config.max_per_host};
    world.peers.handlers = &conn_peer_handlers;
    world.env = (struct conn_env){
        .table = world.table,
        .slot = SLOT,
        .config = &world.config,
        .peers = &world.peers,
        .timeline = &world.timeline,
        .admission = admission_create(&limits),
        .full_text = "limit: --max-connections reached",
        .random = 1,
    };
    assert_non_null(world.env.admission);
    assert_int_equal(conns_create(&world.env, &world.conns), 0);
}

static void detach(void)
{
    conns_destroy(world.conns);
    assert_int_equal(world.timeline.count, 0);
    assert_int_equal(admission_connections(world.env.admission), 0);
    assert_int_equal(admission_waiting(world.env.admission), 0);
    assert_int_equal(peers_open, 0);
    admission_destroy(world.env.admission);
    timeline_fini(&world.timeline);
}

static int set_up(void **unused)
{
    (void)unused;
    char error[TABLE_ERROR_SIZE];
    bool taken_over;
    memset(&world, 0, sizeof(world));
    memset(&told, 0, sizeof(told));
    now_ms = 1000;
    wall_jump_ms = 0;
    peers_open = peers_started = start_result = list_result = 0;
    last_peer = NULL;
    strcpy(world.dir, "/tmp/test_conn.XXXXXX");
    if (!mkdtemp(world.dir))
        return -1;
    config_init(&world.config);
    world.config.verify = 0;
    world.config.ping = 0;
    pings_help = true;
    limits_set(&world.limits, &world.config);
    log_open("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    if (table_create(world.dir, CAPACITY, &world.table, &taken_over, error) != 0)
        return -1;
    table_slot_begin(world.table, SLOT, 1);
    attach();
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    detach();
    json_decref(told.diff);
    table_close(world.table);
    config_fini(&world.config);
    char path[64], target[256];
    snprintf(path, sizeof(path), "%s/table", world.dir);
    ssize_t length = readlink(path, target, sizeof(target) - 1);
    if (length > 0) {
        target[length] = '\0';
        unlink(target);
    }
    unlink(path);
    rmdir(world.dir);
    return 0;
}

static void turn(void)
{
    conn_run_due(&world.env);
    conn_run_admitted(&world.env);
}

static void pass(uint64_t ms)
{
    uint64_t end = now_ms + ms;
    turn();
    while (timeline_next(&world.timeline) <= end) {
        if (timeline_next(&world.timeline) > now_ms)
            now_ms = timeline_next(&world.timeline);
        turn();
    }
    now_ms = end;
}

static void bad_def(void *user, const char *id, const char *key, const char *message)
{
    (void)user;
    fail_msg("definition %s %s: %s", id, key, message);
}

static struct server_def *def_of(const char *id, enum source source, const char *json)
{
    json_error_t error;
    json_t *object = json_loads(json, 0, &error);
    assert_non_null(object);
    struct server_def *def = server_def_from_json(id, object, source, bad_def, NULL);
    assert_non_null(def);
    json_decref(object);
    return def;
}

static const char *const PLAIN = "{\"url\":\"http://example.com/mcp\"}";

static void give(uint32_t row)
{
    assert_int_equal(table_row_reserve(world.table, row), 0);
    table_row_set_owner(world.table, row, SLOT, 1);
}

static void put(uint32_t row, enum source source, const char *json)
{
    char id[16];
    snprintf(id, sizeof(id), "s%u", row);
    give(row);
    conns_put(world.conns, row, 1, def_of(id, source, json), true);
    turn();
}

static struct row row_at(uint32_t number)
{
    struct row row;
    assert_int_equal(table_row_read(world.table, number, &row), 0);
    return row;
}

static void expect_state(uint32_t number, enum state state)
{
    struct row row = row_at(number);
    assert_string_equal(state_name(row.state), state_name(state));
}

static const struct peer_facts facts = {
    .era = ERA_SESSION, .protocol_version = "2025-11-25", .server_info = "x/1", .advertised = 1, .has = 1, .heard = 1};

static void end_peer(enum peer_end_reason reason, uint64_t retry_after_ms)
{
    assert_non_null(last_peer);
    struct peer_end end = {.reason = reason, .retry_after_ms = retry_after_ms, .text = "it ended"};
    struct peer_facts known = reason == PEER_UNREACHABLE ? (struct peer_facts){0} : facts;
    last_peer->handlers->on_end(last_peer->user, &end, &known);
    conn_run_admitted(&world.env);
}

static void open_stream(void)
{
    assert_non_null(last_peer);
    last_peer->handlers->on_listening(last_peer->user, &facts);
    conn_run_admitted(&world.env);
}

static void changed(void)
{
    last_peer->handlers->on_changed(last_peer->user, KIND_TOOLS);
}

/* Gives the list that was asked for: tools of these names, e.g. "ab"; NULL: fails. */
static void give_list(const char *names)
{
    assert_non_null(last_peer);
    assert_int_equal(last_peer->asked[KIND_TOOLS], 1);
    last_peer->asked[KIND_TOOLS]--;
    if (!names) {
        last_peer->handlers->on_list(last_peer->user, KIND_TOOLS, &(struct peer_fetched){.error = "no answer"});
        return;
    }
    json_t *tools = json_array();
    for (const char *name = names; *name; name++)
        json_array_append_new(tools, json_pack("{s:s%}", "name", name, (size_t)1));
    json_t *result = json_pack("{s:o}", "tools", tools);
    const char *cursor;
    struct catalog *catalog = catalog_create(KIND_TOOLS, &world.limits);
    assert_int_equal(catalog_add_page(catalog, result, &cursor), 0);
    catalog_finish(catalog);
    last_peer->handlers->on_list(last_peer->user, KIND_TOOLS, &(struct peer_fetched){.list = catalog});
    catalog_destroy(catalog);
    json_decref(result);
}

/* From an attempt under way to a stream, the list known. */
static void settle(const char *names)
{
    assert_non_null(last_peer);
    last_peer->handlers->on_listening(last_peer->user, &facts);
    give_list(names);
    conn_run_admitted(&world.env);
}

static uint64_t generation(uint32_t row)
{
    return table_generation(world.table, row, KIND_TOOLS);
}

static uint64_t counter(enum counter which)
{
    struct slot slot;
    table_slot_read(world.table, SLOT, &slot);
    return slot.counters[which];
}

/* Another worker in the same slot: it finds nothing but the table. `in_order`: the first one could say farewell. */
static void replace_worker(bool in_order)
{
    if (!in_order) {
        struct row kept[CAPACITY];
        for (uint32_t i = 0; i < CAPACITY; i++)
            kept[i] = row_at(i);
        detach();
        for (uint32_t i = 0; i < CAPACITY; i++)
            if (kept[i].server_id[0])
                table_row_write(world.table, i, &kept[i]);
    } else {
        detach();
    }
    memset(&told, 0, sizeof(told));
    attach();
}

/* --- connecting --- */

static void test_connects_and_first_sight_is_no_change(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    expect_state(1, STATE_CONNECTING);
    open_stream();
    expect_state(1, STATE_LISTENING);
    give_list("ab");
    struct row row = row_at(1);
    assert_int_equal(row.lists[KIND_TOOLS].count, 2);
    assert_true(row.lists[KIND_TOOLS].current);
    assert_int_equal(row.connected_since_ms, clock_wall_ms());
    assert_int_equal(row.era, ERA_SESSION);
    assert_string_equal(row.server_info, "x/1");
    assert_string_equal(row.server_id, "s1");
    assert_int_equal(generation(1), 0);
    assert_int_equal(told.changes, 0);
    assert_true(told.states >= 2);
}

static void test_a_second_connect_is_one_connection(void **unused)
{
    (void)unused;
    put(1, SOURCE_RUNTIME, PLAIN);
    put(1, SOURCE_RUNTIME, PLAIN);
    assert_int_equal(peers_started, 1);
    settle("a");
    put(1, SOURCE_RUNTIME, PLAIN);
    assert_int_equal(peers_started, 1);
    expect_state(1, STATE_LISTENING);
}

static void test_a_failed_connect_can_be_tried_again_at_once(void **unused)
{
    (void)unused;
    put(1, SOURCE_RUNTIME, PLAIN);
    end_peer(PEER_UNREACHABLE, 0);
    expect_state(1, STATE_BACKOFF);
    put(1, SOURCE_RUNTIME, PLAIN);
    expect_state(1, STATE_CONNECTING);
    assert_int_equal(peers_started, 2);
}

static void test_a_changed_definition_reconnects_and_a_new_name_does_not(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    put(1, SOURCE_FILE, "{\"url\":\"http://example.com/mcp\",\"name\":\"New\"}");
    put(1, SOURCE_FILE, "{\"url\":\"http://example.com/mcp\",\"name\":\"Newer\"}");
    assert_int_equal(peers_started, 1);
    assert_string_equal(row_at(1).server_name, "Newer");
    put(1, SOURCE_FILE, "{\"url\":\"http://example.com/other\"}");
    assert_int_equal(peers_started, 2);
    assert_int_equal(peers_open, 1);
    assert_string_equal(last_peer->def->url, "http://example.com/other");
    expect_state(1, STATE_CONNECTING);
}

static void test_switched_off_and_on_again(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    put(1, SOURCE_FILE, "{\"url\":\"http://example.com/mcp\",\"enabled\":false}");
    expect_state(1, STATE_DISABLED);
    assert_int_equal(peers_open, 0);
    conns_reconnect(world.conns, 1, 1);
    pass(7200000);
    expect_state(1, STATE_DISABLED);
    put(1, SOURCE_FILE, PLAIN);
    expect_state(1, STATE_CONNECTING);
}

/* --- disconnect --- */

static void drop_and_wait(uint32_t row)
{
    unsigned changes = told.changes, states = told.states;
    int started = peers_started;
    conns_drop(world.conns, row, 1);
    assert_int_equal(peers_open, 0);
    assert_int_equal(world.timeline.count, 0);
    assert_int_equal(admission_connections(world.env.admission), 0);
    pass(10000000);
    assert_int_equal(peers_started, started);
    assert_int_equal(told.changes, changes);
    assert_int_equal(told.states, states);
}

static void test_disconnect_cancels_whatever_is_under_way(void **unused)
{
    (void)unused;
    put(1, SOURCE_RUNTIME, PLAIN); /* connecting */
    drop_and_wait(1);
    put(2, SOURCE_RUNTIME, PLAIN); /* listening, the list under way */
    open_stream();
    drop_and_wait(2);
    put(3, SOURCE_RUNTIME, PLAIN); /* backing off */
    end_peer(PEER_UNREACHABLE, 0);
    drop_and_wait(3);
    world.config.max_attempts = 1;
    put(4, SOURCE_RUNTIME, PLAIN); /* failed */
    end_peer(PEER_UNREACHABLE, 0);
    expect_state(4, STATE_FAILED);
    drop_and_wait(4);
    world.config.poll = 10000;
    put(5, SOURCE_RUNTIME, PLAIN); /* a poll under way */
    end_peer(PEER_UNSUPPORTED, 0);
    expect_state(5, STATE_POLLING);
    drop_and_wait(5);
}

static void test_a_change_that_waits_is_not_published_after_disconnect(void **unused)
{
    (void)unused;
    put(1, SOURCE_RUNTIME, PLAIN);
    settle("a");
    changed();
    changed();
    assert_int_equal(told.changes, 1);
    drop_and_wait(1);
    assert_int_equal(generation(1), 1);
}

/* --- failing --- */

static void test_back_off_grows_then_failed_then_slow_retries(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    for (unsigned n = 1; n < world.config.max_attempts; n++) {
        end_peer(PEER_UNREACHABLE, 0);
        expect_state(1, STATE_BACKOFF);
        struct row row = row_at(1);
        assert_int_equal(row.attempts, n);
        assert_string_equal(row.last_error, "it ended");
        uint64_t expected = n < 7 ? UINT64_C(1000) << (n - 1) : 60000;
        uint64_t wait = row.next_attempt_ms - clock_wall_ms();
        assert_in_range(wait, expected * 4 / 5, expected * 6 / 5);
        pass(wait - 1);
        expect_state(1, STATE_BACKOFF);
        pass(1);
        expect_state(1, STATE_CONNECTING);
    }
    for (int i = 0; i < 3; i++) {
        end_peer(PEER_UNREACHABLE, 0);
        expect_state(1, STATE_FAILED);
        int started = peers_started;
        pass(world.config.retry_failed * 4 / 5 - 1000);
        assert_int_equal(peers_started, started);
        pass(world.config.retry_failed * 2 / 5 + 2000);
        assert_int_equal(peers_started, started + 1);
    }
    end_peer(PEER_UNREACHABLE, 0);
    conns_reconnect(world.conns, 1, 1);
    expect_state(1, STATE_CONNECTING);
}

static void test_attempts_are_forgiven_only_after_staying_up(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    for (unsigned n = 1; n <= 3; n++) { /* flapping */
        settle("a");
        pass(world.config.stable_after - 1);
        end_peer(PEER_STREAM_ENDED, 0);
        assert_int_equal(row_at(1).attempts, n);
        pass(5000);
        expect_state(1, STATE_CONNECTING);
    }
    settle("a");
    pass(world.config.stable_after);
    assert_int_equal(row_at(1).attempts, 0);
    end_peer(PEER_STREAM_ENDED, 0);
    assert_int_equal(row_at(1).attempts, 1);
}

/* --- the log --- */

static FILE *log_file;
static int standard_error;

static void catch_log(void)
{
    log_file = tmpfile();
    assert_non_null(log_file);
    standard_error = dup(STDERR_FILENO);
    assert_true(standard_error >= 0 && dup2(fileno(log_file), STDERR_FILENO) >= 0);
    log_set_level(LOG_LEVEL_INFO);
}

/* Lines caught so far that have `text` in them. */
static unsigned lines_with(const char *text)
{
    char line[LOG_LINE_MAX];
    unsigned count = 0;
    rewind(log_file); /* a write goes to the end, where reading has stopped */
    while (fgets(line, sizeof(line), log_file))
        count += strstr(line, text) ? 1 : 0;
    return count;
}

static void release_log(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    assert_true(dup2(standard_error, STDERR_FILENO) >= 0);
    close(standard_error);
    fclose(log_file);
}

static void test_a_flapping_server_does_not_fill_the_log(void **unused)
{
    (void)unused;
    world.config.max_attempts = 1000;
    world.config.backoff_base = world.config.backoff_max = 1000;
    catch_log();
    put(1, SOURCE_FILE, PLAIN);
    put(2, SOURCE_FILE, PLAIN);
    for (unsigned n = 0; n < 20; n++) {
        end_peer(PEER_UNREACHABLE, 0);
        pass(1200);
    }
    assert_int_equal(lines_with("conn.state server=s2"), 10);
    assert_int_equal(lines_with("conn.flapping"), 0);
    assert_int_equal(lines_with("conn.state server=s1"), 2);
    settle("a");
    pass(60000);
    assert_int_equal(lines_with("conn.state server=s2"), 10);
    assert_int_equal(lines_with("conn.flapping"), 1);
    assert_int_equal(lines_with("conn.flapping server=s2 left_out=33 state=listening"), 1);
    end_peer(PEER_STREAM_ENDED, 0); /* another minute */
    assert_int_equal(lines_with("conn.state server=s2"), 11);
    release_log();
}

static void test_a_server_may_ask_for_patience(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    end_peer(PEER_UNREACHABLE, 45000);
    assert_int_equal(row_at(1).next_attempt_ms - clock_wall_ms(), 45000);
    pass(45000);
    end_peer(PEER_UNREACHABLE, UINT64_MAX);
    assert_int_equal(row_at(1).next_attempt_ms - clock_wall_ms(), RETRY_ASKED_MAX_MS);
}

static void test_a_lost_session_is_replaced_at_once_but_not_in_a_loop(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    end_peer(PEER_SESSION_LOST, 0);
    expect_state(1, STATE_CONNECTING);
    assert_int_equal(peers_started, 2);
    settle("a");
    end_peer(PEER_SESSION_LOST, 0);
    expect_state(1, STATE_BACKOFF);
    pass(2000);
    settle("a");
    pass(world.config.stable_after);
    end_peer(PEER_SESSION_LOST, 0);
    expect_state(1, STATE_CONNECTING);
}

static void test_what_no_retry_mends_waits_for_a_change(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    end_peer(PEER_UNAUTHORIZED, 0);
    put(2, SOURCE_FILE, PLAIN);
    end_peer(PEER_FORBIDDEN, 0);
    start_result = -EINVAL;
    put(3, SOURCE_FILE, PLAIN);
    start_result = 0;
    pass(100000000);
    expect_state(1, STATE_UNAUTHORIZED);
    expect_state(2, STATE_REFUSED);
    expect_state(3, STATE_REFUSED);
    assert_int_equal(peers_started, 2);
    put(1, SOURCE_FILE, "{\"url\":\"http://example.com/mcp\",\"headers\":{\"X-Key\":\"k\"}}");
    expect_state(1, STATE_CONNECTING);
    conns_reconfigured(world.conns);
    expect_state(2, STATE_CONNECTING);
}

static void test_resources_of_ours_cost_no_attempts(void **unused)
{
    (void)unused;
    start_result = -EMFILE;
    put(1, SOURCE_FILE, PLAIN);
    expect_state(1, STATE_QUEUED);
    pass(60000);
    assert_int_equal(row_at(1).attempts, 0);
    start_result = 0;
    pass(3000);
    expect_state(1, STATE_CONNECTING);
}

/* --- catching up --- */

static void test_changes_while_away_are_found(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("ab");
    end_peer(PEER_STREAM_ENDED, 0);
    pass(2000);
    settle("ab");
    assert_int_equal(generation(1), 0);
    end_peer(PEER_STREAM_ENDED, 0);
    pass(3000);
    settle("abc");
    assert_int_equal(generation(1), 1);
    assert_int_equal(told.changes, 1);
    struct row row = row_at(1);
    assert_int_equal(row.lists[KIND_TOOLS].reason, REASON_RECONNECT);
    assert_int_equal(row.lists[KIND_TOOLS].count, 3);
    assert_true(row.lists[KIND_TOOLS].current);
}

static void test_a_resumed_stream_is_caught_up(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    changed();
    changed(); /* waits for the window */
    last_peer->handlers->on_resumed(last_peer->user);
    assert_int_equal(told.changes, 2);
    give_list("b");
    assert_int_equal(told.changes, 3);
    assert_int_equal(row_at(1).lists[KIND_TOOLS].reason, REASON_RECONNECT);
}

static void test_a_list_that_cannot_be_had_keeps_the_last_one_and_is_fetched_again(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("ab");
    end_peer(PEER_STREAM_ENDED, 0);
    pass(2000);
    open_stream();
    give_list(NULL);
    expect_state(1, STATE_LISTENING);
    struct row row = row_at(1);
    assert_int_equal(row.lists[KIND_TOOLS].count, 2);
    assert_string_equal(row.last_error, "tools/list: no answer");
    pass(RETRY_LIST_BASE_MS * 2);
    give_list("abc");
    assert_int_equal(generation(1), 1);
    assert_string_equal(row_at(1).last_error, "");
}

static void test_a_list_that_there_is_no_memory_for_is_fetched_later(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    list_result = -ENOMEM;
    open_stream();
    expect_state(1, STATE_LISTENING);
    assert_non_null(strstr(row_at(1).last_error, "out of memory"));
    assert_int_equal(counter(COUNTER_LIST_FAILURES), 1);
    list_result = 0;
    pass(6000);
    give_list("a");
    changed();
    list_result = -ENOMEM;
    pass(1000);
    list_result = 0;
    pass(6000);
    give_list("b");
    assert_int_equal(told.changes, 1);
}

static void test_a_row_left_half_written_counts_as_changed(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("ab");
    struct row row = row_at(1);
    replace_worker(true);
    row.state = 250; /* scribbled on */
    table_row_write(world.table, 1, &row);
    put(1, SOURCE_FILE, PLAIN);
    assert_string_equal(row_at(1).server_id, "s1");
    settle("ab");
    assert_int_equal(generation(1), 1);
}

/* --- notifications --- */

static void test_a_thousand_notifications_are_two_events(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    for (int i = 0; i < 1000; i++)
        changed();
    assert_int_equal(told.changes, 1);
    pass(world.config.coalesce);
    assert_int_equal(told.changes, 2);
    assert_int_equal(counter(COUNTER_COALESCED), 998);
    assert_false(row_at(1).lists[KIND_TOOLS].current);
    pass(1000);
    give_list("b");
    pass(60000);
    assert_int_equal(told.changes, 2);
    struct row row = row_at(1);
    assert_true(row.lists[KIND_TOOLS].current);
    assert_int_equal(row.lists[KIND_TOOLS].reason, REASON_NOTIFICATION);
    assert_int_equal(row.notifications, 1000);
    /* what was told is not found again at the next connect */
    end_peer(PEER_STREAM_ENDED, 0);
    pass(2000);
    settle("b");
    assert_int_equal(told.changes, 2);
}

static void hear(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        changed();
}

static void test_a_server_that_never_stops_telling_is_told_of_less_often(void **unused)
{
    (void)unused;
    world.config.max_notifications = 10;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    hear(10);
    pass(world.config.coalesce);
    assert_int_equal(told.changes, 2);
    assert_int_equal(counter(COUNTER_LIMIT_NOTIFICATIONS), 0);
    pass(world.config.coalesce);
    hear(1); /* told at once, and no other one for 10 s */
    assert_int_equal(counter(COUNTER_LIMIT_NOTIFICATIONS), 1);
    assert_int_equal(told.changes, 3);
    hear(89);
    pass(9000);
    assert_int_equal(told.changes, 3);
    pass(1000);
    assert_int_equal(told.changes, 4);
    expect_state(1, STATE_LISTENING);
    pass(60000); /* it is quiet, so the next one is as any other */
    hear(2);
    pass(world.config.coalesce);
    assert_int_equal(told.changes, 6);
}

static void test_a_server_that_is_far_too_loud_is_set_aside(void **unused)
{
    (void)unused;
    world.config.max_notifications = 10;
    world.config.stable_after = 0;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    hear(100);
    expect_state(1, STATE_LISTENING);
    hear(1);
    expect_state(1, STATE_BACKOFF);
    assert_non_null(strstr(row_at(1).last_error, "more than 100 notifications in a minute"));
    assert_int_equal(counter(COUNTER_LIMIT_ASIDE), 1);
    assert_int_equal(told.changes, 2); /* what it said last is not lost */
    pass(59000);
    expect_state(1, STATE_BACKOFF);
    pass(1000);
    settle("a");
    expect_state(1, STATE_LISTENING);
}

static void test_requests_are_counted_over_connections(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    for (uint32_t n = 1; n <= 5; n++)
        assert_int_equal(last_peer->handlers->on_request(last_peer->user), n);
    end_peer(PEER_STREAM_ENDED, 0);
    pass(2000);
    settle("a");
    assert_int_equal(last_peer->handlers->on_request(last_peer->user), 6);
    end_peer(PEER_TOO_MUCH, 60000);
    expect_state(1, STATE_BACKOFF);
    pass(59000);
    expect_state(1, STATE_BACKOFF);
    pass(1000);
    settle("a");
    assert_int_equal(last_peer->handlers->on_request(last_peer->user), 1);
}

static void test_an_unchanged_list_suppresses_nothing_without_enrich(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    changed();
    pass(1000);
    give_list("a");
    assert_int_equal(told.changes, 1);
    assert_int_equal(counter(COUNTER_SUPPRESSED), 0);
}

static void test_killed_before_the_list_was_sure_counts_as_changed(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    changed();
    pass(1000);
    give_list("b"); /* this may have a change whose notification was still on its way */
    assert_int_equal(row_at(1).lists[KIND_TOOLS].count, 1);
    replace_worker(true);
    put(1, SOURCE_FILE, PLAIN);
    settle("b");
    assert_int_equal(generation(1), 2);
    assert_int_equal(row_at(1).lists[KIND_TOOLS].reason, REASON_RECONNECT);
    replace_worker(true); /* this time it was sure */
    put(1, SOURCE_FILE, PLAIN);
    settle("b");
    assert_int_equal(generation(1), 2);

    changed(); /* and killed before the list was fetched; meanwhile the change is taken back */
    replace_worker(true);
    put(1, SOURCE_FILE, PLAIN);
    settle("b");
    assert_int_equal(generation(1), 4);
}

static void test_what_is_known_never_runs_ahead_of_what_was_told(void **unused)
{
    (void)unused;
    world.config.coalesce = 20000;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    changed();
    pass(1000);
    give_list("b");
    pass(1000);
    assert_true(row_at(1).lists[KIND_TOOLS].current);
    changed(); /* waits for the window's end */
    assert_int_equal(generation(1), 1);
    pass(1000);
    give_list("c");
    assert_int_equal(generation(1), 2); /* so its event goes out with the list that shows it */
    assert_true(row_at(1).lists[KIND_TOOLS].current);
    pass(30000);
    assert_int_equal(generation(1), 2);
}

static void test_what_is_owed_goes_out_when_the_stream_ends(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    changed();
    changed();
    assert_int_equal(told.changes, 1);
    end_peer(PEER_STREAM_ENDED, 0);
    assert_int_equal(told.changes, 2);
    assert_int_equal(generation(1), 2);
}

static size_t diff_size(const char *key)
{
    return json_array_size(json_object_get(told.diff, key));
}

static void test_enriched_events_carry_names(void **unused)
{
    (void)unused;
    world.config.enrich = true;
    put(1, SOURCE_FILE, PLAIN);
    settle("ab");
    changed();
    assert_int_equal(told.changes, 0);
    give_list("bcd");
    assert_int_equal(told.changes, 1);
    assert_int_equal(diff_size("added"), 2);
    assert_int_equal(diff_size("removed"), 1);
    assert_int_equal(diff_size("changed"), 0);
    assert_true(row_at(1).lists[KIND_TOOLS].current);
    pass(1000);
    changed();
    give_list("bcd");
    assert_int_equal(told.changes, 1);
    assert_int_equal(counter(COUNTER_SUPPRESSED), 1);
    end_peer(PEER_STREAM_ENDED, 0);
    pass(2000);
    settle("bc"); /* names are remembered over a reconnect */
    assert_int_equal(told.changes, 2);
    assert_int_equal(diff_size("removed"), 1);
}

static void test_enriched_events_do_not_wait_for_ever(void **unused)
{
    (void)unused;
    world.config.enrich = true;
    put(1, SOURCE_FILE, PLAIN);
    settle("ab");
    changed();
    pass(4999);
    assert_int_equal(told.changes, 0);
    pass(1);
    assert_int_equal(told.changes, 1);
    assert_null(told.diff);
    assert_false(row_at(1).lists[KIND_TOOLS].current);
    give_list("a");
    assert_int_equal(told.changes, 1);
    pass(1000);
    assert_true(row_at(1).lists[KIND_TOOLS].current);
}

/* --- verify and poll --- */

static void test_a_deaf_stream_is_found_and_replaced(void **unused)
{
    (void)unused;
    world.config.verify = 100000;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    pass(120000);
    give_list("a");
    assert_int_equal(peers_started, 1);
    assert_int_equal(told.changes, 0);
    pass(120000);
    give_list("b");
    assert_int_equal(told.changes, 1);
    assert_int_equal(row_at(1).lists[KIND_TOOLS].reason, REASON_VERIFY);
    assert_int_equal(peers_started, 2);
    expect_state(1, STATE_CONNECTING);
    settle("b");
    assert_int_equal(told.changes, 1);
}

static void test_a_change_that_was_told_is_no_deafness(void **unused)
{
    (void)unused;
    world.config.verify = 100000;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    pass(120000); /* the list is under way */
    changed();
    give_list("b");
    assert_int_equal(told.changes, 1);
    assert_int_equal(peers_started, 1);
    expect_state(1, STATE_LISTENING);
    assert_int_equal(row_at(1).lists[KIND_TOOLS].reason, REASON_NOTIFICATION);
}

static void test_a_quiet_server_is_asked_whether_it_is_there(void **unused)
{
    (void)unused;
    world.config.ping = 100000;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    last_peer->handlers->on_heard(last_peer->user);
    pass(79000);
    assert_int_equal(last_peer->pings, 0);
    pass(42000);
    assert_int_equal(last_peer->pings, 1);
    /* what was heard needs no question */
    for (int i = 0; i < 50; i++) {
        pass(20000);
        last_peer->handlers->on_heard(last_peer->user);
    }
    assert_int_equal(last_peer->pings, 1);
    pass(121000);
    assert_int_equal(last_peer->pings, 2);
    /* nor does a stream that is not open */
    end_peer(PEER_STREAM_ENDED, 0);
    pass(500000);
    expect_state(1, STATE_CONNECTING);
    assert_int_equal(last_peer->pings, 0);
    /* one that does not know the question is not asked again */
    pings_help = false;
    settle("a");
    pass(1000000);
    assert_int_equal(last_peer->pings, 1);
}

static void test_unsupported_holds_nothing_and_is_looked_at_again(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    end_peer(PEER_UNSUPPORTED, 0);
    expect_state(1, STATE_UNSUPPORTED);
    assert_int_equal(peers_open, 0);
    pass(world.config.retry_failed * 3);
    assert_int_equal(peers_started, 1);
    pass(world.config.retry_failed * 2);
    assert_int_equal(peers_started, 2);
    settle("a"); /* it has changed its mind */
    expect_state(1, STATE_LISTENING);
}

static void test_polling_finds_changes_and_backs_off(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, "{\"url\":\"http://example.com/mcp\",\"poll\":\"10s\"}");
    end_peer(PEER_UNSUPPORTED, 0);
    expect_state(1, STATE_POLLING);
    give_list("a");
    assert_int_equal(peers_open, 0);
    assert_int_equal(admission_connections(world.env.admission), 0);
    for (int i = 0; i < 3; i++) {
        pass(12000);
        expect_state(1, STATE_POLLING);
        assert_int_equal(peers_open, 1);
        end_peer(PEER_UNSUPPORTED, 0);
        give_list(i == 1 ? "b" : i == 2 ? "b" : "a");
    }
    assert_int_equal(told.changes, 1);
    assert_int_equal(row_at(1).lists[KIND_TOOLS].reason, REASON_POLL);
    pass(12000);
    end_peer(PEER_UNSUPPORTED, 0);
    give_list(NULL);
    expect_state(1, STATE_BACKOFF);
    pass(1200);
    end_peer(PEER_UNSUPPORTED, 0);
    give_list("b");
    expect_state(1, STATE_POLLING);
    assert_int_equal(row_at(1).attempts, 0);
    pass(12000);
    settle("b"); /* it has changed its mind */
    expect_state(1, STATE_LISTENING);
    assert_int_equal(told.changes, 1);
}

/* --- idle --- */

static void test_idle_is_that_nobody_asked(void **unused)
{
    (void)unused;
    put(1, SOURCE_RUNTIME, PLAIN);
    settle("a");
    put(2, SOURCE_FILE, PLAIN);
    settle("a");
    pass(world.config.idle_timeout - 1000);
    conns_touch(world.conns, 1, 1);
    pass(world.config.idle_timeout - 1000);
    expect_state(1, STATE_LISTENING);
    pass(1000);
    expect_state(1, STATE_DISABLED);
    assert_string_equal(row_at(1).last_error, "idle: nobody asked for it in 30m; connect again or touch it");
    expect_state(2, STATE_LISTENING); /* quiet for as long, but of the file */
    assert_int_equal(peers_open, 1);
    conns_touch(world.conns, 1, 1);
    expect_state(1, STATE_CONNECTING);
    pass(world.config.idle_timeout);
    put(1, SOURCE_RUNTIME, PLAIN);
    expect_state(1, STATE_CONNECTING);
}

/* --- limits --- */

static void set_limits(uint64_t connections, uint64_t connecting)
{
    struct admission_limits limits = {connections, connecting, 0};
    admission_set_limits(world.env.admission, &limits);
}

static void test_the_cap_holds_from_the_first_byte_and_the_queue_is_served(void **unused)
{
    (void)unused;
    set_limits(3, 256);
    for (uint32_t row = 1; row <= 8; row++)
        put(row, SOURCE_FILE, PLAIN);
    assert_int_equal(peers_open, 3);
    for (uint32_t row = 4; row <= 8; row++) {
        expect_state(row, STATE_QUEUED);
        assert_string_equal(row_at(row).last_error, "limit: --max-connections reached");
    }
    conns_drop(world.conns, 1, 1);
    turn();
    expect_state(4, STATE_CONNECTING);
    assert_string_equal(row_at(4).last_error, "");
    expect_state(5, STATE_QUEUED);
    assert_int_equal(peers_open, 3);
}

static void test_a_storm_is_paced(void **unused)
{
    (void)unused;
    set_limits(100, 4);
    for (uint32_t row = 1; row <= 40; row++)
        put(row, SOURCE_FILE, PLAIN);
    for (int settled = 0; settled < 37; settled++) { /* always the newest; the three first ones take for ever */
        assert_int_equal(peers_open, settled + 4 < 40 ? settled + 4 : 40);
        settle("a");
    }
    assert_int_equal(peers_open, 40);
    assert_int_equal(admission_waiting(world.env.admission), 0);
}

static void test_who_waits_for_pace_learns_of_the_limit(void **unused)
{
    (void)unused;
    set_limits(2, 1);
    for (uint32_t row = 1; row <= 3; row++)
        put(row, SOURCE_FILE, PLAIN);
    settle("a");
    settle("a");
    assert_string_equal(row_at(3).last_error, "");
    conns_tell_limits(world.conns);
    assert_string_equal(row_at(3).last_error, "limit: --max-connections reached");
}

/* --- other workers --- */

static void test_a_new_worker_goes_on_from_the_row(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN); /* will be backing off */
    for (int i = 0; i < 4; i++) {
        end_peer(PEER_UNREACHABLE, 0);
        if (i < 3)
            pass(12000);
    }
    put(2, SOURCE_FILE, PLAIN); /* listening */
    settle("ab");
    uint64_t next = row_at(1).next_attempt_ms;
    replace_worker(false);
    put(1, SOURCE_FILE, PLAIN);
    put(2, SOURCE_FILE, PLAIN);
    pass(10);
    expect_state(1, STATE_BACKOFF);
    assert_int_equal(row_at(1).attempts, 4);
    assert_int_equal(row_at(1).next_attempt_ms, next);
    expect_state(2, STATE_CONNECTING);
    assert_int_equal(last_peer->hint, ERA_SESSION);
    settle("abc");
    assert_int_equal(generation(2), 1); /* changed meanwhile */
}

static void test_a_new_worker_does_not_hurry_what_waits(void **unused)
{
    (void)unused;
    world.config.max_attempts = 1;
    put(1, SOURCE_FILE, PLAIN);
    end_peer(PEER_UNREACHABLE, 0);
    uint64_t next = row_at(1).next_attempt_ms;
    replace_worker(true);
    give(1);
    conns_begin_full(world.conns);
    conns_put(world.conns, 1, 1, def_of("s1", SOURCE_FILE, PLAIN), false);
    conns_end_full(world.conns);
    expect_state(1, STATE_FAILED);
    assert_int_equal(row_at(1).next_attempt_ms, next);
    pass(next - clock_wall_ms() - 1);
    expect_state(1, STATE_FAILED);
    pass(1);
    expect_state(1, STATE_CONNECTING);
}

static void test_a_clock_that_is_set_hurries_and_delays_nothing(void **unused)
{
    (void)unused;
    const uint64_t year_ms = UINT64_C(365) * 86400 * 1000;
    put(1, SOURCE_FILE, PLAIN);
    end_peer(PEER_UNREACHABLE, 0);
    wall_jump_ms = year_ms;
    pass(500);
    expect_state(1, STATE_BACKOFF);
    wall_jump_ms = -year_ms;
    pass(1000);
    expect_state(1, STATE_CONNECTING);
    settle("a");
    changed();
    wall_jump_ms = year_ms;
    pass(world.config.coalesce);
    assert_int_equal(told.changes, 1);
    pass(1000);
    give_list("b");
    end_peer(PEER_STREAM_ENDED, 0);
    wall_jump_ms = 0; /* the row waits for a time that is a year away: the next worker does not believe it */
    replace_worker(false);
    put(1, SOURCE_FILE, PLAIN);
    pass(world.config.retry_failed * 5 + 1000);
    assert_non_null(last_peer);
}

static void test_leaving_in_order_owes_nothing(void **unused)
{
    (void)unused;
    put(1, SOURCE_FILE, PLAIN);
    settle("a");
    changed();
    changed();
    conns_stop(world.conns);
    assert_int_equal(peers_open, 0);
    assert_int_equal(told.changes, 2);
    expect_state(1, STATE_QUEUED);
    give(2);
    conns_put(world.conns, 2, 1, def_of("s2", SOURCE_FILE, PLAIN), true); /* refused by now */
    assert_int_equal(peers_open, 0);
}

static void test_a_full_list_touches_only_what_differs(void **unused)
{
    (void)unused;
    for (uint32_t row = 1; row <= 3; row++) {
        put(row, SOURCE_FILE, PLAIN);
        settle("a");
    }
    conns_begin_full(world.conns);
    conns_put(world.conns, 1, 1, def_of("s1", SOURCE_FILE, PLAIN), false);
    conns_put(world.conns, 2, 1, def_of("s2", SOURCE_FILE, "{\"url\":\"http://example.com/x\"}"), false);
    conns_end_full(world.conns);
    assert_int_equal(peers_started, 4);
    assert_int_equal(peers_open, 2);
    expect_state(1, STATE_LISTENING);
    expect_state(2, STATE_CONNECTING);
    /* a row that was given to another server */
    table_row_set_owner(world.table, 1, SLOT, 2);
    conns_drop(world.conns, 1, 7);
    assert_int_equal(peers_open, 2);
    conns_put(world.conns, 1, 2, def_of("other", SOURCE_FILE, PLAIN), true);
    turn();
    assert_string_equal(row_at(1).server_id, "other");
    assert_int_equal(peers_open, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connects_and_first_sight_is_no_change),
        TEST(test_a_second_connect_is_one_connection),
        TEST(test_a_failed_connect_can_be_tried_again_at_once),
        TEST(test_a_changed_definition_reconnects_and_a_new_name_does_not),
        TEST(test_switched_off_and_on_again),
        TEST(test_disconnect_cancels_whatever_is_under_way),
        TEST(test_a_change_that_waits_is_not_published_after_disconnect),
        TEST(test_back_off_grows_then_failed_then_slow_retries),
        TEST(test_attempts_are_forgiven_only_after_staying_up),
        TEST(test_a_flapping_server_does_not_fill_the_log),
        TEST(test_a_server_may_ask_for_patience),
        TEST(test_a_lost_session_is_replaced_at_once_but_not_in_a_loop),
        TEST(test_what_no_retry_mends_waits_for_a_change),
        TEST(test_resources_of_ours_cost_no_attempts),
        TEST(test_changes_while_away_are_found),
        TEST(test_a_resumed_stream_is_caught_up),
        TEST(test_a_list_that_cannot_be_had_keeps_the_last_one_and_is_fetched_again),
        TEST(test_a_list_that_there_is_no_memory_for_is_fetched_later),
        TEST(test_a_row_left_half_written_counts_as_changed),
        TEST(test_a_thousand_notifications_are_two_events),
        TEST(test_a_server_that_never_stops_telling_is_told_of_less_often),
        TEST(test_a_server_that_is_far_too_loud_is_set_aside),
        TEST(test_requests_are_counted_over_connections),
        TEST(test_an_unchanged_list_suppresses_nothing_without_enrich),
        TEST(test_killed_before_the_list_was_sure_counts_as_changed),
        TEST(test_what_is_known_never_runs_ahead_of_what_was_told),
        TEST(test_what_is_owed_goes_out_when_the_stream_ends),
        TEST(test_enriched_events_carry_names),
        TEST(test_enriched_events_do_not_wait_for_ever),
        TEST(test_a_deaf_stream_is_found_and_replaced),
        TEST(test_a_change_that_was_told_is_no_deafness),
        TEST(test_a_quiet_server_is_asked_whether_it_is_there),
        TEST(test_unsupported_holds_nothing_and_is_looked_at_again),
        TEST(test_polling_finds_changes_and_backs_off),
        TEST(test_idle_is_that_nobody_asked),
        TEST(test_the_cap_holds_from_the_first_byte_and_the_queue_is_served),
        TEST(test_a_storm_is_paced),
        TEST(test_who_waits_for_pace_learns_of_the_limit),
        TEST(test_a_new_worker_goes_on_from_the_row),
        TEST(test_a_new_worker_does_not_hurry_what_waits),
        TEST(test_a_clock_that_is_set_hurries_and_delays_nothing),
        TEST(test_leaving_in_order_owes_nothing),
        TEST(test_a_full_list_touches_only_what_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
