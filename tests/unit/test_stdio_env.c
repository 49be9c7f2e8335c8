/* SPDX-License-Identifier: MIT */
/* What of the broker's environment a stdio server sees, and what its definition adds. */
#include "worker/stdio/stdio_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_env(const struct server_def *def, const char *const *inherited, const char *const *expected)
{
    char *copy[16];
    size_t count = 0;
    while (inherited[count] != NULL)
        count++;
    assert_true(count < ARRAY_LENGTH(copy));
    memcpy(copy, inherited, (count + 1) * sizeof(copy[0]));
    char **env = stdio_env_create(def, copy);
    assert_non_null(env);
    size_t i = 0;
    for (; expected[i] != NULL && env[i] != NULL; i++)
        assert_string_equal(env[i], expected[i]);
    assert_ptr_equal(env[i], expected[i]); /* both end here */
    stdio_env_destroy(env);
}

static void only_what_programs_need(void **state)
{
    (void)state;
    static const char *const inherited[] = {"PATH=/bin",       "SECRET=1",      "HOME=/root",     "LANG=C",
                                            "LC_ALL=C.UTF-8",  "LANGUAGE=de",   "TZ=UTC",         "HOMEBREW=/opt",
                                            "LD_PRELOAD=x.so", "SHELL=/bin/sh", "not a variable", NULL};
    static const char *const expected[] = {"PATH=/bin", "HOME=/root",    "LANG=C", "LC_ALL=C.UTF-8",
                                           "TZ=UTC",    "SHELL=/bin/sh", NULL};
    assert_env(&(struct server_def){.id = "s", .extras = &SERVER_NO_EXTRAS}, inherited, expected);
}

static void the_definition_wins(void **state)
{
    (void)state;
    static const struct server_pair env[] = {{"TOKEN", "a=b"}, {"PATH", ""}, {"LC_TIME", "C"}};
    static const char *const inherited[] = {"PATH=/bin", "LC_TIME=de", "LC_ALL=de", "USER=me", NULL};
    static const char *const expected[] = {"LC_ALL=de", "USER=me", "TOKEN=a=b", "PATH=", "LC_TIME=C", NULL};
    const struct server_extras extras = {.env = env, .env_count = ARRAY_LENGTH(env)};
    assert_env(&(struct server_def){.id = "s", .extras = &extras}, inherited, expected);
}

static void nothing_at_all(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    assert_env(&(struct server_def){.id = "s", .extras = &SERVER_NO_EXTRAS}, none, none);
    stdio_env_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_programs_need),
        cmocka_unit_test(the_definition_wins),
        cmocka_unit_test(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
