/* SPDX-License-Identifier: MIT */
/* Which URLs are asked in which order, and which documents are believed. */
#include "worker/oauth/oauth_metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char SERVER[] = "https://u:p@mcp.example.com:8443/a/mcp?key=secret";

/* `wanted` ends with NULL. */
static void check_urls(bool (*get)(const char *, unsigned, char[OAUTH_URL_SIZE]), const char *base,
                       const char *const *wanted)
{
    char url[OAUTH_URL_SIZE];
    unsigned index = 0;
    for (; wanted[index] != NULL; index++) {
        assert_true(get(base, index, url));
        assert_string_equal(url, wanted[index]);
    }
    assert_false(get(base, index, url));
}

static void test_where_the_resource_is_described(void **state)
{
    (void)state;
    check_urls(oauth_metadata_resource_url, SERVER,
               (const char *const[]){"https://mcp.example.com:8443/.well-known/oauth-protected-resource/a/mcp",
                                     "https://mcp.example.com:8443/.well-known/oauth-protected-resource", NULL});
    check_urls(oauth_metadata_resource_url, "http://[::1]:80/",
               (const char *const[]){"http://[::1]:80/.well-known/oauth-protected-resource", NULL});
}

static void test_where_the_issuer_is_described(void **state)
{
    (void)state;
    check_urls(oauth_metadata_issuer_url, "https://as.example.com",
               (const char *const[]){"https://as.example.com/.well-known/oauth-authorization-server",
                                     "https://as.example.com/.well-known/openid-configuration", NULL});
    check_urls(oauth_metadata_issuer_url, "https://as.example.com/tenant/",
               (const char *const[]){"https://as.example.com/.well-known/oauth-authorization-server/tenant",
                                     "https://as.example.com/.well-known/openid-configuration/tenant",
                                     "https://as.example.com/tenant/.well-known/openid-configuration", NULL});
}

static void test_what_is_left_out_of_the_servers_url(void **state)
{
    char text[OAUTH_URL_SIZE];
    (void)state;
    assert_true(oauth_metadata_default_resource(SERVER, text));
    assert_string_equal(text, "https://mcp.example.com:8443/a/mcp");
    assert_true(oauth_metadata_origin(SERVER, text));
    assert_string_equal(text, "https://mcp.example.com:8443");
}

static void test_what_may_be_asked(void **state)
{
    static const struct {
        const char *url, *server;
        bool may;
    } samples[] = {
        {"https://as.example.com/x", "http://mcp.example.com", true},
        {"HTTPS://as.example.com/x", "http://mcp.example.com", true},
        {"http://as.example.com/x", "https://mcp.example.com", false},
        {"http://127.0.0.1:1/x", "https://mcp.example.com", false},
        {"http://127.0.0.1:1/x", "http://127.1.2.3/mcp", true},
        {"http://localhost:1/x", "http://[::1]/mcp", true},
        {"http://localhost.example.com/x", "http://localhost/mcp", false},
        {"http://127.0.0.1.example.com/x", "http://localhost/mcp", false},
        {"http://10.0.0.1/x", "http://127.0.0.1/mcp", false},
        {"https://u:p@as.example.com/x", "https://mcp.example.com", false},
        {"https://as.example.com/x#y", "https://mcp.example.com", false},
        {"https://as.example.com/x y", "https://mcp.example.com", false},
        {"file:///etc/passwd", "https://mcp.example.com", false},
        {"//as.example.com/x", "https://mcp.example.com", false},
        {"", "https://mcp.example.com", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++)
        if (oauth_metadata_may_ask(samples[i].url, samples[i].server) != samples[i].may)
            fail_msg("%s for %s", samples[i].url, samples[i].server);
}

/* NULL, or the problem that was told. */
static const char *read_resource(const char *json, struct oauth_resource *out)
{
    json_t *document = json_loads(json, 0, NULL);
    assert_non_null(document);
    const char *problem = oauth_metadata_read_resource(document, SERVER, out);
    json_decref(document);
    return problem;
}

static void test_resource_documents(void **state)
{
    struct oauth_resource resource;
    (void)state;
    assert_null(read_resource("{\"resource\": \"https://mcp.example.com:8443/a/mcp\", \"authorization_servers\": "
                              "[\"https://as/t\", \"https://b\"], \"scopes_supported\": [\"x\", \"y\", \"x\"]}",
                              &resource));
    assert_string_equal(resource.resource, "https://mcp.example.com:8443/a/mcp");
    assert_int_equal(resource.issuer_count, 2);
    assert_string_equal(resource.issuers[0], "https://as/t");
    assert_string_equal(resource.issuers[1], "https://b");
    assert_string_equal(resource.scope, "x y");
    assert_null(read_resource("{\"resource\": \"HTTPS://MCP.example.com:8443/a/\"}", &resource));
    assert_int_equal(resource.issuer_count, 0);
    assert_string_equal(resource.scope, "");
    assert_null(
        read_resource("{\"resource\": \"https://mcp.example.com:8443\", \"scopes_supported\": [\"x\", 1]}", &resource));
    assert_string_equal(resource.scope, "");
    assert_string_equal(read_resource("{}", &resource), "it names no resource");
    static const char *const others[] = {
        "https://mcp.example.com/a/mcp",
        "http://mcp.example.com:8443/a/mcp",
        "https://evil:8443/a/mcp",
        "https://mcp.example.com:8443/a/mcp/b",
        "https://mcp.example.com:8443/a/m",
        "https://mcp.example.com:8443/b",
        "https://x@mcp.example.com:8443/a/mcp",
        "urn:mcp",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"resource\": \"%s\"}", others[i]);
        const char *problem = read_resource(json, &resource);
        if (problem == NULL || strcmp(problem, "it is for another resource") != 0)
            fail_msg("%s: %s", others[i], problem);
    }
    assert_string_equal(read_resource("{\"resource\": \"https://mcp.example.com:8443/\", \"authorization_servers\": "
                                      "[\"http://as.example.com\"]}",
                                      &resource),
                        "its authorization server is not on https");
    assert_string_equal(
        read_resource("{\"resource\": \"https://mcp.example.com:8443/\", \"authorization_servers\": [1]}", &resource),
        "its authorization server is no URL");
    assert_null(
        read_resource("{\"resource\": \"https://mcp.example.com:8443/\", \"authorization_servers\": "
                      "[1, \"http://as\", \"https://a\", \"https://b\", \"https://c\", \"https://d\", \"https://e\"]}",
                      &resource));
    assert_int_equal(resource.issuer_count, OAUTH_ISSUERS_MAX);
    assert_string_equal(resource.issuers[0], "https://a");
    assert_string_equal(resource.issuers[3], "https://d");
}

static const char *read_issuer(const char *json, const char *issuer, struct oauth_issuer *out)
{
    json_t *document = json_loads(json, 0, NULL);
    assert_non_null(document);
    const char *problem = oauth_metadata_read_issuer(document, issuer, SERVER, out);
    json_decref(document);
    return problem;
}

static void test_issuer_documents(void **state)
{
    struct oauth_issuer issuer;
    (void)state;
    assert_null(read_issuer("{\"issuer\": \"https://as/t\", \"token_endpoint\": \"https://other/token\"}",
                            "https://as/t", &issuer));
    assert_string_equal(issuer.issuer, "https://as/t");
    assert_string_equal(issuer.token_endpoint, "https://other/token");
    assert_false(issuer.secret_in_body);
    assert_null(read_issuer("{\"issuer\": \"https://as/\", \"token_endpoint\": \"https://as/token\", "
                            "\"token_endpoint_auth_methods_supported\": [\"client_secret_post\"]}",
                            "https://as", &issuer));
    assert_string_equal(issuer.issuer, "https://as/");
    assert_true(issuer.secret_in_body);
    assert_string_equal(read_issuer("{\"issuer\": \"https://as/t/\", \"token_endpoint\": \"https://as/token\"}",
                                    "https://as/t", &issuer),
                        "it is of another issuer");
    assert_string_equal(
        read_issuer("{\"issuer\": \"https://evil\", \"token_endpoint\": \"https://as/token\"}", "https://as", &issuer),
        "it is of another issuer");
    assert_string_equal(read_issuer("{\"token_endpoint\": \"https://as/token\"}", "https://as", &issuer),
                        "it names no issuer");
    assert_string_equal(read_issuer("{\"issuer\": \"https://as\"}", "https://as", &issuer),
                        "it names no token endpoint");
    assert_string_equal(
        read_issuer("{\"issuer\": \"https://as\", \"token_endpoint\": \"http://as/token\"}", "https://as", &issuer),
        "its token endpoint is not on https");
}

static void test_scopes_are_added(void **state)
{
    char scope[OAUTH_SCOPE_SIZE] = "a b";
    char long_name[OAUTH_SCOPE_SIZE];
    (void)state;
    assert_false(oauth_metadata_add_scope(scope, "b  a"));
    assert_true(oauth_metadata_add_scope(scope, "c a ab"));
    assert_string_equal(scope, "a b c ab");
    assert_false(oauth_metadata_add_scope(scope, "d \"e\""));
    assert_false(oauth_metadata_add_scope(scope, ""));
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    assert_false(oauth_metadata_add_scope(scope, long_name));
    assert_string_equal(scope, "a b c ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_the_resource_is_described),
        cmocka_unit_test(test_where_the_issuer_is_described),
        cmocka_unit_test(test_what_is_left_out_of_the_servers_url),
        cmocka_unit_test(test_what_may_be_asked),
        cmocka_unit_test(test_resource_documents),
        cmocka_unit_test(test_issuer_documents),
        cmocka_unit_test(test_scopes_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
