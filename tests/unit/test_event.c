/* SPDX-License-Identifier: MIT */
#include "common/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buf out, identity;

static int setup(void **state)
{
    (void)state;
    buf_init(&out, EVENT_BYTES_MAX);
    buf_init(&identity, 4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&out);
    buf_fini(&identity);
    return 0;
}

static struct event list_event(void)
{
    return (struct event){
        .type = KIND_TOOLS,
        .server_id = "s\"1",
        .server_name = "Server \xc3\xa4",
        .workspace_id = "w1",
        .timestamp_ms = 1750000000123,
        .reason = REASON_RECONNECT,
        .generation = 7,
    };
}

static void assert_json(const struct event *event, const char *expected)
{
    buf_clear(&out);
    assert_int_equal(event_write_json(&out, event, NULL), 0);
    assert_string_equal(buf_text(&out), expected);

    buf_clear(&identity);
    buf_clear(&out);
    assert_int_equal(event_identity(&identity, event->server_id, event->server_name, event->workspace_id), 0);
    assert_int_equal(event_write_json(&out, event, &identity), 0);
    assert_string_equal(buf_text(&out), expected);

    json_t *parsed = json_loads(expected, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    buf_clear(&out);
    assert_int_equal(event_write_local(&out, event, 1), 0);
    unsigned type;
    json_t *fields;
    assert_int_equal(event_read_local(out.bytes, out.size, &type, &fields), 0);
    assert_int_equal(type, event->type);
    char *text = json_dumps(fields, JSON_COMPACT); /* the order of the fields, too */
    assert_string_equal(text, expected);
    free(text);
    json_decref(fields);
    json_decref(parsed);
}

static void test_list(void **state)
{
    (void)state;
    struct event event = list_event();
    assert_json(&event, "{\"serverId\":\"s\\\"1\",\"serverName\":\"Server \xc3\xa4\",\"workspaceId\":\"w1\","
                        "\"timestamp\":1750000000123,\"reason\":\"reconnect\",\"generation\":7}");
    event.list_known = true;
    event.fingerprint = (struct fingerprint){.high = 0x0123456789abcdef, .low = 0xf};
    event.count = 3;
    assert_json(&event, "{\"serverId\":\"s\\\"1\",\"serverName\":\"Server \xc3\xa4\",\"workspaceId\":\"w1\","
                        "\"timestamp\":1750000000123,\"reason\":\"reconnect\",\"generation\":7,"
                        "\"toolsHash\":\"0123456789abcdef000000000000000f\",\"toolCount\":3}");
    json_t *diff = json_pack("{s:[s], s:[], s:[s,s]}", "changed", "a\"b", "removed", "added", "x", "y");
    event.diff = diff;
    event.type = KIND_PROMPTS;
    assert_json(&event, "{\"serverId\":\"s\\\"1\",\"serverName\":\"Server \xc3\xa4\",\"workspaceId\":\"w1\","
                        "\"timestamp\":1750000000123,\"reason\":\"reconnect\",\"generation\":7,"
                        "\"toolsHash\":\"0123456789abcdef000000000000000f\",\"toolCount\":3,"
                        "\"added\":[\"x\",\"y\"],\"removed\":[],\"changed\":[\"a\\\"b\"]}");
    json_decref(diff);
}

static void test_state(void **state)
{
    (void)state;
    struct event event = {
        .type = EVENT_STATUS,
        .server_id = "s1",
        .server_name = "n",
        .workspace_id = "",
        .timestamp_ms = 1,
        .state = STATE_LISTENING,
    };
    assert_json(&event, "{\"serverId\":\"s1\",\"serverName\":\"n\",\"workspaceId\":\"\",\"timestamp\":1,"
                        "\"state\":\"listening\",\"connected\":true}");
    event.state = STATE_BACKOFF;
    event.last_error = "connection \"refused\"";
    assert_json(&event, "{\"serverId\":\"s1\",\"serverName\":\"n\",\"workspaceId\":\"\",\"timestamp\":1,"
                        "\"state\":\"backoff\",\"connected\":false,\"lastError\":\"connection \\\"refused\\\"\"}");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(event_channel(KIND_TOOLS), "tools_changed");
    assert_string_equal(event_channel(KIND_PROMPTS), "prompts_changed");
    assert_string_equal(event_channel(KIND_RESOURCES), "resources_changed");
    assert_string_equal(event_channel(EVENT_STATUS), "server_status");
    char text[FINGERPRINT_TEXT_SIZE];
    assert_string_equal(fingerprint_format((struct fingerprint){.high = 1, .low = UINT64_MAX}, text),
                        "0000000000000001ffffffffffffffff");
}

static void test_full(void **state)
{
    (void)state;
    struct event event = list_event();
    for (size_t max = 0; max < 100; max++) {
        struct buf small;
        buf_init(&small, max);
        assert_int_equal(event_write_json(&small, &event, NULL), BUF_FULL);
        buf_fini(&small);
        assert_int_equal(event_write_local(&small, &event, 1), BUF_FULL);
        buf_fini(&small);
    }
}

/* What stands before the map, for all that a workspaceId may be. */
static void test_topic(void **state)
{
    (void)state;
    static const char *const workspaces[] = {"",         "w1", "a/b", "/", "//", "a/\xc2\x80", "\xde\x80/\xde\x81",
                                             "/\xde\x80"};
    static const char *const prefixes[EVENT_TYPES] = {"tools/", "prompts/", "resources/", "status/"};
    for (unsigned type = 0; type < EVENT_TYPES; type++) {
        for (size_t i = 0; i < ARRAY_LENGTH(workspaces); i++) {
            struct event event = list_event();
            event.type = type;
            event.workspace_id = workspaces[i];
            buf_clear(&out);
            assert_int_equal(event_write_local(&out, &event, 1), 0);
            char topic[64];
            snprintf(topic, sizeof(topic), "%s%s/", prefixes[type], workspaces[i]);
            assert_memory_equal(out.bytes, topic, strlen(topic));
            json_t *fields;
            unsigned found;
            assert_int_equal(event_read_local(out.bytes, out.size, &found, &fields), 0);
            assert_int_equal(found, type);
            assert_string_equal(json_string_value(json_object_get(fields, "workspaceId")), workspaces[i]);
            json_decref(fields);
        }
    }
}

static void assert_foreign(const char *json, const char *topic, const char *expected)
{
    buf_clear(&out);
    assert_int_equal(event_json_to_local(&out, KIND_TOOLS, json, strlen(json), 1), 0);
    assert_memory_equal(out.bytes, topic, strlen(topic));
    unsigned type;
    json_t *fields;
    assert_int_equal(event_read_local(out.bytes, out.size, &type, &fields), 0);
    char *text = json_dumps(fields, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(fields);
}

static void test_foreign(void **state)
{
    (void)state;
    const char *whole =
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w/1\",\"timestamp\":5,\"new\":[1,{}]}";
    assert_foreign(whole, "tools/w/1/", whole);
    assert_foreign("{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":null,\"timestamp\":5}", "tools//",
                   "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"\",\"timestamp\":5}");
    assert_foreign("{\"serverId\":\"s\",\"serverName\":\"n\",\"timestamp\":5}", "tools//",
                   "{\"serverId\":\"s\",\"serverName\":\"n\",\"timestamp\":5,\"workspaceId\":\"\"}");
}

static void test_foreign_many_fields(void **state)
{
    (void)state;
    json_t *event =
        json_pack("{s:s,s:s,s:s,s:i}", "serverId", "s", "serverName", "n", "workspaceId", "/\xde\x80", "timestamp", 1);
    for (int i = 4; i < EVENT_FIELDS_MAX; i++) {
        char key[16];
        snprintf(key, sizeof(key), "f%d", i);
        json_object_set_new(event, key, json_true());
    }
    char *text = json_dumps(event, JSON_COMPACT);
    assert_foreign(text, "tools//\xde\x80/", text);
    free(text);
    json_object_set_new(event, "one more", json_true());
    text = json_dumps(event, JSON_COMPACT);
    buf_clear(&out);
    assert_int_equal(event_json_to_local(&out, KIND_TOOLS, text, strlen(text), 1), 2);
    free(text);
    json_decref(event);
}

static void test_foreign_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"serverId\":\"s\"",
        "{\"serverId\":\"\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":1,\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":\"s\",\"serverName\":null,\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":\"s\",\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":{},\"timestamp\":5}",
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":\"5\"}",
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5.5}",
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w\"}",
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}x",
        "{\"serverId\":\"s\",\"serverId\":\"t\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":\"s\\u0000\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":\"\xff\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}",
        "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":99999999999999999999}",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        buf_clear(&out);
        if (event_json_to_local(&out, KIND_TOOLS, refused[i], strlen(refused[i]), 1) != 1)
            fail_msg("taken: %s", refused[i]);
    }
    char long_id[1024];
    int length = snprintf(long_id, sizeof(long_id),
                          "{\"serverId\":\"%0513d\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}", 0);
    assert_int_equal(event_json_to_local(&out, KIND_TOOLS, long_id, (size_t)length, 1), 1);
}

static void test_foreign_too_large(void **state)
{
    (void)state;
    char *spaces = malloc(EVENT_BYTES_MAX + 1);
    memset(spaces, ' ', EVENT_BYTES_MAX + 1);
    assert_int_equal(event_json_to_local(&out, KIND_TOOLS, spaces, EVENT_BYTES_MAX + 1, 1), 2);
    assert_int_equal(event_json_to_local(&out, KIND_TOOLS, spaces, EVENT_BYTES_MAX, 1), 1);
    free(spaces);
    const char *json = "{\"serverId\":\"s\",\"serverName\":\"n\",\"workspaceId\":\"w\",\"timestamp\":5}";
    struct buf small;
    buf_init(&small, 20);
    assert_int_equal(event_json_to_local(&small, KIND_TOOLS, json, strlen(json), 1), 2);
    buf_fini(&small);
}

static void test_read_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",          "tools",        "tools/",      "tools/w/", "tool/w/\x80", "toolsw/\x80",
        "tools/w/x", "tools/w/\x81", "tools/w\x80", "\x80",     "/w/\x80",     "tools/w/\xde"};
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        size_t size = strlen(refused[i]);
        char *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, refused[i], size);
        unsigned type;
        json_t *fields;
        if (event_read_local(copy, size, &type, &fields) != 1)
            fail_msg("number %zu was read", i);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_topic),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_foreign_many_fields),
        cmocka_unit_test(test_foreign_refused),
        cmocka_unit_test(test_foreign_too_large),
        cmocka_unit_test(test_read_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
