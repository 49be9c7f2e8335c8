/* SPDX-License-Identifier: MIT */
#include "worker/http/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Thu, 01 Jan 2026 00:00:00 GMT */
static const uint64_t NOW_MS = UINT64_C(1767225600000);

/* Feeds the lines of a head; true when its end was the final one. */
static bool feed(struct http_head_reader *reader, const char *lines)
{
    bool complete = false;
    while (*lines) {
        const char *end = strchr(lines, '\n');
        assert_non_null(end);
        assert_false(complete);
        complete = http_head_feed(reader, lines, (size_t)(end + 1 - lines));
        lines = end + 1;
    }
    return complete;
}

static struct http_head read_head(struct http_head_reader *reader, const char *lines)
{
    http_head_init(reader);
    assert_true(feed(reader, lines));
    struct http_head head;
    http_head_get(reader, NOW_MS, &head);
    return head;
}

static struct http_head read_field(struct http_head_reader *reader, const char *name, const char *value)
{
    char lines[2 * HTTP_HEAD_SESSION_ID_MAX];
    snprintf(lines, sizeof lines, "HTTP/1.1 200 OK\r\n%s: %s\r\n\r\n", name, value);
    return read_head(reader, lines);
}

static void test_whole_head(void **state)
{
    (void)state;
    struct http_head_reader reader;
    struct http_head head = read_head(&reader, "HTTP/1.1 503 Service Unavailable\r\n"
                                               "CONTENT-TYPE:text/event-stream; charset=utf-8 \r\n"
                                               "mcp-session-id: \t3d67-ab \r\n"
                                               "Retry-After: 120\r\n"
                                               "Location: https://example.com/mcp?a=b\r\n"
                                               "WWW-Authenticate: Bearer resource_metadata=\"https://x\"\r\n"
                                               "www-authenticate: Basic\r\n"
                                               "Content-Type2: no\r\n"
                                               "no colon\r\n"
                                               "\r\n");
    assert_int_equal(head.status, 503);
    assert_true(head.is_event_stream);
    assert_false(head.is_json);
    assert_string_equal(head.content_type, "text/event-stream; charset=utf-8");
    assert_string_equal(head.session_id, "3d67-ab");
    assert_int_equal(head.retry_after_ms, 120000);
    assert_string_equal(head.location, "https://example.com/mcp?a=b");
    assert_string_equal(head.www_authenticate, "Bearer resource_metadata=\"https://x\", Basic");
}

static void test_bare_head(void **state)
{
    (void)state;
    struct http_head_reader reader;
    struct http_head head = read_head(&reader, "HTTP/2 202 \n\n");
    assert_int_equal(head.status, 202);
    assert_false(head.is_event_stream);
    assert_false(head.is_json);
    assert_string_equal(head.content_type, "");
    assert_string_equal(head.session_id, "");
    assert_string_equal(head.www_authenticate, "");
    assert_string_equal(head.location, "");
    assert_int_equal(head.retry_after_ms, 0);
}

static void test_informational_heads_are_forgotten(void **state)
{
    (void)state;
    struct http_head_reader reader;
    http_head_init(&reader);
    assert_false(
        feed(&reader, "HTTP/1.1 103 Early Hints\r\nMcp-Session-Id: early\r\nContent-Type: text/plain\r\n\r\n"));
    assert_false(feed(&reader, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_true(feed(&reader, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"));
    struct http_head head;
    http_head_get(&reader, NOW_MS, &head);
    assert_int_equal(head.status, 200);
    assert_true(head.is_json);
    assert_string_equal(head.session_id, "");
}

static const struct {
    const char *value;
    bool is_event_stream;
    bool is_json;
} TYPES[] = {
    {"text/event-stream", true, false},
    {"Text/Event-Stream", true, false},
    {"text/event-stream;charset=utf-8", true, false},
    {"text/event-stream ; charset=utf-8", true, false},
    {"text/event-streams", false, false},
    {"text/event-strea", false, false},
    {"text/html; text/event-stream", false, false},
    {"application/json", false, true},
    {"application/JSON; charset=UTF-8", false, true},
    {"application/json-seq", false, false},
    {"application/problem+json", false, false},
    {"", false, false},
};

static void test_content_type(void **state)
{
    (void)state;
    struct http_head_reader reader;
    for (size_t i = 0; i < ARRAY_LENGTH(TYPES); i++) {
        struct http_head head = read_field(&reader, "Content-Type", TYPES[i].value);
        if (head.is_event_stream != TYPES[i].is_event_stream || head.is_json != TYPES[i].is_json)
            fail_msg("%s", TYPES[i].value);
    }
}

static void test_session_id(void **state)
{
    (void)state;
    struct http_head_reader reader;
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", "!azAZ09~").session_id, "!azAZ09~");
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", "a b").session_id, "");
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", "a\x7f").session_id, "");
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", "a\rb").session_id, "");
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", "\xc3\xa9").session_id, "");
    char id[HTTP_HEAD_SESSION_ID_MAX + 2];
    memset(id, 'x', sizeof id);
    id[HTTP_HEAD_SESSION_ID_MAX] = '\0';
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", id).session_id, id);
    id[HTTP_HEAD_SESSION_ID_MAX] = 'x';
    id[HTTP_HEAD_SESSION_ID_MAX + 1] = '\0';
    assert_string_equal(read_field(&reader, "Mcp-Session-Id", id).session_id, "");
}

static void test_texts_are_cut(void **state)
{
    (void)state;
    struct http_head_reader reader;
    char value[HTTP_HEAD_TEXT_MAX + 2];
    memset(value, 'x', sizeof value);
    value[HTTP_HEAD_TEXT_MAX + 1] = '\0';
    assert_int_equal(strlen(read_field(&reader, "WWW-Authenticate", value).www_authenticate), HTTP_HEAD_TEXT_MAX);
    assert_string_equal(read_field(&reader, "Location", value).location, "");
    value[300] = '\0';
    assert_int_equal(strlen(read_field(&reader, "Content-Type", value).content_type), 255);
    assert_string_equal(read_field(&reader, "Content-Type", "a\x1b[1mb\xff").content_type, "a?[1mb?");
}

static const struct {
    const char *value;
    uint64_t ms;
} RETRIES[] = {
    {"0", 0},
    {"1", 1000},
    {"86399", 86399000},
    {"86400", HTTP_HEAD_RETRY_AFTER_MAX_MS},
    {"99999999999999999999999999", HTTP_HEAD_RETRY_AFTER_MAX_MS},
    {"Thu, 01 Jan 2026 00:00:30 GMT", 30000},
    {"Thursday, 01-Jan-26 00:01:00 GMT", 60000},
    {"Thu, 01 Jan 2026 00:00:00 GMT", 0},
    {"Wed, 31 Dec 2025 23:59:59 GMT", 0},
    {"Fri, 01 Jan 2027 00:00:00 GMT", HTTP_HEAD_RETRY_AFTER_MAX_MS},
    {"soon", 0},
    {"-1", 0},
    {"", 0},
};

static void test_retry_after(void **state)
{
    (void)state;
    struct http_head_reader reader;
    for (size_t i = 0; i < ARRAY_LENGTH(RETRIES); i++) {
        uint64_t ms = read_field(&reader, "Retry-After", RETRIES[i].value).retry_after_ms;
        if (ms != RETRIES[i].ms)
            fail_msg("%s: %llu", RETRIES[i].value, (unsigned long long)ms);
    }
}

static void test_nonsense_is_no_head(void **state)
{
    (void)state;
    struct http_head_reader reader;
    http_head_init(&reader);
    assert_false(feed(&reader, "\n\r\nHTTP\nHTTP/1.1 2\nHTTP/1.1 2x0\n: \n\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_head),   cmocka_unit_test(test_bare_head),
        cmocka_unit_test(test_content_type), cmocka_unit_test(test_informational_heads_are_forgotten),
        cmocka_unit_test(test_session_id),   cmocka_unit_test(test_texts_are_cut),
        cmocka_unit_test(test_retry_after),  cmocka_unit_test(test_nonsense_is_no_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
