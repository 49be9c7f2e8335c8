/* SPDX-License-Identifier: MIT */
/* Addresses to listen on: which texts are one, which of them only this machine reaches, and that one can listen there. */
#include "common/listen_address.h"

#include "common/compiler.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int family;
        bool loopback;
    } good[] = {
        {"127.0.0.1:9464", AF_INET, true}, {"127.9.9.9:1", AF_INET, true},   {"localhost:0", AF_INET, true},
        {"0.0.0.0:65535", AF_INET, false}, {"10.0.0.1:80", AF_INET, false},  {"[::1]:9464", AF_INET6, true},
        {"[::]:9464", AF_INET6, false},    {"[fd00::1]:1", AF_INET6, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        struct listen_address address;
        char why[LISTEN_ADDRESS_WHY_SIZE] = "";
        assert_int_equal(listen_address_parse(good[i].text, &address, why), 0);
        assert_int_equal(address.storage.ss_family, good[i].family);
        assert_int_equal(address.loopback, good[i].loopback);
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "9464",
        ":9464",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "host:9464",
        "127.0.0.1:x",
        "127.0.0.1:1x",
        "::1:9464",
        "[::1]",
        "[::1]:",
        "[127.0.0.1]:1",
        "127.0.0.1:-1",
        "[::1:9464",
        "127.0.0.1:99999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct listen_address address;
        char why[LISTEN_ADDRESS_WHY_SIZE] = "";
        assert_int_equal(listen_address_parse(bad[i], &address, why), 1);
        assert_non_null(strstr(why, "ADDR:PORT"));
    }
}

static void what_is_open_is_taken(void **state)
{
    (void)state;
    struct listen_address address;
    char why[LISTEN_ADDRESS_WHY_SIZE], text[LISTEN_ADDRESS_TEXT_SIZE];
    int fd, second;
    assert_int_equal(listen_address_parse("127.0.0.1:0", &address, why), 0);
    assert_int_equal(listen_address_open(&address, &fd), 0);
    assert_int_equal(strncmp(listen_address_text(fd, text), "127.0.0.1:", 10), 0);
    assert_string_not_equal(text, "127.0.0.1:0");
    assert_int_equal(listen_address_parse(text, &address, why), 0);
    assert_int_equal(listen_address_open(&address, &second), -EADDRINUSE);
    close(fd);
    assert_string_equal(listen_address_text(-1, text), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(what_is_open_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
