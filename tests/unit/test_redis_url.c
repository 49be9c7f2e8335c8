/* SPDX-License-Identifier: MIT */
/* Redis URLs: each form is taken apart rightly, and each wrong one refused without its text in the message. */
#include "broker/hub/redis_url.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct good {
    const char *text;
    struct redis_url url;
};

static void assert_text(const char *actual, const char *expected)
{
    if (expected)
        assert_string_equal(actual, expected);
    else
        assert_null(actual);
}

static void good_urls_are_read(void **state)
{
    (void)state;
    static char localhost[] = "localhost", secret[] = "s3cr3t", user[] = "bob", path[] = "/run/redis.sock";
    static char odd[] = "p@:/?#%", ipv6[] = "::1", spaced[] = "/run/my redis";
    const struct good cases[] = {
        {"redis://localhost", {.host = localhost, .port = 6379}},
        {"redis://localhost/", {.host = localhost, .port = 6379}},
        {"redis://localhost:6380/2", {.host = localhost, .port = 6380, .database = 2}},
        {"redis://:s3cr3t@localhost", {.host = localhost, .port = 6379, .password = secret}},
        {"redis://bob:s3cr3t@localhost:1/15",
         {.host = localhost, .port = 1, .user = user, .password = secret, .database = 15}},
        {"redis://:p@%3A%2f%3F%23%25@localhost", {.host = localhost, .port = 6379, .password = odd}},
        {"redis://[::1]:6379/0", {.host = ipv6, .port = 6379}},
        {"unix:///run/redis.sock", {.path = path}},
        {"unix:///run/redis.sock?db=3", {.path = path, .database = 3}},
        {"unix://bob:s3cr3t@/run/redis.sock", {.path = path, .user = user, .password = secret}},
        {"unix:///run/my%20redis", {.path = spaced}},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct redis_url url;
        char why[REDIS_URL_WHY_SIZE] = "";
        print_message("%s\n", cases[i].text);
        assert_int_equal(redis_url_parse(cases[i].text, &url, why), 0);
        assert_text(url.host, cases[i].url.host);
        assert_text(url.path, cases[i].url.path);
        assert_text(url.user, cases[i].url.user);
        assert_text(url.password, cases[i].url.password);
        assert_int_equal(url.port, cases[i].url.port);
        assert_int_equal(url.database, cases[i].url.database);
        redis_url_fini(&url);
    }
}

static void wrong_urls_are_refused_without_being_shown(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "localhost",
        "http://s3cr3t",
        "rediss://:s3cr3t@localhost",
        "redis://",
        "redis://:6379",
        "redis://s3cr3t@localhost",
        "redis://bob:@localhost",
        "redis://:s3cr3t%2@localhost",
        "redis://:s3cr3t%zz@localhost",
        "redis://:s3cr3t%00@localhost",
        "redis://:s3cr3t@localhost:0",
        "redis://:s3cr3t@localhost:65536",
        "redis://:s3cr3t@localhost:99999999999999999999",
        "redis://:s3cr3t@localhost:port",
        "redis://:s3cr3t@localhost/one",
        "redis://:s3cr3t@localhost/1/2",
        "redis://:s3cr3t@localhost/-1",
        "redis://:s3cr3t@localhost?db=1",
        "redis://[::1",
        "redis://[::1]x",
        "unix://run/s3cr3t",
        "unix:///",
        "unix:///run/s3cr3t?database=1",
        "unix:///run/s3cr3t?db=",
        "unix:///run/%",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct redis_url url = {.port = 7};
        char why[REDIS_URL_WHY_SIZE] = "";
        print_message("%s\n", cases[i]);
        assert_int_equal(redis_url_parse(cases[i], &url, why), 1);
        assert_true(why[0] != '\0');
        assert_null(strstr(why, "s3cr3t"));
        assert_int_equal(url.port, 7);
    }
}

static void too_long_is_refused(void **state)
{
    (void)state;
    struct redis_url url;
    char why[REDIS_URL_WHY_SIZE];
    char *text = malloc(REDIS_URL_TEXT_MAX + 2);
    assert_non_null(text);
    memset(text, 'h', REDIS_URL_TEXT_MAX + 1);
    text[REDIS_URL_TEXT_MAX + 1] = '\0';
    memcpy(text, "redis://", 8);
    assert_int_equal(redis_url_parse(text, &url, why), 1);
    text[REDIS_URL_TEXT_MAX] = '\0';
    assert_int_equal(redis_url_parse(text, &url, why), 0);
    redis_url_fini(&url);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_read),
        cmocka_unit_test(wrong_urls_are_refused_without_being_shown),
        cmocka_unit_test(too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
