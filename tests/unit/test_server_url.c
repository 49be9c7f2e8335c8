/* SPDX-License-Identifier: MIT */
/* URLs that are taken, those that are not and what is said of them, and what may be shown. */
#include "common/server_url.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void good_urls_are_taken(void **state)
{
    static const char *const good[] = {
        "http://localhost",
        "https://example.com/mcp",
        "HTTPS://example.com:443/mcp?key=1#x",
        "http://127.0.0.1:1/",
        "http://[::1]:3000/mcp",
        "http://[fe80::1]/",
        "http://u:p@host:80/mcp",
        "http://user:p%40ss@[2001:db8::1]/",
        "http://h?q",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        assert_null(server_url_error(good[i]));
}

static void bad_urls_are_named(void **state)
{
    static const struct {
        const char *text;
        const char *part_of_error;
    } bad[] = {
        {"", "http://"},
        {"example.com/mcp", "http://"},
        {"ftp://example.com", "http://"},
        {"http:/example.com", "http://"},
        {"http://", "no host"},
        {"http:///mcp", "no host"},
        {"http://:80/", "no host"},
        {"http://u:p@/", "no host"},
        {"http://[]/", "no host"},
        {"http://[::1/", "no host"},
        {"http://[::1]x/", "no host"},
        {"http://host:/", "port"},
        {"http://host:0/", "port"},
        {"http://host:65536/", "port"},
        {"http://host:123456/", "port"},
        {"http://host:8o/", "port"},
        {"http://ho st/", "space"},
        {"http://host/\r\nX: y", "control"},
        {"http://host/\x7f", "control"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        const char *error = server_url_error(bad[i].text);
        assert_non_null(error);
        assert_non_null(strstr(error, bad[i].part_of_error));
    }
}

static void length_has_a_bound(void **state)
{
    char text[SERVER_URL_SIZE_MAX + 2] = "http://host/";
    size_t size = strlen(text);

    (void)state;
    memset(text + size, 'x', SERVER_URL_SIZE_MAX - size);
    text[SERVER_URL_SIZE_MAX] = '\0';
    assert_null(server_url_error(text));
    text[SERVER_URL_SIZE_MAX] = 'x';
    text[SERVER_URL_SIZE_MAX + 1] = '\0';
    assert_non_null(server_url_error(text));
}

static void origin_shows_no_secret(void **state)
{
    char out[64];

    (void)state;
    assert_string_equal(server_url_origin("https://user:secret@example.com:8443/a/secret?b=secret#c", out, sizeof out),
                        "https://example.com:8443");
    assert_string_equal(server_url_origin("http://a@b@[::1]/x", out, sizeof out), "http://[::1]");
    assert_string_equal(server_url_origin("http://host?secret@x", out, sizeof out), "http://host");
    assert_string_equal(server_url_origin("secret", out, sizeof out), "");
    assert_string_equal(server_url_origin("http://longer-than-that", out, 12), "http://long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_taken),
        cmocka_unit_test(bad_urls_are_named),
        cmocka_unit_test(length_has_a_bound),
        cmocka_unit_test(origin_shows_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
