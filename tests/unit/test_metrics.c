/* SPDX-License-Identifier: MIT */
/* The metrics of a table that the test has filled: each number at its place, and histograms that add up. */
#include "broker/hub/metrics.h"

#include "common/clock.h"
#include "hub_fixture.h"

enum { ROWS = 64 };

struct scene {
    struct fixture *fixture;
    struct roster *roster;
    struct metrics_rows *rows;
    struct buf text;
};

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    void *fixture;
    if (!scene || set_up(&fixture) != 0)
        return -1;
    scene->fixture = fixture;
    create(scene->fixture, ROWS);
    scene->rows = calloc(1, sizeof(*scene->rows));
    buf_init(&scene->text, METRICS_BYTES_MAX);
    *state = scene;
    return scene->rows ? roster_create(ROWS, &scene->roster) : -1;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    void *fixture = scene->fixture;
    roster_destroy(scene->roster);
    buf_fini(&scene->text);
    free(scene->rows);
    free(scene);
    return tear_down(&fixture);
}

static void add(struct scene *scene, const char *id, enum state state, int worker, uint64_t verified_ms)
{
    uint32_t row;
    struct table *table = scene->fixture->table;
    struct row value = row_called(id);
    assert_int_equal(roster_add(scene->roster, def_called(id, NULL), &row), 0);
    assert_int_equal(table_row_reserve(table, row), 0);
    value.state = (uint8_t)state;
    value.era = ERA_SESSION;
    value.verified_ms = verified_ms;
    table_row_write(table, row, &value);
    table_row_set_owner(table, row, worker, 1);
}

static void write_all(struct scene *scene, uint64_t now_ms)
{
    const struct metrics_facts facts = {.started_ms = 1500,
                                        .workers_configured = 2,
                                        .redis_state = "down",
                                        .has_file = true,
                                        .file_good = true,
                                        .file_read_ms = 2500};
    buf_clear(&scene->text);
    metrics_count_rows(scene->fixture->table, scene->roster, now_ms, scene->rows);
    assert_int_equal(metrics_write(&scene->text, scene->fixture->table, scene->rows, &facts, now_ms), 0);
}

/* The line is there, whole. */
static void assert_line(const struct scene *scene, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (!strstr(buf_text(&scene->text), wanted))
        fail_msg("no line: %s", line);
}

static void rows_are_counted(void **state)
{
    struct scene *scene = *state;
    uint64_t now_ms = clock_wall_ms();
    add(scene, "a", STATE_LISTENING, 0, now_ms - 10000);
    add(scene, "b", STATE_LISTENING, 1, now_ms - 400000);
    add(scene, "c", STATE_LISTENING, 1, now_ms - 999999999);
    add(scene, "d", STATE_FAILED, 1, 0);
    add(scene, "e", STATE_QUEUED, TABLE_NO_OWNER, 0);
    write_all(scene, now_ms);
    assert_line(scene, "mcp_broker_servers{state=\"listening\"} 3");
    assert_line(scene, "mcp_broker_servers{state=\"failed\"} 1");
    assert_line(scene, "mcp_broker_servers{state=\"refused\"} 0");
    assert_line(scene, "mcp_broker_connections{worker=\"0\",era=\"session\",state=\"listening\"} 1");
    assert_line(scene, "mcp_broker_connections{worker=\"1\",era=\"session\",state=\"listening\"} 2");
    assert_line(scene, "mcp_broker_connections{worker=\"none\",era=\"session\",state=\"queued\"} 1");
    assert_line(scene, "mcp_broker_verification_age_seconds_bucket{le=\"60\"} 1");
    assert_line(scene, "mcp_broker_verification_age_seconds_bucket{le=\"900\"} 2");
    assert_line(scene, "mcp_broker_verification_age_seconds_bucket{le=\"+Inf\"} 3");
    assert_line(scene, "mcp_broker_verification_age_seconds_count 3");
    assert_line(scene, "mcp_broker_verification_age_seconds_sum 1000409.999");
    assert_line(scene, "mcp_broker_events_unpublished 0");
}

static void what_is_owed_is_counted(void **state)
{
    struct scene *scene = *state;
    add(scene, "a", STATE_LISTENING, 0, 1);
    struct row value;
    assert_int_equal(table_row_read(scene->fixture->table, 0, &value), 0);
    (void)table_change(scene->fixture->table, 0, KIND_TOOLS, &value);
    (void)table_change(scene->fixture->table, 0, KIND_PROMPTS, &value);
    write_all(scene, 1);
    assert_line(scene, "mcp_broker_events_unpublished 2");
}

static void counters_are_told_by_process(void **state)
{
    struct scene *scene = *state;
    struct table *table = scene->fixture->table;
    table_slot_begin(table, 3, 2);
    table_slot_beat(table, 3, 1500, 7);
    table_count(table, 3, COUNTER_CONNECTS, 5);
    table_count(table, 3, COUNTER_CLOSED_DEAF, 2);
    table_slot_begin(table, TABLE_HUB, 1);
    table_count(table, TABLE_HUB, COUNTER_BELL_GAPS, 4);
    write_all(scene, clock_wall_ms());
    assert_line(scene, "mcp_broker_connects_total{worker=\"3\"} 5");
    assert_line(scene, "mcp_broker_closes_total{worker=\"3\",reason=\"deaf\"} 2");
    assert_line(scene, "mcp_broker_closes_total{worker=\"3\",reason=\"idle\"} 0");
    assert_line(scene, "mcp_broker_process_starts_total{process=\"worker-3\"} 2");
    assert_line(scene, "mcp_broker_loop_lag_seconds{process=\"worker-3\"} 0.001500");
    assert_line(scene, "mcp_broker_held_connections{worker=\"3\"} 7");
    assert_line(scene, "mcp_broker_nng_gaps_total 4");
    assert_line(scene, "mcp_broker_workers_running 1");
    assert_line(scene, "mcp_broker_workers_configured 2");
    assert_null(strstr(buf_text(&scene->text), "worker=\"2\""));
    assert_null(strstr(buf_text(&scene->text), "worker-2"));
}

static void latencies_fall_into_buckets(void **state)
{
    struct scene *scene = *state;
    struct table *table = scene->fixture->table;
    metrics_count_published(table, REASON_NOTIFICATION, 0);
    metrics_count_published(table, REASON_NOTIFICATION, 1);
    metrics_count_published(table, REASON_NOTIFICATION, 40);
    metrics_count_published(table, REASON_NOTIFICATION, 60000);
    metrics_count_published(table, REASON_NOTIFICATION, 60001);
    metrics_count_published(table, REASON_VERIFY, 40);
    metrics_count_published(table, REASON_COUNT, 40); /* scribbled on */
    write_all(scene, 1);
    assert_line(scene, "mcp_broker_publish_latency_seconds_bucket{le=\"0.001\"} 2");
    assert_line(scene, "mcp_broker_publish_latency_seconds_bucket{le=\"0.025\"} 2");
    assert_line(scene, "mcp_broker_publish_latency_seconds_bucket{le=\"0.05\"} 3");
    assert_line(scene, "mcp_broker_publish_latency_seconds_bucket{le=\"60\"} 4");
    assert_line(scene, "mcp_broker_publish_latency_seconds_bucket{le=\"+Inf\"} 5");
    assert_line(scene, "mcp_broker_publish_latency_seconds_count 5");
    assert_line(scene, "mcp_broker_publish_latency_seconds_sum 120.042");
    assert_line(scene, "mcp_broker_events_published_total{reason=\"notification\"} 5");
    assert_line(scene, "mcp_broker_events_published_total{reason=\"verify\"} 1");
    assert_line(scene, "mcp_broker_events_published_total{reason=\"poll\"} 0");
}

static void facts_are_told(void **state)
{
    struct scene *scene = *state;
    write_all(scene, 1);
    assert_line(scene, "mcp_broker_build_info{version=\"" MCP_BROKER_VERSION "\"} 1");
    assert_line(scene, "mcp_broker_start_time_seconds 1.500");
    assert_line(scene, "mcp_broker_redis_state{state=\"down\"} 1");
    assert_line(scene, "mcp_broker_redis_state{state=\"up\"} 0");
    assert_line(scene, "mcp_broker_servers_file_good 1");
    assert_line(scene, "mcp_broker_servers_file_read_time_seconds 2.500");
}

static void what_does_not_fit_is_an_outcome(void **state)
{
    struct scene *scene = *state;
    const struct metrics_facts facts = {.redis_state = "off"};
    struct buf small;
    buf_init(&small, 1000);
    assert_int_equal(metrics_write(&small, scene->fixture->table, scene->rows, &facts, 1), BUF_FULL);
    buf_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_counted, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(what_is_owed_is_counted, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(counters_are_told_by_process, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(latencies_fall_into_buckets, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(facts_are_told, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_an_outcome, open_scene, close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
