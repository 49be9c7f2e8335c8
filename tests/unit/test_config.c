/* SPDX-License-Identifier: MIT */
/* The configuration: each flag in its spellings, the file below the flags, the environment below both, and for each
 * mistake the line that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 8 };

static struct config config;
static struct problems problems;
static char path[] = "/tmp/test_config.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    static const char *const variables[] = {"REDIS_URL", "RUNTIME_DIRECTORY", "STATE_DIRECTORY"};
    for (size_t i = 0; i < ARRAY_LENGTH(variables); i++)
        unsetenv(variables[i]);
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    setenv("HOME", "/home/u", 1);
    config_init(&config);
    problems_init(&problems);
    strcpy(path, "/tmp/test_config.XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    config_fini(&config);
    problems_fini(&problems);
    return unlink(path);
}

static void reset(void)
{
    config_fini(&config);
    problems_fini(&problems);
    config_init(&config);
    problems_init(&problems);
}

/* `arguments` end with NULL. */
static enum config_action read_arguments(const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX + 1] = {strdup("mcp-broker")};
    int argc = 1;
    for (; arguments[argc - 1] != NULL; argc++)
        argv[argc] = strdup(arguments[argc - 1]);
    enum config_action action = config_read(&config, argc, argv, &problems);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return action;
}

#define READ(...) read_arguments((const char *const[ARGUMENTS_MAX]){__VA_ARGS__})

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect_problem(const char *text)
{
    for (size_t i = 0; i < problems.count; i++)
        if (strstr(problems.lines[i], text) != NULL)
            return;
    fail_msg("no problem says: %s (the first of %zu: %s)", text, problems.count,
             problems.count > 0 ? problems.lines[0] : "-");
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(READ(NULL), CONFIG_RUN);
    assert_int_equal(problems.count, 0);
    assert_in_range(config.workers, 1, 256);
    assert_null(config.servers);
    assert_null(config.redis);
    assert_string_equal(config.channel_prefix, "mcp:");
    assert_int_equal(config.max_connections, 10000);
    assert_int_equal(config.capacity, 131072);
    assert_int_equal(config.connect_timeout, 15000);
    assert_int_equal(config.verify, 900000);
    assert_false(config.enrich);
    assert_int_equal(config.log_level, 2);
}

static void test_spellings(void **state)
{
    (void)state;
    static const char *const spellings[][3] = {{"--workers", "4"}, {"--workers=4"}, {"-w", "4"}, {"-w4"}};
    for (size_t i = 0; i < ARRAY_LENGTH(spellings); i++) {
        reset();
        assert_int_equal(read_arguments(spellings[i]), CONFIG_RUN);
        assert_int_equal(problems.count, 0);
        assert_int_equal(config.workers, 4);
    }
}

static void test_values(void **state)
{
    (void)state;
    READ("-s", "/etc/s.json", "--enrich", "--coalesce=2s", "--log-level", "debug", "--channel-prefix=");
    assert_int_equal(problems.count, 0);
    assert_string_equal(config.servers, "/etc/s.json");
    assert_true(config.enrich);
    assert_int_equal(config.coalesce, 2000);
    assert_int_equal(config.log_level, 3);
    assert_string_equal(config.channel_prefix, "");
    reset();
    READ("--allow-net", "10.0.0.0/8", "--allow-net=127.0.0.1,::1", "--enrich=false", "--workers=2", "--workers=3");
    assert_int_equal(problems.count, 0);
    assert_string_equal(config.allow_net, "10.0.0.0/8,127.0.0.1,::1");
    assert_false(config.enrich);
    assert_int_equal(config.workers, 3);
}

static void test_actions(void **state)
{
    (void)state;
    assert_int_equal(READ("--check"), CONFIG_CHECK);
    assert_int_equal(READ("--help"), CONFIG_HELP);
    assert_int_equal(READ("--version"), CONFIG_SHOW_VERSION);
    assert_int_equal(problems.count, 0);
    assert_int_equal(READ("--version=1"), CONFIG_SHOW_VERSION);
    expect_problem("--version: takes no value");
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[3];
        const char *problem;
    } samples[] = {
        {{"--workers", "0"}, "--workers: \"0\" is not a whole number from 1 to 256"},
        {{"--workers", "-1"}, "--workers: \"-1\" is not a whole number from 1 to 256"},
        {{"--workers", "x"}, "--workers: \"x\" is not a whole number from 1 to 256"},
        {{"--workers", "257"}, "--workers: \"257\""},
        {{"--workers", "1.5"}, "--workers: \"1.5\""},
        {{"--workers", ""}, "--workers: \"\""},
        {{"--workers", "18446744073709551617"}, "--workers:"},
        {{"-w=4"}, "--workers: \"=4\""},
        {{"--workers"}, "--workers: its value is missing"},
        {{"-w"}, "--workers: its value is missing"},
        {{"--servers", "--check"}, "--servers: its value is missing"},
        {{"--worker=1"}, "--worker: unknown flag, see --help"},
        {{"-x"}, "-x: unknown flag, see --help"},
        {{"-"}, "-: unknown flag, see --help"},
        {{"--"}, "--: unknown flag, see --help"},
        {{"status"}, "\"status\": unexpected argument, see --help"},
        {{"--connect-timeout", "15"}, "--connect-timeout: \"15\" is not a duration from 100ms to 10m"},
        {{"--connect-timeout", "1ms"}, "--connect-timeout: \"1ms\" is not a duration"},
        {{"--log-level", "loud"}, "--log-level: \"loud\" is none of error|warn|info|debug"},
        {{"--log-level", "error|warn"}, "--log-level:"},
        {{"--enrich=yes"}, "--enrich: \"yes\" is neither true nor false"},
        {{"--servers", ""}, "--servers: must not be empty"},
        {{"--channel-prefix", "a\nb"}, "--channel-prefix: the value must not hold control characters"},
        {{"--allow-net", "10.0.0.0/99"}, "--allow-net:"},
        {{"--deny-net", "example.com"}, "--deny-net:"},
        {{"--redis", "http://h"}, "must begin with redis://"},
        {{"--redis", "redis://h:99999"}, "a port is a number from 1 to 65535"},
        {{"--redis", "redis+sentinel://h"}, "name of the master"},
        {{"--stream", "events"}, "--stream: needs a Redis"},
        {{"--redis", "rediss://h"}, "TLS"},
        {{"--redis", "redis://"}, "names no host"},
        {{"--backoff-base", "2m"}, "--backoff-base: is longer than --backoff-max"},
        {{"--config", "/nonexistent/c.json"}, "--config: /nonexistent/c.json: No such file"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        reset();
        read_arguments(samples[i].arguments);
        expect_problem(samples[i].problem);
        assert_int_equal(problems.count, 1);
    }
}

static void test_all_mistakes_at_once(void **state)
{
    (void)state;
    READ("--workers=0", "--bogus", "--poll=x", "--redis=ftp://h");
    assert_int_equal(problems.count, 4);
}

static void test_long_run_dir(void **state)
{
    (void)state;
    char dir[120] = "/";
    memset(dir + 1, 'd', sizeof(dir) - 2);
    dir[90] = '\0';
    READ("--run-dir", dir);
    assert_int_equal(problems.count, 0);
    strcat(dir, "d");
    reset();
    READ("--run-dir", dir);
    expect_problem("--run-dir: has 91 bytes, a socket's path leaves room for 90");
}

static void test_passwords_are_not_repeated(void **state)
{
    (void)state;
    write_file("{\"redis\": \"redis://:planted@h\" oops}");
    READ("--redis", "tcp://:planted@host", "--config", path);
    assert_int_equal(problems.count, 2);
    for (size_t i = 0; i < problems.count; i++)
        assert_null(strstr(problems.lines[i], "planted"));
}

static void test_file(void **state)
{
    (void)state;
    write_file("{\"workers\": 3, \"coalesce\": \"2s\", \"poll\": 0, \"enrich\": true, \"log-format\": \"json\",\n"
               " \"allow-net\": [\"10.0.0.0/8\", \"127.0.0.1\"], \"channel-prefix\": \"x:\", \"mcpServers\": {}}");
    READ("--config", path, "-w5", "--allow-net=::1");
    assert_int_equal(problems.count, 0);
    assert_int_equal(config.workers, 5);
    assert_int_equal(config.coalesce, 2000);
    assert_true(config.enrich);
    assert_int_equal(config.log_format, 2);
    assert_string_equal(config.allow_net, "::1");
    assert_string_equal(config.channel_prefix, "x:");
    assert_string_equal(config.servers, path);
}

static void test_mistakes_in_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *text, *problem;
    } samples[] = {
        {"{\n\"workers\": \"3\"}", ":2: \"workers\": must be a whole number, without quotes"},
        {"{\n\n\"workers\": 0}", ":3: \"workers\": \"0\" is not a whole number from 1 to 256"},
        {"{\"workers\": 1.5}", ":1: \"workers\": must be a whole number"},
        {"{\"enrich\": \"true\"}", ":1: \"enrich\": must be true or false"},
        {"{\"poll\": true}", ":1: \"poll\": must be a text such as"},
        {"{\"poll\": 5}", ":1: \"poll\": \"5\" is not a duration"},
        {"{\"servers\": null}", ":1: \"servers\": must be a text"},
        {"{\"allow-net\": [1]}", ":1: \"allow-net\": must be a text or an array of texts"},
        {"{\"run_dir\": \"/x\"}", ":1: \"run_dir\": no such setting"},
        {"{\"poll\": \"1s\", \"poll\": \"2s\"}", ":1: not JSON: duplicate object key"},
        {"{\n\"poll\": \"1s\",}", ":2: not JSON"},
        {"[]", ": must be a JSON object"},
        {"", ": not JSON"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        reset();
        write_file(samples[i].text);
        READ("--config", path);
        expect_problem(samples[i].problem);
        expect_problem(path);
        assert_int_equal(problems.count, 1);
    }
    /* Also where a flag says otherwise. */
    reset();
    write_file("{\"workers\": 0}");
    READ("--config", path, "--workers=2");
    assert_int_equal(problems.count, 1);
    assert_int_equal(config.workers, 2);
}

static void test_environment(void **state)
{
    (void)state;
    setenv("REDIS_URL", "redis://from-env", 1);
    setenv("RUNTIME_DIRECTORY", "/run/one:/run/two", 1);
    setenv("STATE_DIRECTORY", "/var/lib/one", 1);
    READ(NULL);
    assert_int_equal(problems.count, 0);
    assert_string_equal(config.redis, "redis://from-env");
    assert_string_equal(config.run_dir, "/run/one");
    assert_string_equal(config.state_dir, "/var/lib/one");
    reset();
    READ("--redis", "unix:///r.sock", "--run-dir=/r", "--state-dir=/s");
    assert_string_equal(config.redis, "unix:///r.sock");
    assert_string_equal(config.run_dir, "/r");
    assert_string_equal(config.state_dir, "/s");
    reset();
    READ("--redis", "");
    assert_int_equal(problems.count, 0);
    assert_null(config.redis);
}

static void test_what_is_encoded_can_be_decoded(void **state)
{
    (void)state;
    READ("-w7", "--redis=redis://:p=w@h/1", "--enrich", "--deny-net=10.0.0.0/8,::1", "--log-format=json",
         "--channel-prefix=", "--poll=5m");
    assert_int_equal(problems.count, 0);
    char *text = config_encode(&config);
    assert_non_null(text);
    struct config copy;
    config_init(&copy);
    assert_int_equal(config_decode(&copy, text), 0);
    char *again = config_encode(&copy);
    assert_string_equal(again, text);
    assert_int_equal(copy.workers, 7);
    assert_string_equal(copy.redis, "redis://:p=w@h/1");
    assert_string_equal(copy.deny_net, "10.0.0.0/8,::1");
    assert_string_equal(copy.channel_prefix, "");
    assert_null(copy.servers);
    assert_true(copy.enrich);
    assert_int_equal(copy.poll, 300000);
    free(text);
    free(again);
    config_fini(&copy);
}

static void test_other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const samples[] = {"nonsense",   "future-flag=1\n", "workers\n",  "workers=x\n",
                                          "workers=\n", "log-level=4\n",   "enrich=2\n", "=1\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        reset();
        assert_int_equal(config_decode(&config, samples[i]), 1);
    }
}

static void test_help_names_every_flag(void **state)
{
    (void)state;
    static const char *const flags[] = {
#define SETTING_INT(field, flag, ...)      "--" flag,
#define SETTING_DURATION(field, flag, ...) "--" flag,
#define SETTING_TEXT(field, flag, ...)     "--" flag,
#define SETTING_LIST(field, flag, ...)     "--" flag,
#define SETTING_SWITCH(field, flag, ...)   "--" flag,
#define SETTING_CHOICE(field, flag, ...)   "--" flag,
#include "common/settings.def"
        "--config", "--check", "--version", "--help", "(default: 15s)", "USR2", "78"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    config_help(out);
    fclose(out);
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++)
        assert_non_null(strstr(text, flags[i]));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_actions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_mistakes_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_run_dir, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_passwords_are_not_repeated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes_in_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_encoded_can_be_decoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_texts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_help_names_every_flag, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
