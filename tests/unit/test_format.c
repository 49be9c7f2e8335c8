/* SPDX-License-Identifier: MIT */
/* Cells, times and the lines of view.c: that columns stay, that nothing a server says reaches the terminal raw, and
 * that missing fields are left out. */
#include "broker/ctl/format.h"

#include "broker/ctl/view.h"
#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* What was written since `out` was opened. */
static char *written;
static size_t written_size;

static FILE *open_out(void)
{
    FILE *out = open_memstream(&written, &written_size);

    assert_non_null(out);
    return out;
}

static void expect(FILE *out, const char *text)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(written, text);
    free(written);
}

static void expect_part(FILE *out, const char *const *parts)
{
    assert_int_equal(fclose(out), 0);
    for (; *parts != NULL; parts++)
        if (strstr(written, *parts) == NULL)
            fail_msg("written:\n%s\nnot there: %s", written, *parts);
    free(written);
}

#define EXPECT_PARTS(out, ...) expect_part(out, (const char *const[]){__VA_ARGS__, NULL})

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

static void texts_are_made_fit(void **state)
{
    static const struct {
        const char *text, *shown;
    } samples[] = {
        {"plain", "plain"},
        {"N\xc3\xa4me \xe2\x82\xac \xf0\x9f\x99\x82", "N\xc3\xa4me \xe2\x82\xac \xf0\x9f\x99\x82"},
        {"a\x1b[31mb\r\n\x7f", "a?[31mb???"},
        {"c1 \xc2\x9b.", "c1 ??."},
        {"\xff\xc3", "??"},
        {"evil \xe2\x80\xaegnp.exe\xef\xbb\xbf", "evil ???gnp.exe???"},
        {"\xe2\x82", "??"},
        {"\xc0\x80", "??"},
        {NULL, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        FILE *out = open_out();
        format_text(out, samples[i].text);
        expect(out, samples[i].shown);
    }
}

static void cells_have_a_width(void **state)
{
    static const struct {
        const char *text;
        unsigned width, max;
        const char *shown;
    } samples[] = {
        {"abc", 5, FORMAT_NO_CUT, "abc  "},
        {"abcdef", 5, FORMAT_NO_CUT, "abcdef"},
        {"abcdef", 5, 5, "abcd…"},
        {"abcde", 5, 5, "abcde"},
        {"\xc3\xa4\xc3\xa4", 3, 3, "\xc3\xa4\xc3\xa4 "},
        {"\xc3\xa4\xc3\xa4\xc3\xa4", 2, 2, "\xc3\xa4…"},
        {NULL, 2, 2, "  "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        FILE *out = open_out();
        format_cell(out, samples[i].text, samples[i].width, samples[i].max);
        expect(out, samples[i].shown);
    }
}

static void times_are_told(void **state)
{
    char out[FORMAT_TIME_SIZE];

    (void)state;
    assert_string_equal(format_clock(1700000000123, out), "22:13:20");
    assert_string_equal(format_time(1700000000123, out), "2023-11-14 22:13:20");
    assert_string_equal(format_distance(10000, 10999, out), "now");
    assert_string_equal(format_distance(10000, 22000, out), "12s ago");
    assert_string_equal(format_distance(100000, 10000, out), "in 1m 30s");
    format_time(UINT64_MAX, out); /* the sanitizer looks on */
    format_clock(UINT64_MAX, out);
    format_distance(0, UINT64_MAX, out);
}

static void states_have_columns(void **state)
{
    static const struct {
        const char *server;
        unsigned width;
        const char *line;
    } samples[] = {
        {"{\"serverId\": \"github\", \"state\": \"listening\", \"connected\": true, \"worker\": 2, \"toolCount\": 12,"
         " \"connectedSince\": 1000}",
         0, "github                   listening      2    12  for 3d 4h\n"},
        {"{\"serverId\": \"flaky\", \"state\": \"backoff\", \"connected\": false, \"worker\": 0, \"toolCount\": null,"
         " \"reconnectAttempts\": 3, \"nextAttempt\": 273613000, \"lastError\": \"connection refused\"}",
         0, "flaky                    backoff        0     -  connection refused; next attempt in 12s, 3 failed\n"},
        {"{\"serverId\": \"busy\", \"state\": \"listening\", \"connected\": true, \"connectedSince\": 273600000,"
         " \"generation\": 1, \"lastError\": \"its list can't be read\"}",
         0, "busy                     listening      -     -  for 1s, 1 change; its list can't be read\n"},
        {"{\"serverId\": \"due\", \"state\": \"backoff\", \"nextAttempt\": 5}", 0,
         "due                      backoff        -     -  next attempt now\n"},
        {"{\"serverId\": \"no\", \"state\": \"refused\", \"lastError\": \"bad \\u001b[2J address\"}", 0,
         "no                       refused        -     -  bad ?[2J address\n"},
        {"{\"serverId\": \"off\", \"state\": \"disabled\"}", 0, "off                      disabled       -     -\n"},
        {"{\"serverId\": \"a-very-long-id-of-a-server\", \"state\": \"refused\", \"lastError\": \"0123456789012345\"}",
         60, "a-very-long-id-… refused        -     -  0123456789012345\n"},
        {"{\"serverId\": \"a-very-long-id-of-a-server\", \"state\": \"refused\","
         " \"lastError\": \"server/discover: connection refused by 127.0.0.1\"}",
         80, "a-very-long-id-of-… refused        -     -  server/discover: connection refused…\n"},
        {"{\"serverId\": \"a-very-long-id-of-a-server\", \"state\": \"disabled\"}", 200,
         "a-very-long-id-of-a-server                       disabled       -     -\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        FILE *out = open_out();
        json_t *server = parse(samples[i].server);
        view_state(out, server, 273601000, samples[i].width);
        json_decref(server);
        expect(out, samples[i].line);
    }
}

static void a_server_is_shown_whole(void **state)
{
    FILE *out = open_out();
    json_t *server = parse("{\"serverId\": \"a\", \"userId\": \"\", \"lastError\": null, \"connected\": true, "
                           "\"generation\": 4, \"promptCount\": 0, \"resourceCount\": 2, \"connectedSince\": "
                           "1700000000000, \"events\": [\"tools\", \"prompts\"],"
                           " \"state\": \"listening\", \"serverName\": \"A\","
                           " \"history\": [{\"at\": 1700000000000, \"from\": \"connecting\", \"to\": \"listening\","
                           " \"why\": \"listening\"},"
                           " {\"at\": 1699999999000, \"from\": \"queued\", \"to\": \"connecting\"}]}");

    (void)state;
    view_server(out, server, 1700000012000);
    json_decref(server);
    expect(out, "serverId             a\n"
                "serverName           A\n"
                "state                listening: the stream is open and, where the era has it, acknowledged\n"
                "connectedSince       12s ago (2023-11-14 22:13:20)\n"
                "history\n"
                "  2023-11-14 22:13:20  connecting -> listening: the stream is open\n"
                "  2023-11-14 22:13:19  queued -> connecting\n"
                "connected            yes\n"
                "generation           4\n"
                "resourceCount        2\n"
                "events               tools, prompts\n");
}

static void status_is_told(void **state)
{
    FILE *out = open_out();
    json_t *status = parse("{\"version\": \"1.2.3\", \"instance\": \"abc\", \"startedAt\": 1000, \"total\": 3, "
                           "\"servers\": {\"listening\": 2, \"failed\": 0, \"backoff\": 1}, \"unpublished\": 7, "
                           "\"events\": {\"published\": 90, \"failures\": 2, \"bellGaps\": 3, \"swept\": 1}, "
                           "\"workers\": {\"running\": 3, \"configured\": 4, \"outOfService\": 1}, "
                           "\"redis\": {\"state\": \"away\", \"error\": \"refused\"}, "
                           "\"serversFile\": {\"path\": \"/s.json\", \"readAt\": 60000, \"error\": null}, "
                           "\"configuration\": {\"readAt\": 58000, \"settings\": {\"workers\": 4, \"enrich\": true, "
                           "\"poll\": \"5m\"}}}");

    (void)state;
    view_status(out, status, 61000);
    json_decref(status);
    expect(out, "mcp-broker 1.2.3, up 1m, instance abc\n"
                "servers      3: 2 listening, 1 backoff\n"
                "events       90 published, 7 owed, 2 refused or cut off by Redis\n"
                "             3 gaps between bells, 1 events found by sweeps\n"
                "workers      3 of 4 running, 1 out of service: dies again and again, see the log\n"
                "redis        away: refused\n"
                "servers file /s.json, read 1s ago\n"
                "settings     read 3s ago\n"
                "             workers 4\n"
                "             enrich yes\n"
                "             poll 5m\n");
}

static void workers_are_told(void **state)
{
    FILE *out = open_out();
    json_t *workers =
        parse("{\"hub\": {\"worker\": \"hub\", \"pid\": 10, \"starts\": 1}, \"workers\": [{\"worker\": 0, "
              "\"pid\": 11, \"starts\": 2, \"startedAt\": 1000, \"heartbeat\": 60000, \"loopLagUs\": 1500,"
              " \"connections\": 20, \"counters\": {\"connects\": 30, \"changes\": 5}}, "
              "{\"worker\": 1, \"pid\": null, \"starts\": 1}, "
              "{\"worker\": 2, \"pid\": 12, \"starts\": 9, \"outOfService\": true}]}");

    (void)state;
    view_workers(out, workers, 61000);
    json_decref(workers);
    EXPECT_PARTS(out, "hub          10      1",
                 "\n0            11      2         1m       1s    1.5ms      20        30",
                 "\n1             -      1          -        -        -       -",
                 "\n2             -      9          -        -        -       -         0        0  out of service\n");
}

static void events_are_lines(void **state)
{
    static const struct {
        const char *kind, *fields, *line;
    } samples[] = {
        {"tools",
         "{\"serverId\": \"github\", \"serverName\": \"GitHub\", \"workspaceId\": \"w1\", \"timestamp\": 1700000000000,"
         " \"reason\": \"notification\", \"generation\": 4, \"toolCount\": 12, \"added\": [\"a\"], "
         "\"removed\": [\"b\"], \"changed\": [\"c\", \"d\\n\"]}",
         "22:13:20 tools     github (GitHub) workspace=w1 reason=notification generation=4 tools=12 +a -b ~c ~d?\n"},
        {"status",
         "{\"serverId\": \"x\", \"serverName\": \"x\", \"workspaceId\": \"\", \"timestamp\": 1700000000000, "
         "\"state\": \"backoff\", \"connected\": false, \"lastError\": \"refused\"}",
         "22:13:20 status    x state=backoff error=refused\n"},
        {"tools", "{}", "00:00:00 tools     \n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        FILE *out = open_out();
        json_t *fields = parse(samples[i].fields);
        view_event(out, samples[i].kind, fields);
        json_decref(fields);
        expect(out, samples[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_made_fit),      cmocka_unit_test(cells_have_a_width),
        cmocka_unit_test(times_are_told),          cmocka_unit_test(states_have_columns),
        cmocka_unit_test(a_server_is_shown_whole), cmocka_unit_test(status_is_told),
        cmocka_unit_test(workers_are_told),        cmocka_unit_test(events_are_lines),
    };
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
