/* SPDX-License-Identifier: MIT */
/* What a server repeats of its credentials is covered, each of them, wherever it stands; all else is left as it was. */
#include "worker/mask.h"

#include "hub_fixture.h"

static struct server_def *def;

static int open_scene(void **state)
{
    (void)state;
    def = def_called("s", "{\"url\": \"https://user1234:pass1234@host/path?key=query123&x=1\","
                          " \"headers\": {\"X-Key\": \"Bearer header12\", \"X-Short\": \"one\"},"
                          " \"proxy\": \"http://u:proxy123@p:1\","
                          " \"auth\": {\"type\": \"client_credentials\", \"clientId\": \"client12\","
                          " \"clientSecret\": \"secret12\"}}");
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    server_def_destroy(def);
    return 0;
}

static void check(const char *said, const char *shown)
{
    const struct mask mask = {.def = def, .token = "token123", .session_id = "session1"};
    json_t *document = json_loads(said, 0, NULL);
    json_t *wanted = json_loads(shown, 0, NULL);
    assert_non_null(document);
    assert_non_null(wanted);
    mask_document(&mask, said, strlen(said), document);
    assert_true(json_equal(document, wanted));
    json_decref(document);
    struct buf secrets; /* the same with a copy */
    buf_init(&secrets, 4096);
    assert_int_equal(mask_copy(&mask, &secrets), 0);
    document = json_loads(said, 0, NULL);
    assert_non_null(document);
    mask_document(&(struct mask){.copied = &secrets}, said, strlen(said), document);
    assert_true(json_equal(document, wanted));
    json_decref(document);
    buf_fini(&secrets);
    json_decref(wanted);
}

static void each_secret_is_covered(void **state)
{
    (void)state;
    static const char *const secrets[] = {"user1234", "pass1234", "query123", "header12",
                                          "proxy123", "secret12", "token123", "session1"};
    for (size_t i = 0; i < ARRAY_LENGTH(secrets); i++) {
        char said[128];
        snprintf(said, sizeof(said), "{\"a\": [{\"name\": \"<%s> and %s\"}], \"n\": 1}", secrets[i], secrets[i]);
        check(said, "{\"a\": [{\"name\": \"<********> and ********\"}], \"n\": 1}");
    }
    check("[\"Bearer header12\"]", "[\"***************\"]");
    check("[\"secret12token123\"]", "[\"****************\"]");
}

static void as_the_server_reads_it_or_writes_it(void **state)
{
    (void)state;
    const struct server_pair header = {"X-Key", "abc/def+ghi"};
    const struct server_extras extras = {.headers = &header, .header_count = 1};
    const struct server_def coded = {.url = "https://us%65r:pa%2Fss%@host/?key=k%2by%20123", .extras = &extras};
    static const char *const said[][2] = {
        {"[\"abc\\/def\\u002bghi\"]", "[\"***********\"]"},
        {"[\"k+y 123 k%2by%20123\"]", "[\"******* ***********\"]"},
        {"[\"pa/ss%\"]", "[\"******\"]"},
        {"[\"Basic dXNlcjpwYS9zcyU=\"]", "[\"Basic ****************\"]"},
        {"[\"a\\/b\"]", "[\"a/b\"]"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(said); i++) {
        json_t *document = json_loads(said[i][0], 0, NULL), *wanted = json_loads(said[i][1], 0, NULL);
        mask_document(&(struct mask){.def = &coded}, said[i][0], strlen(said[i][0]), document);
        if (!json_equal(document, wanted))
            fail_msg("%s: %s", said[i][0], json_string_value(json_array_get(document, 0)));
        json_decref(document);
        json_decref(wanted);
    }
}

static void all_else_is_left(void **state)
{
    (void)state;
    check("[\"one\", \"client12\", \"host\", \"Bearer\", \"secret1\", \"\"]",
          "[\"one\", \"client12\", \"host\", \"Bearer\", \"secret1\", \"\"]");
    check("{\"nextCursor\": \"session1-2\", \"tools\": [\"session1\"]}",
          "{\"nextCursor\": \"session1-2\", \"tools\": [\"********\"]}");
}

static void arguments_that_look_like_secrets(void **state)
{
    (void)state;
    const char *const args[] = {"/srv/server-2024.js", "@scope/server-2024", "production",
                                "--key=argument1234",  "another-one-1234",   "http://u:argument-5678@host/"};
    const struct server_pair env[] = {{"PEM", "line-one-of-it\nline-two-of-it"}};
    const struct server_extras extras = {
        .command = "node", .args = args, .arg_count = ARRAY_LENGTH(args), .env = env, .env_count = ARRAY_LENGTH(env)};
    const struct server_def program = {.extras = &extras};
    char said[] =
        "node /srv/server-2024.js @scope/server-2024 production --key=argument1234 another-one-1234 argument-5678 "
        "line-two-of-it";
    mask_text(&(struct mask){.def = &program}, said, strlen(said));
    assert_string_equal(said, "node /srv/server-2024.js @scope/server-2024 production --key=************ "
                              "**************** ************* **************");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_secret_is_covered),
        cmocka_unit_test(as_the_server_reads_it_or_writes_it),
        cmocka_unit_test(all_else_is_left),
        cmocka_unit_test(arguments_that_look_like_secrets),
    };
    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
