/* SPDX-License-Identifier: MIT */
/* The servers file: what comes out of a good one, and the line for each thing that is wrong with a bad one. */
#include "common/servers_file.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test_servers_file_XXXXXX";
static char path[64];

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct servers_file read_good(const char *text)
{
    struct servers_file file;
    struct problems problems;

    write_text(text);
    problems_init(&problems);
    int result = servers_file_read(path, &file, &problems);
    if (problems.count > 0)
        fail_msg("%s", problems.lines[0]);
    assert_int_equal(result, 0);
    problems_fini(&problems);
    return file;
}

/* `lines` ends with NULL; each is the end of a problem's line, behind the file's path. */
static void expect_problems(const char *text, const char *const *lines)
{
    struct servers_file file;
    struct problems problems;
    size_t count = 0;

    if (text != NULL)
        write_text(text);
    problems_init(&problems);
    assert_int_equal(servers_file_read(path, &file, &problems), 1);
    assert_null(file.servers);
    assert_int_equal(file.count, 0);
    for (; lines[count] != NULL; count++) {
        assert_true(count < problems.count);
        assert_memory_equal(problems.lines[count], path, strlen(path));
        const char *rest = problems.lines[count] + strlen(path);
        if (strncmp(rest, lines[count], strlen(lines[count])) != 0)
            fail_msg("told %s\nnot  %s", rest, lines[count]);
    }
    assert_int_equal(problems.count, count);
    problems_fini(&problems);
}

#define EXPECT(text, ...) expect_problems(text, (const char *const[]){__VA_ARGS__, NULL})

static void servers_come_in_order(void **state)
{
    struct servers_file file = read_good("\xef\xbb\xbf{\"other\": 1, \"servers\": \"a-flag\", \"mcpServers\": {\n"
                                         "\"z\": {\"url\": \"http://host/z\"},\n"
                                         "\"a\": {\"command\": \"run\", \"args\": [\"x\"]}}}\n");

    (void)state;
    assert_int_equal(file.count, 2);
    assert_string_equal(file.servers[0]->id, "z");
    assert_string_equal(file.servers[1]->id, "a");
    assert_int_equal(file.servers[1]->source, SOURCE_FILE);
    server_def_destroy(file.servers[0]); /* taken out */
    file.servers[0] = NULL;
    servers_file_fini(&file);
}

static void no_servers_is_no_error(void **state)
{
    struct servers_file file = read_good("{\"mcpServers\": {}}");

    (void)state;
    assert_int_equal(file.count, 0);
    servers_file_fini(&file);
}

static void texts_are_expanded_everywhere(void **state)
{
    (void)state;
    setenv("TEST_HOST", "example.com", 1);
    setenv("TEST_TOKEN", "s3cret", 1);
    struct servers_file file = read_good(
        "{\"mcpServers\": {\"a\": {\"url\": \"https://${TEST_HOST}/mcp\",\n"
        "  \"headers\": {\"X-Key\": \"Bearer ${TEST_TOKEN}\", \"X\": \"$${TEST_TOKEN}\"},\n"
        "  \"auth\": {\"type\": \"refresh_token\", \"clientId\": \"c\", \"refreshToken\": \"${TEST_TOKEN}\"}},\n"
        " \"b\": {\"command\": \"x\", \"args\": [\"--t=${TEST_TOKEN}\"], \"env\": {\"T\": \"${TEST_TOKEN}\"}}}}");
    assert_string_equal(file.servers[0]->url, "https://example.com/mcp");
    assert_string_equal(file.servers[0]->extras->headers[0].value, "Bearer s3cret");
    assert_string_equal(file.servers[0]->extras->headers[1].value, "${TEST_TOKEN}");
    assert_string_equal(json_string_value(json_object_get(file.servers[0]->extras->auth, "refreshToken")), "s3cret");
    assert_string_equal(file.servers[1]->extras->args[0], "--t=s3cret");
    assert_string_equal(file.servers[1]->extras->env[0].value, "s3cret");
    servers_file_fini(&file);
}

static void what_is_no_json(void **state)
{
    (void)state;
    unlink(path);
    EXPECT(NULL, ": can't be read: No such file");
    EXPECT("", ":1: not JSON: ");
    EXPECT("{\"mcpServers\": {\n\n,}}", ":3: not JSON: ");
    EXPECT("[]", ":1: must be an object");
    EXPECT("{}", ":1: has no key \"mcpServers\"");
    EXPECT("{\n\"mcpServers\": []}", ":2: mcpServers: must be an object");
    EXPECT("{\"x\": 1,\n\"servers\": {}}", ":2: servers: unknown key; \"mcpServers\" is meant");
    EXPECT("{\n\"mcpservers\": {}}", ":2: mcpservers: unknown key; \"mcpServers\" is meant");
}

static void a_syntax_error_quotes_no_secret(void **state)
{
    struct servers_file file;
    struct problems problems;

    (void)state;
    write_text("{\"mcpServers\": {\"a\": {\"url\": \"http://h\", \"headers\": {\"A\": \"S3CRET\n\"}}}}");
    problems_init(&problems);
    assert_int_equal(servers_file_read(path, &file, &problems), 1);
    assert_int_equal(problems.count, 1);
    assert_null(strstr(problems.lines[0], "S3CRET"));
    problems_fini(&problems);
}

static void duplicates_are_refused(void **state)
{
    (void)state;
    EXPECT("{\"mcpServers\": {\n\"a\": {\"url\": \"http://h\"},\n\"b\": {\"url\": \"http://h\"},\n"
           "\"a\": {\"url\": \"http://h\"}}}",
           ":4: a key stands twice in the same object near '\"a\"'");
}

static void each_problem_has_its_line(void **state)
{
    (void)state;
    unsetenv("TEST_MISSING");
    EXPECT("{\"mcpServers\": {\n"
           " \"one\": {\"url\": \"example.com\",\n"
           "   \"timeout\": 5,\n"
           "   \"headers\": {\"X\": \"1\",\n"
           "      \"Accept\": \"*\"}},\n"
           " \"two\": {},\n"
           " \"three\": {\"command\": \"x\",\n"
           "   \"args\": [\"ok\",\n"
           "      \"${TEST_MISSING}\"], \"typo\": 1},\n"
           " \"fo.ur\":\n"
           "   7 }}\n",
           ":2: mcpServers.one.url: must begin with", ":3: mcpServers.one.timeout: must be",
           ":5: mcpServers.one.headers.Accept: is set by the broker", ":6: mcpServers.two.url: is missing",
           ":9: mcpServers.three.args.1: the environment has no variable TEST_MISSING",
           ":9: mcpServers.three.typo: unknown key", ":10: mcpServers.fo.ur: must be an object");
}

/* One mistake, one line: what stands where a variable is missing is not judged as well. */
static void a_missing_variable_is_told_once(void **state)
{
    (void)state;
    EXPECT("{\"mcpServers\": {\"a\": {\"url\": \"${TEST_MISSING}\"}}}",
           ":1: mcpServers.a.url: the environment has no variable TEST_MISSING");
    EXPECT("{\"mcpServers\": {\"a\": {\"url\": \"http://h\",\n\"headers\": {\"X\": \"${file:/nonexistent}\"}}}}",
           ":2: mcpServers.a.headers.X: ${file:/nonexistent} can't be read: No such file");
}

static void more_problems_than_are_told(void **state)
{
    struct servers_file file;
    struct problems problems;
    FILE *out = fopen(path, "w");

    (void)state;
    assert_non_null(out);
    fputs("{\"mcpServers\": {", out);
    for (int i = 0; i < PROBLEMS_MAX + 20; i++)
        fprintf(out, "%s\"s%d\": 1", i > 0 ? "," : "", i);
    fputs("}}", out);
    fclose(out);
    problems_init(&problems);
    assert_int_equal(servers_file_read(path, &file, &problems), 1);
    assert_int_equal(problems.count, PROBLEMS_MAX);
    assert_int_equal(problems.more, 20);
    problems_fini(&problems);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/servers.json", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_come_in_order),           cmocka_unit_test(no_servers_is_no_error),
        cmocka_unit_test(texts_are_expanded_everywhere),   cmocka_unit_test(what_is_no_json),
        cmocka_unit_test(a_syntax_error_quotes_no_secret), cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(each_problem_has_its_line),       cmocka_unit_test(a_missing_variable_is_told_once),
        cmocka_unit_test(more_problems_than_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
