/* SPDX-License-Identifier: MIT */
#include "worker/http/guard.h"

#include "common/netmask.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What a server made at run time may reach without any list, and why not the others. */
static const struct {
    const char *address;
    const char *what; /* NULL: public */
} ADDRESSES[] = {
    {"8.8.8.8", NULL},
    {"1.1.1.1", NULL},
    {"9.255.255.255", NULL},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.128.0.0", NULL},
    {"126.255.255.255", NULL},
    {"128.0.0.1", NULL},
    {"168.63.129.17", NULL},
    {"169.253.255.255", NULL},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.32.0.0", NULL},
    {"192.0.1.1", NULL},
    {"192.167.255.255", NULL},
    {"192.169.0.0", NULL},
    {"198.17.255.255", NULL},
    {"198.20.0.0", NULL},
    {"223.255.255.255", NULL},
    {"2606:4700:4700::1111", NULL},
    {"2a00:1450:4001::200e", NULL},
    {"2001:200::1", NULL},
    {"3ffe::1", NULL},
    {"::ffff:8.8.8.8", NULL},
    {"64:ff9b::8.8.8.8", NULL},

    {"0.0.0.0", "unspecified"},
    {"0.1.2.3", "unspecified"},
    {"10.0.0.5", "private"},
    {"10.255.255.255", "private"},
    {"100.64.0.1", "shared"},
    {"100.127.255.255", "shared"},
    {"100.100.100.200", "metadata"},
    {"127.0.0.1", "loopback"},
    {"127.255.255.254", "loopback"},
    {"168.63.129.16", "metadata"},
    {"169.254.0.1", "link-local"},
    {"169.254.169.254", "metadata"},
    {"169.254.170.2", "metadata"},
    {"172.16.0.1", "private"},
    {"172.31.255.255", "private"},
    {"192.0.0.1", "reserved"},
    {"192.0.0.192", "metadata"},
    {"192.0.2.1", "documentation"},
    {"192.88.99.1", "6to4"},
    {"192.168.1.1", "private"},
    {"198.18.0.1", "benchmarks"},
    {"198.19.255.255", "benchmarks"},
    {"198.51.100.1", "documentation"},
    {"203.0.113.1", "documentation"},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.1", "reserved"},
    {"255.255.255.255", "broadcast"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "reserved"},
    {"::10.0.0.5", "reserved"},
    {"::ffff:10.0.0.5", "private"},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:169.254.169.254", "metadata"},
    {"::ffff:0:10.0.0.5", "reserved"},
    {"64:ff9b::10.0.0.5", "private"},
    {"64:ff9b::127.0.0.1", "loopback"},
    {"64:ff9b:1::8.8.8.8", "NAT64"},
    {"100::1", "reserved"},
    {"1000::1", "reserved"},
    {"2001::1", "Teredo"},
    {"2001:2::1", "reserved"},
    {"2001:20::1", "reserved"},
    {"2001:db8::1", "documentation"},
    {"2002:a00:5::1", "6to4"},
    {"2002:808:808::1", "6to4"},
    {"3fff::1", "documentation"},
    {"4000::1", "reserved"},
    {"5f00::1", "reserved"},
    {"8000::1", "reserved"},
    {"fc00::1", "private"},
    {"fd00:ec2::254", "metadata"},
    {"fd20:ce::254", "metadata"},
    {"fdff::1", "private"},
    {"fe80::1", "link-local"},
    {"fec0::1", "site-local"},
    {"ff02::1", "multicast"},
};

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static bool check(const struct guard *guard, const char *text, char *why, size_t why_size)
{
    union any_address address;
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, text, &address.in.sin_addr) == 1)
        address.in.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &address.in6.sin6_addr) == 1)
        address.in6.sin6_family = AF_INET6;
    else
        fail_msg("%s is no address", text);
    return guard_check(guard, &address.any, why, why_size);
}

static struct guard *create(enum guard_reach reach, const char *allow, const char *deny)
{
    struct guard *guard = NULL;
    char error[NETMASK_ERROR_SIZE] = "";
    if (guard_create(reach, allow, deny, &guard, error, sizeof error) != 0)
        fail_msg("%s", error);
    return guard;
}

static void test_public_addresses_only(void **state)
{
    (void)state;
    struct guard *guard = create(GUARD_PUBLIC_ONLY, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(ADDRESSES); i++) {
        char why[NETMASK_ERROR_SIZE] = "";
        bool allowed = check(guard, ADDRESSES[i].address, why, sizeof why);
        if (allowed != !ADDRESSES[i].what || (!allowed && !strstr(why, ADDRESSES[i].what)))
            fail_msg("%s: %s", ADDRESSES[i].address, allowed ? "allowed" : why);
    }
    guard_destroy(guard);
}

static void test_servers_of_the_file_go_anywhere(void **state)
{
    (void)state;
    struct guard *guard = create(GUARD_ANYWHERE, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(ADDRESSES); i++) {
        char why[NETMASK_ERROR_SIZE];
        assert_true(check(guard, ADDRESSES[i].address, why, sizeof why));
    }
    guard_destroy(guard);
}

/* Whatever is refused says which flag allows it: so it must. */
static void test_the_advice_is_right(void **state)
{
    (void)state;
    struct guard *guard = create(GUARD_PUBLIC_ONLY, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(ADDRESSES); i++) {
        char why[NETMASK_ERROR_SIZE];
        if (check(guard, ADDRESSES[i].address, why, sizeof why))
            continue;
        char *network = strstr(why, "--allow-net ");
        char *behind = strstr(why, " would allow it");
        assert_non_null(network);
        assert_non_null(behind);
        *behind = '\0';
        struct guard *wider = create(GUARD_PUBLIC_ONLY, network + strlen("--allow-net "), NULL);
        char unused[NETMASK_ERROR_SIZE];
        assert_true(check(wider, ADDRESSES[i].address, unused, sizeof unused));
        guard_destroy(wider);
    }
    guard_destroy(guard);
}

static void test_metadata_must_be_named(void **state)
{
    (void)state;
    static const char *const services[] = {"169.254.169.254", "169.254.170.2",         "100.100.100.200",
                                           "168.63.129.16",   "192.0.0.192",           "fd00:ec2::254",
                                           "fd20:ce::254",    "::ffff:169.254.169.254"};
    char why[NETMASK_ERROR_SIZE];
    struct guard *wide = create(GUARD_PUBLIC_ONLY, "0.0.0.0/0,::/0", NULL);
    struct guard *named = create(GUARD_PUBLIC_ONLY,
                                 "169.254.169.254,169.254.170.2/32,100.100.100.200,168.63.129.16,192.0.0.192,"
                                 "fd00:ec2::254,fd20:ce::254/128",
                                 NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(services); i++) {
        assert_false(check(wide, services[i], why, sizeof why));
        assert_non_null(strstr(why, "metadata"));
        assert_true(check(named, services[i], why, sizeof why));
    }
    assert_true(check(wide, "169.254.169.253", why, sizeof why));
    guard_destroy(wide);
    guard_destroy(named);
}

static void test_lists(void **state)
{
    (void)state;
    char why[NETMASK_ERROR_SIZE];
    struct guard *guard = create(GUARD_PUBLIC_ONLY, "10.0.0.0/8,::1", "10.1.0.0/16, 8.8.8.8");
    assert_true(check(guard, "10.0.0.5", why, sizeof why));
    assert_true(check(guard, "::ffff:10.0.0.5", why, sizeof why));
    assert_true(check(guard, "::1", why, sizeof why));
    assert_true(check(guard, "8.8.4.4", why, sizeof why));
    assert_false(check(guard, "127.0.0.1", why, sizeof why));
    assert_string_equal(why, "address 127.0.0.1 is loopback; --allow-net 127.0.0.0/8 would allow it");
    assert_false(check(guard, "10.1.0.5", why, sizeof why));
    assert_string_equal(why, "address 10.1.0.5 is forbidden by --deny-net 10.1.0.0/16");
    assert_false(check(guard, "::ffff:8.8.8.8", why, sizeof why));
    assert_string_equal(why, "address 8.8.8.8 is forbidden by --deny-net 8.8.8.8");
    guard_destroy(guard);

    guard = create(GUARD_ANYWHERE, NULL, "169.254.169.254");
    assert_true(check(guard, "127.0.0.1", why, sizeof why));
    assert_false(check(guard, "169.254.169.254", why, sizeof why));
    assert_string_equal(why, "address 169.254.169.254 is forbidden by --deny-net 169.254.169.254");
    guard_destroy(guard);
}

static void test_other_families_are_refused(void **state)
{
    (void)state;
    char why[NETMASK_ERROR_SIZE];
    struct guard *guard = create(GUARD_ANYWHERE, NULL, NULL);
    const struct sockaddr address = {.sa_family = AF_UNIX};
    assert_false(guard_check(guard, &address, why, sizeof why));
    guard_destroy(guard);
    guard_destroy(NULL);
}

static void test_wrong_lists(void **state)
{
    (void)state;
    struct guard *guard = NULL;
    char error[NETMASK_ERROR_SIZE];
    assert_int_equal(guard_create(GUARD_PUBLIC_ONLY, "10.0.0.0/8,x", NULL, &guard, error, sizeof error), 1);
    assert_string_equal(error, "\"x\" is not an IPv4 or IPv6 network");
    assert_int_equal(guard_create(GUARD_PUBLIC_ONLY, NULL, "y", &guard, error, sizeof error), 1);
    assert_string_equal(error, "\"y\" is not an IPv4 or IPv6 network");
    assert_null(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_addresses_only),
        cmocka_unit_test(test_servers_of_the_file_go_anywhere),
        cmocka_unit_test(test_the_advice_is_right),
        cmocka_unit_test(test_metadata_must_be_named),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_other_families_are_refused),
        cmocka_unit_test(test_wrong_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
