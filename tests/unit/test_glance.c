/* SPDX-License-Identifier: MIT */
#include "worker/peer/glance.h"

#include "worker/peer/mcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOOLS        "\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\""
#define ACKNOWLEDGED "\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\""
#define SUBSCRIPTION "\"io.modelcontextprotocol/subscriptionId\":"

static const struct limits_json LIMITS = {.depth = 64, .values = 1000, .batch = 10};

static bool look(const char *text, struct jsonrpc_message *message)
{
    /* In memory of its own size, so that a byte too far is seen. */
    size_t size = strlen(text);
    char *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, text, size);
    bool is_plain = glance(copy, size, &LIMITS, message);
    free(copy);
    return is_plain;
}

static void a_plain_change_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum kind kind;
        uint32_t subscription;
    } cases[] = {
        {"{" TOOLS "}", KIND_TOOLS, 0},
        {"{\"method\":\"notifications/prompts/list_changed\",\"jsonrpc\":\"2.0\"}", KIND_PROMPTS, 0},
        {" { \"jsonrpc\" : \"2.0\" ,\n\t\"method\" :\"notifications/resources/list_changed\"\r\n} ", KIND_RESOURCES, 0},
        {"{" TOOLS ",\"params\":{}}", KIND_TOOLS, 0},
        {"{" TOOLS ",\"params\":{\"_meta\":{}}}", KIND_TOOLS, 0},
        {"{" TOOLS ",\"params\":{\"_meta\":{" SUBSCRIPTION "4294967295}}}", KIND_TOOLS, UINT32_MAX},
        {"{" TOOLS ",\"params\":{\"a\":{" SUBSCRIPTION "3},\"_meta\":{\"sentAt\":1234567890123456," SUBSCRIPTION
         "12}}}",
         KIND_TOOLS, 12},
        {"{" TOOLS ",\"a\":-0.5,\"b\":true,\"c\":false,\"d\":null,\"e\":\"\",\"\":0}", KIND_TOOLS, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct jsonrpc_message message;
        enum kind kind = KIND_COUNT;
        assert_true(look(cases[i].text, &message));
        assert_true(mcp_is_list_changed(&message, &kind));
        assert_int_equal(kind, cases[i].kind);
        assert_int_equal(message.subscription, cases[i].subscription);
        assert_int_equal(mcp_is_of(&message, cases[i].subscription), cases[i].subscription != 0);
        assert_false(mcp_is_of(&message, 77));
        assert_null(message.params);
    }
}

static void a_plain_acknowledgement_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *params;
        uint8_t honoured;
    } cases[] = {
        {"{}", 0},
        {"{\"notifications\":{}}", 0},
        {"{\"notifications\":{\"toolsListChanged\":true}}", 1U << KIND_TOOLS},
        {"{\"notifications\":{\"promptsListChanged\" : true,\"resourcesListChanged\":true,\"other\":true}}",
         1U << KIND_PROMPTS | 1U << KIND_RESOURCES},
        {"{\"notifications\":{\"toolsListChanged\":false,\"promptsListChanged\":\"true\",\"resourcesListChanged\":1}}",
         0},
        {"{\"toolsListChanged\":true,\"a\":{\"toolsListChanged\":true}}", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[300];
        uint8_t kinds = 0xff;
        struct jsonrpc_message message;
        snprintf(text, sizeof(text), "{" ACKNOWLEDGED ",\"params\":%s}", cases[i].params);
        assert_true(look(text, &message));
        assert_true(mcp_is_acknowledgement(&message, &kinds));
        assert_int_equal(kinds, cases[i].honoured);
    }
}

static void all_else_is_for_the_parser(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{" TOOLS ",\"a\":[]}",
        "{" TOOLS,
        "{" TOOLS ",}",
        "{" TOOLS "}}",
        "{" TOOLS "} x",
        "[{" TOOLS "}]",
        "\xef\xbb\xbf{" TOOLS "}",
        "{\"jsonrpc\":\"2.0\"}",
        "{\"method\":\"notifications/tools/list_changed\"}",
        "{\"jsonrpc\":\"1.0\",\"method\":\"notifications/tools/list_changed\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_change\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools\\/list_changed\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}",
        "{" TOOLS ",\"id\":null}",
        "{" TOOLS ",\"id\":7}",
        "{" TOOLS ",\"method\":\"notifications/tools/list_changed\"}",
        "{" TOOLS ",\"jsonrpc\":\"2.0\"}",
        "{" TOOLS ",\"params\":{},\"params\":{}}",
        "{" TOOLS ",\"params\":null}",
        "{" TOOLS ",\"params\":[]}",
        "{" TOOLS ",\"params\":{\"_meta\":{},\"_meta\":{}}}",
        "{" TOOLS ",\"params\":{\"_meta\":5}}",
        "{" TOOLS ",\"params\":{\"_meta\":{" SUBSCRIPTION "1," SUBSCRIPTION "2}}}",
        "{" TOOLS ",\"params\":{\"_meta\":{" SUBSCRIPTION "\"1\"}}}",
        "{" TOOLS ",\"params\":{\"_meta\":{" SUBSCRIPTION "1.5}}}",
        "{" TOOLS ",\"params\":{\"_meta\":{" SUBSCRIPTION "-1}}}",
        "{" TOOLS ",\"params\":{\"_meta\":{" SUBSCRIPTION "4294967296}}}",
        "{" TOOLS ",\"params\":{\"_meta\":{\"a\":{\"b\":{}}}}}",
        "{" ACKNOWLEDGED ",\"params\":{\"notifications\":[]}}",
        "{" ACKNOWLEDGED ",\"params\":{\"notifications\":{},\"notifications\":{}}}",
        "{" ACKNOWLEDGED ",\"params\":{\"notifications\":{\"toolsListChanged\":true,\"toolsListChanged\":false}}}",
        "{" ACKNOWLEDGED ",\"params\":{\"notifications\":{\"toolsListChanged\":t}}}",
        "{" TOOLS ",\"a\":1e5}",
        "{" TOOLS ",\"a\":01}",
        "{" TOOLS ",\"a\":1.}",
        "{" TOOLS ",\"a\":-}",
        "{" TOOLS ",\"a\":1234567890123456789}",
        "{" TOOLS ",\"a\":truely}",
        "{" TOOLS ",\"a\":tru",
        "{" TOOLS ",\"a\":\"\\n\"}",
        "{" TOOLS ",\"a\":\"\n\"}",
        "{" TOOLS ",\"a\":\"\xc3\xa4\"}",
        "{" TOOLS ",\"a\"}",
        "{" TOOLS ",\"a\":}",
        "{" TOOLS " \"a\":1}",
        "{" TOOLS ",a:1}",
    };
    struct jsonrpc_message message;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        if (look(texts[i], &message))
            fail_msg("understood at a glance: %s", texts[i]);
}

static void tight_limits_are_counted_by_the_parser(void **state)
{
    (void)state;
    static const char TEXT[] = "{" TOOLS "}";
    const struct limits_json shallow = {.depth = 3, .values = 1000, .batch = 10};
    const struct limits_json few = {.depth = 64, .values = 10, .batch = 10};
    struct jsonrpc_message message;
    assert_true(glance(TEXT, strlen(TEXT), &LIMITS, &message));
    assert_false(glance(TEXT, strlen(TEXT), &shallow, &message));
    assert_false(glance(TEXT, strlen(TEXT), &few, &message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_change_is_understood),
        cmocka_unit_test(a_plain_acknowledgement_is_understood),
        cmocka_unit_test(all_else_is_for_the_parser),
        cmocka_unit_test(tight_limits_are_counted_by_the_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
