/* SPDX-License-Identifier: MIT */
/* Definitions: what is read, what each mistake is told as, that JSON comes back the same, what counts as the same
 * connection, and what may be shown. Headers' rules and the draft are tested through it. */
#include "common/server_def.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What was told: "key: message\n" for each. */
struct told {
    char text[8192];
};

static void tell(void *user, const char *id, const char *key, const char *message)
{
    struct told *told = user;
    size_t size = strlen(told->text);

    assert_non_null(id);
    snprintf(told->text + size, sizeof told->text - size, "%s: %s\n", key, message);
}

static struct server_def *read_source(const char *id, const char *json, enum source source, struct told *told)
{
    json_t *object = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    assert_non_null(object);
    *told = (struct told){.text = ""};
    struct server_def *def = server_def_from_json(id, object, source, tell, told);
    json_decref(object); /* nothing may be borrowed from it */
    assert_int_equal(def == NULL, told->text[0] != '\0');
    return def;
}

static struct server_def *read_good(const char *json)
{
    struct told told;
    struct server_def *def = read_source("id", json, SOURCE_FILE, &told);

    assert_string_equal(told.text, "");
    return def;
}

static void expect_problem(const char *json, const char *part)
{
    struct told told;

    assert_null(read_source("id", json, SOURCE_FILE, &told));
    if (strstr(told.text, part) == NULL)
        fail_msg("%s\ntold: %s\nnot: %s", json, told.text, part);
}

#define URL "\"url\": \"http://host/mcp\""

static void defaults(void **state)
{
    struct server_def *def = read_good("{" URL "}");

    (void)state;
    assert_string_equal(def->id, "id");
    assert_string_equal(server_def_name(def), "id");
    assert_string_equal(server_def_workspace_id(def), "");
    assert_string_equal(server_def_user_id(def), "");
    assert_string_equal(def->url, "http://host/mcp");
    assert_int_equal(def->source, SOURCE_FILE);
    assert_int_equal(def->transport, TRANSPORT_HTTP);
    assert_true(def->enabled);
    assert_int_equal(def->events, 1 << KIND_TOOLS);
    assert_int_equal(def->timeout_ms, 0);
    assert_int_equal(def->extras->header_count, 0);
    assert_null(def->extras->ca_file);
    assert_null(def->extras->proxy);
    assert_null(def->extras->auth);
    server_def_destroy(def);
}

static const char full_web[] =
    "{\"type\": \"sse\", \"url\": \"https://u:secret@host:8443/sse?secret\", \"name\": \"N\\u00e4me\", "
    "\"workspaceId\": \"w\", \"userId\": \"u\", \"enabled\": false, \"timeout\": 30000, \"poll\": \"90000ms\", "
    "\"events\": [\"tools\", \"resources\"], \"headers\": {\"X-Key\": \"secret\", \"X-A\": \"\"}, "
    "\"caFile\": \"/ca.pem\", \"proxy\": \"\", "
    "\"auth\": {\"type\": \"client_credentials\", \"clientId\": \"c\", \"clientSecret\": \"s\"}}";

static void every_key_of_a_web_server(void **state)
{
    struct server_def *def = read_good(full_web);
    char origin[64];

    (void)state;
    assert_int_equal(def->transport, TRANSPORT_SSE);
    assert_string_equal(server_def_name(def), "N\xc3\xa4me");
    assert_string_equal(server_def_workspace_id(def), "w");
    assert_string_equal(server_def_user_id(def), "u");
    assert_false(def->enabled);
    assert_int_equal(def->timeout_ms, 30000);
    assert_int_equal(def->poll_ms, 90000);
    assert_int_equal(def->events, 1 << KIND_TOOLS | 1 << KIND_RESOURCES);
    assert_int_equal(def->extras->header_count, 2);
    assert_string_equal(def->extras->headers[0].name, "X-Key");
    assert_string_equal(def->extras->headers[0].value, "secret");
    assert_string_equal(def->extras->headers[1].value, "");
    assert_string_equal(def->extras->ca_file, "/ca.pem");
    assert_string_equal(def->extras->proxy, "");
    assert_string_equal(json_string_value(json_object_get(def->extras->auth, "clientId")), "c");
    assert_string_equal(server_def_origin(def, origin, sizeof origin), "https://host:8443");
    server_def_destroy(def);
}

static const char full_stdio[] = "{\"command\": \"/usr/bin/server\", \"args\": [\"-x\", \"a\\nb\", \"\"], "
                                 "\"env\": {\"TOKEN\": \"secret\"}, \"cwd\": \"/tmp\"}";

static void every_key_of_a_stdio_server(void **state)
{
    struct server_def *def = read_good(full_stdio);
    char origin[64];

    (void)state;
    assert_int_equal(def->transport, TRANSPORT_STDIO);
    assert_string_equal(def->extras->command, "/usr/bin/server");
    assert_int_equal(def->extras->arg_count, 3);
    assert_string_equal(def->extras->args[1], "a\nb");
    assert_string_equal(def->extras->args[2], "");
    assert_int_equal(def->extras->env_count, 1);
    assert_string_equal(def->extras->env[0].name, "TOKEN");
    assert_string_equal(def->extras->cwd, "/tmp");
    assert_null(def->url);
    assert_string_equal(server_def_origin(def, origin, sizeof origin), "server");
    server_def_destroy(def);
}

static void spellings_of_existing_files(void **state)
{
    static const struct {
        const char *json;
        enum transport transport;
        bool enabled;
    } files[] = {
        {"{\"type\": \"http\", " URL "}", TRANSPORT_HTTP, true},
        {"{\"type\": \"streamable-http\", " URL "}", TRANSPORT_HTTP, true},
        {"{\"type\": \"streamableHttp\", " URL "}", TRANSPORT_HTTP, true},
        {"{\"type\": \"stdio\", \"command\": \"x\"}", TRANSPORT_STDIO, true},
        {"{" URL ", \"disabled\": true}", TRANSPORT_HTTP, false},
        {"{" URL ", \"disabled\": false}", TRANSPORT_HTTP, true},
        {"{" URL ", \"disabled\": true, \"enabled\": true}", TRANSPORT_HTTP, false},
        {"{" URL ", \"enabled\": true, \"disabled\": true}", TRANSPORT_HTTP, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        struct server_def *def = read_good(files[i].json);
        assert_int_equal(def->transport, files[i].transport);
        assert_int_equal(def->enabled, files[i].enabled);
        server_def_destroy(def);
    }
}

static void each_mistake_is_named(void **state)
{
    static const struct {
        const char *json;
        const char *part;
    } bad[] = {
        {"[]", ": must be an object"},
        {"{}", "url: is missing"},
        {"{\"type\": \"sse\"}", "url: is missing"},
        {"{\"type\": \"stdio\"}", "command: is missing"},
        {"{\"type\": \"ws\", " URL "}", "type: must be"},
        {"{\"type\": 1, " URL "}", "type: must be"},
        {"{\"url\": 1}", "url: must be a text"},
        {"{\"url\": null}", "url: must be a text"},
        {"{\"url\": \"example.com\"}", "url: must begin with"},
        {"{\"url\": \"http://a b\"}", "url: has a space"},
        {"{\"url\": \"http://a\\u0000b\"}", "url: has a NUL"},
        {"{" URL ", \"urls\": 1}", "urls: unknown key; known are type, name"},
        {"{" URL ", \"workspaceid\": \"w\"}", "workspaceid: unknown key; \"workspaceId\" is meant"},
        {"{" URL ", \"command\": \"x\"}", "command: means nothing for a server of type http"},
        {"{\"command\": \"x\", \"headers\": {}}", "headers: means nothing for a server of type stdio"},
        {"{\"command\": \"\"}", "command: is empty"},
        {"{\"command\": \"x\", \"args\": \"y\"}", "args: must be a list"},
        {"{\"command\": \"x\", \"args\": [\"y\", 2]}", "args.1: must be a text"},
        {"{\"command\": \"x\", \"env\": {\"A=B\": \"\"}}", "env.A=B: is no name"},
        {"{\"command\": \"x\", \"env\": {\"A\": 1}}", "env.A: must be a text"},
        {"{" URL ", \"name\": \"a\\nb\"}", "name: has a control"},
        {"{" URL ", \"name\": \"a\\u009bb\"}", "name: has a control"},
        {"{" URL ", \"enabled\": 1}", "enabled: must be true or false"},
        {"{" URL ", \"timeout\": 99}", "timeout: must be"},
        {"{" URL ", \"timeout\": 600001}", "timeout: must be"},
        {"{" URL ", \"timeout\": \"1s\"}", "timeout: must be"},
        {"{" URL ", \"timeout\": 1000.5}", "timeout: must be"},
        {"{" URL ", \"poll\": 1000}", "poll: must be"},
        {"{" URL ", \"poll\": \"0\"}", "poll: must be"},
        {"{" URL ", \"poll\": \"8d\"}", "poll: must be"},
        {"{" URL ", \"events\": []}", "events: must be"},
        {"{" URL ", \"events\": \"tools\"}", "events: must be"},
        {"{" URL ", \"events\": [\"tools\", \"logs\"]}", "events: must be"},
        {"{" URL ", \"headers\": []}", "headers: must be an object"},
        {"{" URL ", \"headers\": {\"X\": 1}}", "headers.X: must be a text"},
        {"{" URL ", \"headers\": {\"X Y\": \"1\"}}", "headers.X Y: is no name"},
        {"{" URL ", \"headers\": {\"\": \"1\"}}", "headers.: is no name"},
        {"{" URL ", \"headers\": {\"X\": \"a\\r\\nB: c\"}}", "headers.X: has a line break"},
        {"{" URL ", \"headers\": {\"X\": \"a\\u0000\"}}", "headers.X: has a NUL"},
        {"{" URL ", \"headers\": {\"host\": \"a\"}}", "headers.host: is set by the broker"},
        {"{" URL ", \"headers\": {\"MCP-Session-ID\": \"a\"}}", "headers.MCP-Session-ID: is set by the broker"},
        {"{" URL ", \"headers\": {\"X-A\": \"1\", \"x-a\": \"2\"}}", "headers.x-a: is given twice"},
        {"{" URL ", \"caFile\": \"\"}", "caFile: is empty"},
        {"{" URL ", \"auth\": \"x\"}", "auth: must be an object"},
        {"{" URL ", \"auth\": {}}", "auth.type: must be"},
        {"{" URL ", \"auth\": {\"type\": \"basic\"}}", "auth.type: must be"},
        {"{" URL ", \"auth\": {\"type\": \"refresh_token\", \"x\": {}}}", "auth.x: must be a text"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        expect_problem(bad[i].json, bad[i].part);
}

#define CLIENT "\"type\": \"client_credentials\", \"clientId\": \"c\""
#define SECRET "\"clientSecret\": \"s\""
#define KEY    "\"privateKey\": \"-----BEGIN PRIVATE KEY-----\\n\""

static void each_mistake_of_auth_is_named(void **state)
{
    static const struct {
        const char *auth;
        const char *part;
    } bad[] = {
        {"\"type\": \"client_credentials\", " SECRET, "auth.clientId: is missing"},
        {"\"type\": \"client_credentials\", \"clientId\": \"\", " SECRET, "auth.clientId: is empty"},
        {CLIENT, "auth.clientSecret: is missing (or privateKey"},
        {CLIENT ", " SECRET ", " KEY, "auth.privateKey: only one of"},
        {CLIENT ", " KEY ", \"privateKeyFile\": \"/k\"", "auth.privateKey: only one of"},
        {CLIENT ", \"privateKey\": \"/etc/key.pem\"", "auth.privateKey: must be a private key as PEM"},
        {CLIENT ", \"privateKey\": \"-----BEGIN ENCRYPTED PRIVATE KEY-----\"", "auth.privateKey: has a passphrase"},
        {CLIENT ", " KEY ", \"algorithm\": \"HS256\"", "auth.algorithm: must be RS256"},
        {CLIENT ", " SECRET ", \"algorithm\": \"RS256\"", "auth.algorithm: means nothing"},
        {CLIENT ", " SECRET ", \"keyId\": \"k\"", "auth.keyId: means nothing"},
        {CLIENT ", " SECRET ", \"refreshToken\": \"r\"", "auth.refreshToken: means nothing"},
        {CLIENT ", " SECRET ", \"scope\": \"a\\\"b\"", "auth.scope: must be names"},
        {CLIENT ", " SECRET ", \"scope\": \"\"", "auth.scope: is empty"},
        {CLIENT ", " SECRET ", \"issuer\": \"as.example.com\"", "auth.issuer: must begin with"},
        {CLIENT ", " SECRET ", \"issuer\": \"https://as/?a\"", "auth.issuer: has a query"},
        {CLIENT ", " SECRET ", \"tokenEndpoint\": \"https://as/#a\"", "auth.tokenEndpoint: has a fragment"},
        {CLIENT ", \"client_secret\": \"s\"", "auth.client_secret: unknown key; known are type, clientId"},
        {CLIENT ", \"clientsecret\": \"s\"", "auth.clientsecret: unknown key; \"clientSecret\" is meant"},
        {"\"type\": \"refresh_token\", \"clientId\": \"c\"", "auth.refreshToken: is missing"},
        {"\"type\": \"refresh_token\", \"clientId\": \"c\", \"refreshToken\": 1", "auth.refreshToken: must be a text"},
    };
    char json[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        snprintf(json, sizeof json, "{" URL ", \"auth\": {%s}}", bad[i].auth);
        expect_problem(json, bad[i].part);
    }
    expect_problem("{" URL ", \"headers\": {\"authorization\": \"x\"}, \"auth\": {" CLIENT ", " SECRET "}}",
                   "auth: is given beside a header");
}

static void good_auth(void **state)
{
    static const char *const good[] = {
        CLIENT ", " SECRET ", \"scope\": \"a b\", \"issuer\": \"https://as/tenant\"",
        CLIENT ", " KEY,
        CLIENT ", \"privateKeyFile\": \"/k.pem\", \"algorithm\": \"ES256\", \"keyId\": \"k\"",
        "\"type\": \"refresh_token\", \"clientId\": \"c\", \"refreshToken\": \"r\"",
        "\"type\": \"refresh_token\", \"clientId\": \"c\", \"refreshToken\": \"r\", " SECRET
        ", \"tokenEndpoint\": \"http://as/token?a\"",
    };
    char json[512];
    struct told told;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        snprintf(json, sizeof json, "{" URL ", \"auth\": {%s}}", good[i]);
        server_def_destroy(read_good(json));
    }
    snprintf(json, sizeof json, "{" URL ", \"auth\": {%s}}", good[2]);
    assert_null(read_source("id", json, SOURCE_RUNTIME, &told));
    assert_non_null(strstr(told.text, "auth.privateKeyFile: can be given in the servers file only"));
}

static void all_mistakes_are_told_at_once(void **state)
{
    struct told told;

    (void)state;
    assert_null(read_source("id", "{\"url\": 1, \"timeout\": 1, \"nmae\": \"\", \"headers\": {\"A\": 1, \"B\": 2}}",
                            SOURCE_FILE, &told));
    assert_non_null(strstr(told.text, "url: "));
    assert_non_null(strstr(told.text, "timeout: "));
    assert_non_null(strstr(told.text, "nmae: "));
    assert_non_null(strstr(told.text, "headers.A: "));
    assert_non_null(strstr(told.text, "headers.B: "));
}

static void values_are_never_told(void **state)
{
    struct told told;

    (void)state;
    assert_null(read_source("id",
                            "{\"url\": \"SECRET\", \"timeout\": \"SECRET\", \"proxy\": \"SECRET\\u0000\", "
                            "\"headers\": {\"X\": \"SECRET\\n\"}, \"auth\": {\"type\": \"SECRET\"}}",
                            SOURCE_FILE, &told));
    assert_null(strstr(told.text, "SECRET"));
}

static void bounds(void **state)
{
    struct told told;
    char long_text[SERVER_DEF_TEXT_MAX + 2];
    json_t *object = json_pack("{s:s, s:{}}", "url", "http://host", "headers");
    json_t *headers = json_object_get(object, "headers");

    (void)state;
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    json_object_set_new(headers, "H", json_string(long_text));
    told.text[0] = '\0';
    assert_null(server_def_from_json("id", object, SOURCE_FILE, tell, &told));
    assert_non_null(strstr(told.text, "headers.H: is longer than 8192 bytes"));
    json_object_set_new(headers, "H", json_string(long_text + 1));
    for (int i = 1; i < SERVER_DEF_HEADERS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "H%d", i);
        json_object_set_new(headers, name, json_string("v"));
    }
    struct server_def *def = server_def_from_json("id", object, SOURCE_FILE, tell, &told);
    assert_non_null(def);
    assert_int_equal(def->extras->header_count, SERVER_DEF_HEADERS_MAX);
    server_def_destroy(def);
    json_object_set_new(headers, "one-more", json_string("v"));
    assert_null(server_def_from_json("id", object, SOURCE_FILE, tell, &told));
    assert_non_null(strstr(told.text, "headers: has more than 32 entries"));
    json_decref(object);
}

static void ids(void **state)
{
    struct told told;
    char id[129];

    (void)state;
    memset(id, 'i', sizeof id);
    id[128] = '\0';
    assert_null(read_source(id, "{" URL "}", SOURCE_FILE, &told));
    assert_non_null(strstr(told.text, "127 bytes"));
    id[127] = '\0';
    server_def_destroy(read_source(id, "{" URL "}", SOURCE_FILE, &told));
    assert_null(read_source("", "{" URL "}", SOURCE_FILE, &told));
    assert_null(read_source("a\tb", "{" URL "}", SOURCE_FILE, &told));
    struct server_def *def = read_source("a/b c.d \xc3\xa4", "{" URL "}", SOURCE_FILE, &told);
    assert_string_equal(def->id, "a/b c.d \xc3\xa4");
    server_def_destroy(def);
}

static void no_stdio_at_run_time(void **state)
{
    struct told told;

    (void)state;
    assert_null(read_source("id", full_stdio, SOURCE_RUNTIME, &told));
    assert_non_null(strstr(told.text, "servers file only"));
    struct server_def *def = read_source("id", full_web, SOURCE_RUNTIME, &told);
    assert_int_equal(def->source, SOURCE_RUNTIME);
    server_def_destroy(def);
}

static void json_comes_back(void **state)
{
    static const char *const samples[] = {"{" URL "}", full_web, full_stdio};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct server_def *def = read_good(samples[i]);
        json_t *given = json_loads(samples[i], 0, NULL);
        json_t *written = server_def_to_json(def);
        assert_non_null(written);
        assert_true(json_equal(given, written));
        struct told told = {.text = ""};
        struct server_def *again = server_def_from_json("id", written, SOURCE_FILE, tell, &told);
        assert_non_null(again);
        assert_true(server_def_equal(def, again));
        json_decref(given);
        json_decref(written);
        server_def_destroy(def);
        server_def_destroy(again);
    }
}

static void a_copy_outlives_its_model(void **state)
{
    static const char *const samples[] = {"{" URL "}", full_web, full_stdio};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct server_def *def = read_good(samples[i]), *twin = read_good(samples[i]);
        struct server_def *copy = server_def_copy(def);
        server_def_destroy(def);
        assert_non_null(copy);
        assert_string_equal(copy->id, twin->id);
        assert_int_equal(copy->source, twin->source);
        assert_true(server_def_equal(copy, twin));
        server_def_destroy(copy);
        server_def_destroy(twin);
    }
}

static void what_makes_a_connection_another_one(void **state)
{
    static const struct {
        const char *json;
        bool same_connection;
    } others[] = {
        {"{" URL ", \"name\": \"n\"}", true},
        {"{" URL ", \"workspaceId\": \"w\"}", true},
        {"{" URL ", \"userId\": \"u\"}", true},
        {"{\"url\": \"http://host/other\"}", false},
        {"{\"type\": \"sse\", " URL "}", false},
        {"{" URL ", \"enabled\": false}", false},
        {"{" URL ", \"timeout\": 1000}", false},
        {"{" URL ", \"poll\": \"5m\"}", false},
        {"{" URL ", \"events\": [\"prompts\"]}", false},
        {"{" URL ", \"headers\": {\"A\": \"1\"}}", false},
        {"{" URL ", \"caFile\": \"/x\"}", false},
        {"{" URL ", \"proxy\": \"\"}", false},
        {"{" URL ", \"auth\": {\"type\": \"refresh_token\", \"clientId\": \"c\", \"refreshToken\": \"r\"}}", false},
        {"{\"command\": \"x\"}", false},
    };
    struct server_def *base = read_good("{" URL "}");
    struct server_def *twin = read_good("{" URL ", \"type\": \"http\", \"name\": \"id\", \"enabled\": true}");

    (void)state;
    assert_true(server_def_equal(base, twin));
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        struct server_def *other = read_good(others[i].json);
        assert_int_equal(server_def_same_connection(base, other), others[i].same_connection);
        assert_false(server_def_equal(base, other));
        server_def_destroy(other);
    }
    server_def_destroy(base);
    server_def_destroy(twin);
    server_def_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_key_of_a_web_server),
        cmocka_unit_test(every_key_of_a_stdio_server),
        cmocka_unit_test(spellings_of_existing_files),
        cmocka_unit_test(each_mistake_is_named),
        cmocka_unit_test(each_mistake_of_auth_is_named),
        cmocka_unit_test(good_auth),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(values_are_never_told),
        cmocka_unit_test(bounds),
        cmocka_unit_test(ids),
        cmocka_unit_test(no_stdio_at_run_time),
        cmocka_unit_test(json_comes_back),
        cmocka_unit_test(a_copy_outlives_its_model),
        cmocka_unit_test(what_makes_a_connection_another_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
