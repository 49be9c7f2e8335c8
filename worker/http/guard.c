/* SPDX-License-Identifier: MIT */
/* The policy on addresses. Whoever may add servers at run time is not the operator, and could point the broker at what
 * only this machine can reach: services on loopback, the private network, the metadata service of a cloud. So those
 * servers go to public addresses only, unless the operator has allowed more.
 *
 * Public is what the table of special-purpose blocks does not have (IANA's registries for IPv4 and IPv6, and the
 * addresses at which clouds serve credentials to their machines). Tunnels (6to4, Teredo) carry an IPv4 address of the
 * sender's choice and are refused whole; v4-mapped and NAT64 addresses have become their IPv4 address already
 * (netmask.h). Nothing here resolves a name: who connects asks about the very address that the socket gets. */
#include "worker/http/guard.h"

#include "common/netmask.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct guard {
    enum guard_reach reach;
    struct netmask_list *allow;
    struct netmask_list *deny;
};

/* Whoever reaches it gets the machine's credentials: allowed only by name, never as a part of a wider network. */
static const char METADATA[] = "a cloud's metadata service";

struct block {
    const char *network;
    unsigned length;
    const char *what;
};

/* The first match names the block: smaller ones stand before those that contain them. */
static const struct block SPECIAL[] = {
    {"0.0.0.0", 8, "unspecified"},
    {"10.0.0.0", 8, "private"},
    {"100.100.100.200", 32, METADATA},
    {"100.64.0.0", 10, "shared by a carrier's NAT"},
    {"127.0.0.0", 8, "loopback"},
    {"168.63.129.16", 32, METADATA},
    {"169.254.169.254", 32, METADATA},
    {"169.254.170.2", 32, METADATA},
    {"169.254.0.0", 16, "link-local"},
    {"172.16.0.0", 12, "private"},
    {"192.0.0.192", 32, METADATA},
    {"192.0.0.0", 24, "reserved"},
    {"192.0.2.0", 24, "for documentation"},
    {"192.88.99.0", 24, "a 6to4 relay"},
    {"192.168.0.0", 16, "private"},
    {"198.18.0.0", 15, "for benchmarks"},
    {"198.51.100.0", 24, "for documentation"},
    {"203.0.113.0", 24, "for documentation"},
    {"224.0.0.0", 4, "multicast"},
    {"255.255.255.255", 32, "broadcast"},
    {"240.0.0.0", 4, "reserved"},
    {"::", 128, "unspecified"},
    {"::1", 128, "loopback"},
    {"64:ff9b:1::", 48, "a private NAT64"},
    {"2001::", 32, "a Teredo tunnel"},
    {"2001::", 23, "reserved"},
    {"2001:db8::", 32, "for documentation"},
    {"2002::", 16, "a 6to4 tunnel"},
    {"3fff::", 20, "for documentation"},
    {"fd00:ec2::254", 128, METADATA},
    {"fd20:ce::254", 128, METADATA},
    {"fc00::", 7, "private"},
    {"fe80::", 10, "link-local"},
    {"fec0::", 10, "site-local"},
    {"ff00::", 8, "multicast"},
    {"::", 3, "reserved"}, /* with the two below: all that is not 2000::/3, the only part given out so far */
    {"4000::", 2, "reserved"},
    {"8000::", 1, "reserved"},
};

int guard_create(enum guard_reach reach, const char *allow_net, const char *deny_net, struct guard **out, char *error,
                 size_t error_size)
{
    struct guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return -ENOMEM;
    guard->reach = reach;
    int result = netmask_list_parse(allow_net, &guard->allow, error, error_size);
    if (result == 0)
        result = netmask_list_parse(deny_net, &guard->deny, error, error_size);
    if (result != 0)
        goto destroy;
    *out = guard;
    return 0;
destroy:
    guard_destroy(guard);
    return result;
}

void guard_destroy(struct guard *guard)
{
    if (!guard)
        return;
    netmask_list_destroy(guard->allow);
    netmask_list_destroy(guard->deny);
    free(guard);
}

/* The special-purpose block that has the address, or NULL: it is public. */
static const struct block *find_special(const struct netmask_address *address)
{
    for (size_t i = 0; i < ARRAY_LENGTH(SPECIAL); i++) {
        struct netmask_address network;
        bool parsed = netmask_address_parse(SPECIAL[i].network, &network);
        assert(parsed);
        if (parsed && netmask_within(address, &network, SPECIAL[i].length))
            return &SPECIAL[i];
    }
    return NULL;
}

bool guard_check(const void *user, const struct sockaddr *socket_address, char *why, size_t why_size)
{
    const struct guard *guard = user;
    struct netmask_address address;
    if (!netmask_address_get(socket_address, &address)) {
        snprintf(why, why_size, "not an IPv4 or IPv6 address");
        return false;
    }
    char text[NETMASK_ADDRESS_SIZE];
    const char *denied = netmask_list_match(guard->deny, &address);
    if (denied) {
        snprintf(why, why_size, "address %s is forbidden by --deny-net %s", netmask_address_text(&address, text),
                 denied);
        return false;
    }
    const struct block *special = guard->reach == GUARD_ANYWHERE ? NULL : find_special(&address);
    if (!special || (special->what == METADATA ? netmask_list_names(guard->allow, &address)
                                               : netmask_list_match(guard->allow, &address) != NULL))
        return true;
    snprintf(why, why_size, "address %s is %s; --allow-net %s/%u would allow it", netmask_address_text(&address, text),
             special->what, special->network, special->length);
    return false;
}
