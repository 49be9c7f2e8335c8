/* SPDX-License-Identifier: MIT */
/* Redis URLs: each form is taken apart rightly, and each wrong one refused without its text in the message. */
#include "common/redis_url.h"

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
        {"redis://localhost", {.server = {localhost, 6379}}},
        {"redis://localhost/", {.server = {localhost, 6379}}},
        {"redis://localhost:6380/2", {.server = {localhost, 6380}, .database = 2}},
        {"redis://:s3cr3t@localhost", {.server = {localhost, 6379}, .password = secret}},
        {"redis://bob:s3cr3t@localhost:1/15",
         {.server = {localhost, 1}, .user = user, .password = secret, .database = 15}},
        {"redis://:p@%3A%2f%3F%23%25@localhost", {.server = {localhost, 6379}, .password = odd}},
        {"redis://[::1]:6379/0", {.server = {ipv6, 6379}}},
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
        assert_text(url.server.host, cases[i].url.server.host);
        assert_text(url.path, cases[i].url.path);
        assert_text(url.user, cases[i].url.user);
        assert_text(url.password, cases[i].url.password);
        assert_int_equal(url.server.port, cases[i].url.server.port);
        assert_int_equal(url.database, cases[i].url.database);
        redis_url_fini(&url);
    }
}

static void sentinels_are_read(void **state)
{
    (void)state;
    struct redis_url url;
    char why[REDIS_URL_WHY_SIZE];
    assert_int_equal(redis_url_parse("redis+sentinel://bob:p%40@one:1,[::2]:2,three/my%20master/4", &url, why), 0);
    assert_int_equal(url.sentinel_count, 3);
    assert_string_equal(url.sentinels[0].host, "one");
    assert_int_equal(url.sentinels[0].port, 1);
    assert_string_equal(url.sentinels[1].host, "::2");
    assert_int_equal(url.sentinels[1].port, 2);
    assert_string_equal(url.sentinels[2].host, "three");
    assert_int_equal(url.sentinels[2].port, 26379);
    assert_string_equal(url.master, "my master");
    assert_string_equal(url.user, "bob");
    assert_string_equal(url.password, "p@");
    assert_int_equal(url.database, 4);
    assert_null(url.server.host);
    redis_url_fini(&url);
    assert_int_equal(redis_url_parse("redis+sentinel://one/name", &url, why), 0);
    assert_int_equal(url.database, 0);
    redis_url_fini(&url);
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
        "redis+sentinel://",
        "redis+sentinel://:s3cr3t@host",
        "redis+sentinel://:s3cr3t@host/",
        "redis+sentinel://:s3cr3t@,host/name",
        "redis+sentinel://:s3cr3t@host,/name",
        "redis+sentinel://:s3cr3t@host:0/name",
        "redis+sentinel://:s3cr3t@host/na%6/1",
        "redis+sentinel://:s3cr3t@host/name/one",
        "redis+sentinel://:s3cr3t@host/name/1/2",
        "redis+sentinel://:s3cr3t@host/name?db=1",
        "redis+sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/name",
        "redis://:s3cr3t@a,b",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct redis_url url = {.database = 7};
        char why[REDIS_URL_WHY_SIZE] = "";
        print_message("%s\n", cases[i]);
        assert_int_equal(redis_url_parse(cases[i], &url, why), 1);
        assert_true(why[0] != '\0');
        assert_null(strstr(why, "s3cr3t"));
        assert_int_equal(url.database, 7);
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
        cmocka_unit_test(sentinels_are_read),
        cmocka_unit_test(wrong_urls_are_refused_without_being_shown),
        cmocka_unit_test(too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
