/* SPDX-License-Identifier: MIT */
#include "common/netmask.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct match_case {
    const char *list;
    const char *address;
    const char *rule; /* NULL: none matches */
};

static const struct match_case MATCHES[] = {
    {NULL, "10.0.0.1", NULL},
    {"", "10.0.0.1", NULL},
    {"10.0.0.0/8", "10.0.0.1", "10.0.0.0/8"},
    {"10.0.0.0/8", "10.255.255.255", "10.0.0.0/8"},
    {"10.0.0.0/8", "11.0.0.0", NULL},
    {"10.0.0.0/8", "9.255.255.255", NULL},
    {"10.0.0.0/8,192.0.2.1", "192.0.2.1", "192.0.2.1"},
    {" 10.0.0.0/8 ,\t192.0.2.1 ", "192.0.2.1", "192.0.2.1"},
    {"192.0.2.1", "192.0.2.2", NULL},
    {"192.0.2.0/31", "192.0.2.1", "192.0.2.0/31"},
    {"192.0.2.0/31", "192.0.2.2", NULL},
    {"172.16.0.0/12", "172.31.255.255", "172.16.0.0/12"},
    {"172.16.0.0/12", "172.32.0.0", NULL},
    {"0.0.0.0/0", "203.0.113.9", "0.0.0.0/0"},
    {"0.0.0.0/0", "2001:db8::1", NULL},
    {"::/0", "2001:db8::1", "::/0"},
    {"::/0", "203.0.113.9", NULL},
    {"::/0", "::ffff:203.0.113.9", NULL},
    {"fd00::/8", "fdff::1", "fd00::/8"},
    {"fd00::/8", "fe00::1", NULL},
    {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8::/33"},
    {"2001:db8::/33", "2001:db8:8000::1", NULL},
    {"::1", "::1", "::1"},
    {"::1", "::2", NULL},
    {"10.0.0.0/8", "::ffff:10.1.2.3", "10.0.0.0/8"},
    {"10.0.0.0/8", "64:ff9b::10.1.2.3", "10.0.0.0/8"},
    {"10.0.0.0/8", "64:ff9b:1::10.1.2.3", NULL},
    {"10.0.0.0/8", "::10.1.2.3", NULL},
    {"10.0.0.0/8,10.1.0.0/16", "10.1.0.1", "10.0.0.0/8"},
};

static void test_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(MATCHES); i++) {
        struct netmask_list *list;
        char error[NETMASK_ERROR_SIZE];
        assert_int_equal(netmask_list_parse(MATCHES[i].list, &list, error, sizeof error), 0);
        struct netmask_address address;
        assert_true(netmask_address_parse(MATCHES[i].address, &address));
        const char *rule = netmask_list_match(list, &address);
        const char *wanted = MATCHES[i].rule;
        if (!rule != !wanted || (rule && strcmp(rule, wanted) != 0))
            fail_msg("%s in \"%s\": %s", MATCHES[i].address, MATCHES[i].list ? MATCHES[i].list : "",
                     rule ? rule : "no rule");
        netmask_list_destroy(list);
    }
    struct netmask_address address;
    assert_true(netmask_address_parse("10.0.0.1", &address));
    assert_null(netmask_list_match(NULL, &address));
    netmask_list_destroy(NULL);
}

static const struct {
    const char *list;
    const char *error;
} WRONG[] = {
    {"example.com", "\"example.com\" is not an IPv4 or IPv6 network"},
    {"10.0.0.0/8,,", "\"\" is not an IPv4 or IPv6 network"},
    {"10.0.0.0/8,nonsense", "\"nonsense\" is not an IPv4 or IPv6 network"},
    {"10.0.0/8", "\"10.0.0/8\" is not an IPv4 or IPv6 network"},
    {"/8", "\"/8\" is not an IPv4 or IPv6 network"},
    {"10.0.0.0/33", "\"10.0.0.0/33\" needs a prefix length of 0 to 32"},
    {"10.0.0.0/", "\"10.0.0.0/\" needs a prefix length of 0 to 32"},
    {"10.0.0.0/8x", "\"10.0.0.0/8x\" needs a prefix length of 0 to 32"},
    {"10.0.0.0/-1", "\"10.0.0.0/-1\" needs a prefix length of 0 to 32"},
    {"fd00::/129", "\"fd00::/129\" needs a prefix length of 0 to 128"},
    {"10.0.0.1/8", "\"10.0.0.1/8\" has bits set beside its prefix"},
    {"fd00::1/64", "\"fd00::1/64\" has bits set beside its prefix"},
    {"::ffff:10.0.0.0/104", "\"::ffff:10.0.0.0/104\" stands for an IPv4 network: write that one"},
    {"64:ff9b::/96", "\"64:ff9b::/96\" stands for an IPv4 network: write that one"},
    {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
     "\"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:\" is not an IPv4 or IPv6 network"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(WRONG); i++) {
        struct netmask_list *list = NULL;
        char error[NETMASK_ERROR_SIZE] = "";
        assert_int_equal(netmask_list_parse(WRONG[i].list, &list, error, sizeof error), 1);
        assert_string_equal(error, WRONG[i].error);
        assert_null(list);
    }
}

static void test_address_of_a_socket(void **state)
{
    (void)state;
    char text[NETMASK_ADDRESS_SIZE];
    struct netmask_address address;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000005)};
    assert_true(netmask_address_get((const struct sockaddr *)&in, &address));
    assert_string_equal(netmask_address_text(&address, text), "10.0.0.5");

    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, "fd00::5", &in6.sin6_addr), 1);
    assert_true(netmask_address_get((const struct sockaddr *)&in6, &address));
    assert_string_equal(netmask_address_text(&address, text), "fd00::5");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.5", &in6.sin6_addr), 1);
    assert_true(netmask_address_get((const struct sockaddr *)&in6, &address));
    assert_string_equal(netmask_address_text(&address, text), "10.0.0.5");

    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(netmask_address_get(&other, &address));
}

static void test_within(void **state)
{
    (void)state;
    struct netmask_address v4, v6, network;
    assert_true(netmask_address_parse("10.1.2.3", &v4));
    assert_true(netmask_address_parse("fd00::1", &v6));
    assert_true(netmask_address_parse("10.0.0.0", &network));
    assert_true(netmask_within(&v4, &network, 8));
    assert_true(netmask_within(&v4, &network, 0));
    assert_false(netmask_within(&v4, &network, 16));
    assert_false(netmask_within(&v4, &network, 33));
    assert_false(netmask_within(&v6, &network, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_address_of_a_socket),
        cmocka_unit_test(test_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
