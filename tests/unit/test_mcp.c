/* SPDX-License-Identifier: MIT */
/* What is said is compared with the protocol's own text; what is read is fed right, wrong and odd. */
#include "worker/peer/mcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define META                                                                                                           \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientInfo\":"    \
    "{\"name\":\"mcp-broker\",\"version\":\"" MCP_BROKER_VERSION                                                       \
    "\"},\"io.modelcontextprotocol/clientCapabilities\":{}}"

static json_t *load(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        fail_msg("no JSON: %s", text);
    return value;
}

/* Takes `body`. */
static void assert_body(char *body, const char *wanted)
{
    assert_non_null(body);
    json_t *got = load(body), *want = load(wanted);
    if (!json_equal(got, want))
        fail_msg("%s\nis not\n%s", body, wanted);
    json_decref(got);
    json_decref(want);
    free(body);
}

static void bodies_are_as_the_protocol_has_them(void **state)
{
    (void)state;
    uint32_t id = 1;
    const struct server_def def = {.events = 1U << KIND_TOOLS | 1U << KIND_RESOURCES, .extras = &SERVER_NO_EXTRAS};
    assert_body(mcp_discover(id, &def),
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{" META "}}");
    assert_body(mcp_listen(id, &def),
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{" META
                ",\"notifications\":{\"toolsListChanged\":true,\"resourcesListChanged\":true}}}");
    assert_body(
        mcp_initialize(id, &def),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
        "\"capabilities\":{},\"clientInfo\":{\"name\":\"mcp-broker\",\"version\":\"" MCP_BROKER_VERSION "\"}}}");
    assert_body(mcp_initialized(), "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    assert_body(mcp_list(id, KIND_TOOLS, NULL, ERA_SESSION, &def),
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    assert_body(mcp_list(id, KIND_PROMPTS, "", ERA_SSE, &def),
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/list\",\"params\":{\"cursor\":\"\"}}");
    assert_body(mcp_list(id, KIND_RESOURCES, NULL, ERA_STATELESS, &def),
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\",\"params\":{" META "}}");
    assert_body(mcp_list(id, KIND_TOOLS, "c", ERA_STATELESS, &def),
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META ",\"cursor\":\"c\"}}");
    assert_body(mcp_ping(id), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
    assert_body(mcp_cancelled(id, "timeout"), "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                                              "\"params\":{\"requestId\":1,\"reason\":\"timeout\"}}");
}

static void client_credentials_are_a_capability(void **state)
{
    (void)state;
    static const char NAME[] = "io.modelcontextprotocol/oauth-client-credentials";
    uint32_t id = 1;
    struct server_extras extras = {.auth = load("{\"type\":\"client_credentials\"}")};
    const struct server_def def = {.extras = &extras};
    char *bodies[] = {mcp_initialize(id, &def), mcp_discover(id, &def)};
    json_t *initialize = load(bodies[0]), *discover = load(bodies[1]);
    json_t *meta = json_object_get(json_object_get(discover, "params"), "_meta");
    const json_t *declared[] = {json_object_get(json_object_get(initialize, "params"), "capabilities"),
                                json_object_get(meta, "io.modelcontextprotocol/clientCapabilities")};
    for (size_t i = 0; i < 2; i++) {
        assert_true(json_is_object(json_object_get(json_object_get(declared[i], "extensions"), NAME)));
        free(bodies[i]);
    }
    json_decref(initialize);
    json_decref(discover);
    json_decref(extras.auth);
    extras.auth = load("{\"type\":\"refresh_token\"}");
    char *body = mcp_initialize(id, &def);
    assert_null(strstr(body, "extensions"));
    free(body);
    json_decref(extras.auth);
}

static void assert_answer(const char *request, const char *wanted)
{
    json_t *document = load(request);
    struct jsonrpc_message message = jsonrpc_get(document, 0);
    assert_int_equal(message.type, JSONRPC_REQUEST);
    assert_body(mcp_answer(&message), wanted);
    json_decref(document);
}

static void requests_are_answered_with_their_own_id(void **state)
{
    (void)state;
    assert_answer("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}", "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
    assert_answer("{\"jsonrpc\":\"2.0\",\"id\":\"0\",\"method\":\"ping\"}",
                  "{\"jsonrpc\":\"2.0\",\"id\":\"0\",\"result\":{}}");
    assert_answer("{\"jsonrpc\":\"2.0\",\"id\":-1.5,\"method\":\"ping\"}",
                  "{\"jsonrpc\":\"2.0\",\"id\":-1.5,\"result\":{}}");
    assert_answer("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"sampling/createMessage\",\"params\":{}}",
                  "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}");
}

static void assert_headers(const struct server_def *def, const struct mcp_header_values *values,
                           const char *const wanted[], size_t count)
{
    struct mcp_headers headers;
    assert_int_equal(mcp_headers_init(&headers, def, values), 0);
    assert_int_equal(headers.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(headers.lines[i], wanted[i]);
    mcp_headers_fini(&headers);
}

static void headers_are_those_of_the_method(void **state)
{
    (void)state;
    const struct server_pair pairs[] = {{"Authorization", "Bearer t"}, {"X-Y", "z"}};
    const struct server_extras extras = {.headers = pairs, .header_count = ARRAY_LENGTH(pairs)};
    const struct server_def def = {.extras = &extras}, bare = {.extras = &SERVER_NO_EXTRAS};
    const char *const post[] = {"Authorization: Bearer t",          "X-Y: z",
                                "Content-Type: application/json",   "Accept: application/json, text/event-stream",
                                "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"};
    const char *const get[] = {"Accept: text/event-stream", "MCP-Protocol-Version: 2025-06-18", "Mcp-Session-Id: s",
                               "Last-Event-ID: e"};
    assert_headers(&def,
                   &(struct mcp_header_values){
                       .http_method = "POST", .version = MCP_STATELESS_VERSION, .rpc_method = "tools/list"},
                   post, ARRAY_LENGTH(post));
    assert_headers(&bare,
                   &(struct mcp_header_values){
                       .http_method = "GET", .version = "2025-06-18", .session_id = "s", .last_event_id = "e"},
                   get, ARRAY_LENGTH(get));
    assert_headers(&bare, &(struct mcp_header_values){.http_method = "DELETE"}, NULL, 0);
}

static enum mcp_versions read_discover(const char *text, struct mcp_hello *hello)
{
    json_t *result = load(text);
    enum mcp_versions versions = mcp_read_discover(result, hello);
    json_decref(result);
    return versions;
}

static void discover_results_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mcp_versions versions;
    } cases[] = {
        {"{\"supportedVersions\":[\"2099-01-01\",\"2026-07-28\"],\"capabilities\":{}}", MCP_VERSIONS_COMMON},
        {"{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"resultType\":\"complete\"}",
         MCP_VERSIONS_COMMON},
        {"{\"supportedVersions\":[\"2099-01-01\",\"2025-06-18\"],\"capabilities\":{}}", MCP_VERSIONS_LEGACY},
        {"{\"supportedVersions\":[\"2099-01-01\"],\"capabilities\":{}}", MCP_VERSIONS_FOREIGN},
        {"{\"supportedVersions\":[],\"capabilities\":{}}", MCP_VERSIONS_FOREIGN},
        {"{\"supportedVersions\":[7],\"capabilities\":{}}", MCP_VERSIONS_UNTOLD},
        {"{\"supportedVersions\":\"2026-07-28\",\"capabilities\":{}}", MCP_VERSIONS_UNTOLD},
        {"{\"supportedVersions\":[\"2026-07-28\"]}", MCP_VERSIONS_UNTOLD},
        {"{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"resultType\":\"input_required\"}",
         MCP_VERSIONS_UNTOLD},
        {"{}", MCP_VERSIONS_UNTOLD},
        {"null", MCP_VERSIONS_UNTOLD},
        {"[]", MCP_VERSIONS_UNTOLD},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct mcp_hello hello;
        if (read_discover(cases[i].text, &hello) != cases[i].versions)
            fail_msg("%s", cases[i].text);
    }
}

static void servers_are_described(void **state)
{
    (void)state;
    struct mcp_hello hello;
    assert_int_equal(
        read_discover("{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{\"listChanged\":"
                      "true},\"prompts\":{\"listChanged\":1},\"resources\":true},\"_meta\":{"
                      "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"n\",\"version\":\"1\"}}}",
                      &hello),
        MCP_VERSIONS_COMMON);
    assert_string_equal(hello.version, "2026-07-28");
    assert_string_equal(hello.server_info, "n/1");
    assert_int_equal(hello.has, 1U << KIND_TOOLS | 1U << KIND_PROMPTS);
    assert_int_equal(hello.advertised, 1U << KIND_TOOLS);

    read_discover(
        "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"serverInfo\":{\"name\":\"a\\n\\u001b\u00e9\"}}",
        &hello);
    assert_string_equal(hello.server_info, "a????");
    read_discover("{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"serverInfo\":{\"name\":"
                  "\"0123456789012345678901234567890123456789012345678901234567890123456789\",\"version\":\"1\"}}",
                  &hello);
    assert_int_equal(strlen(hello.server_info), ROW_SERVER_INFO_SIZE - 1);
}

static void initialize_results_are_judged(void **state)
{
    (void)state;
    static const char *const known[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
    struct mcp_hello hello;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        json_t *result = json_pack("{s:s, s:{s:{s:b}}, s:{s:s, s:s}}", "protocolVersion", known[i], "capabilities",
                                   "tools", "listChanged", 1, "serverInfo", "name", "n", "version", "1");
        assert_int_equal(mcp_read_initialize(result, &hello), MCP_VERSIONS_COMMON);
        assert_string_equal(hello.version, known[i]);
        assert_string_equal(hello.server_info, "n/1");
        assert_int_equal(hello.advertised, 1U << KIND_TOOLS);
        json_decref(result);
    }
    json_t *foreign = load("{\"protocolVersion\":\"2026-07-28\"}"), *odd = load("{\"protocolVersion\":1}");
    assert_int_equal(mcp_read_initialize(foreign, &hello), MCP_VERSIONS_FOREIGN);
    assert_int_equal(mcp_read_initialize(odd, &hello), MCP_VERSIONS_UNTOLD);
    assert_int_equal(mcp_read_initialize(NULL, &hello), MCP_VERSIONS_UNTOLD);
    json_decref(foreign);
    json_decref(odd);
}

static void supported_versions_of_an_error_are_judged(void **state)
{
    (void)state;
    json_t *common = load("{\"supported\":[\"2026-07-28\"]}"), *legacy = load("{\"supported\":[\"2025-11-25\"]}");
    assert_int_equal(mcp_read_supported(common), MCP_VERSIONS_COMMON);
    assert_int_equal(mcp_read_supported(legacy), MCP_VERSIONS_LEGACY);
    assert_int_equal(mcp_read_supported(NULL), MCP_VERSIONS_UNTOLD);
    json_decref(common);
    json_decref(legacy);
}

static void notifications_are_recognized(void **state)
{
    (void)state;
    json_t *document = load(
        "[{\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\",\"params\":{\"_meta\":{"
        "\"io.modelcontextprotocol/subscriptionId\":3}}},"
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{"
        "\"toolsListChanged\":true,\"promptsListChanged\":false,\"resourcesListChanged\":\"yes\"}}},"
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":3}},"
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notifications/tools/list_changed\"},"
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}]");
    struct jsonrpc_message changed = jsonrpc_get(document, 0), acknowledged = jsonrpc_get(document, 1),
                           cancelled = jsonrpc_get(document, 2), request = jsonrpc_get(document, 3),
                           bare = jsonrpc_get(document, 4);
    enum kind kind = KIND_TOOLS;
    uint8_t kinds = 0xff;

    assert_true(mcp_is_list_changed(&changed, &kind));
    assert_int_equal(kind, KIND_PROMPTS);
    assert_true(mcp_is_of(&changed, 3));
    assert_false(mcp_is_of(&changed, 4));
    assert_false(mcp_is_list_changed(&acknowledged, &kind));
    assert_false(mcp_is_list_changed(&request, &kind));

    assert_true(mcp_is_acknowledgement(&acknowledged, &kinds));
    assert_int_equal(kinds, 1U << KIND_TOOLS);
    assert_false(mcp_is_of(&acknowledged, 3));
    assert_false(mcp_is_of(&bare, 0));
    assert_true(mcp_is_acknowledgement(&bare, &kinds));
    assert_int_equal(kinds, 0);
    assert_false(mcp_is_acknowledgement(&changed, &kinds));

    assert_true(mcp_is_cancelled(&cancelled, 3));
    assert_false(mcp_is_cancelled(&cancelled, 4));
    assert_false(mcp_is_cancelled(&changed, 3));
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_as_the_protocol_has_them),
        cmocka_unit_test(client_credentials_are_a_capability),
        cmocka_unit_test(requests_are_answered_with_their_own_id),
        cmocka_unit_test(headers_are_those_of_the_method),
        cmocka_unit_test(discover_results_are_judged),
        cmocka_unit_test(servers_are_described),
        cmocka_unit_test(initialize_results_are_judged),
        cmocka_unit_test(supported_versions_of_an_error_are_judged),
        cmocka_unit_test(notifications_are_recognized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
