/* SPDX-License-Identifier: MIT */
/* Lists of networks, as in --allow-net and --deny-net: "10.0.0.0/8, fd00::/8, 192.0.2.1". An address that carries an
 * IPv4 address in it (v4-mapped ::ffff:a.b.c.d, NAT64 64:ff9b::/96) is looked at as that IPv4 address, so that a rule
 * cannot be walked round by another spelling. Immutable once parsed. Pure. */
#ifndef COMMON_NETMASK_H
#define COMMON_NETMASK_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { NETMASK_ERROR_SIZE = 160, NETMASK_ADDRESS_SIZE = 46 };

struct netmask_list;

/* An address in its shortest form: 4 bytes of IPv4 (also when it came inside IPv6), or 16 of IPv6. */
struct netmask_address {
    uint8_t bytes[16];
    unsigned bits; /* 32 or 128 */
};

/* Reads a comma-separated list (NULL or "": an empty one, that matches nothing). Each item is an address, or
 * address/prefix-length; host bits beside the prefix must be 0. 0, -ENOMEM, or 1 when an item is wrong, `error` saying
 * which and why. *out is written only on success; free it with netmask_list_destroy. */
MUST_CHECK int netmask_list_parse(const char *text, struct netmask_list **out, char *error, size_t error_size);

/* NULL does nothing. */
void netmask_list_destroy(struct netmask_list *list);

/* The text of the first item that has the address in it, as it was written, or NULL. `list` may be NULL (empty). */
const char *netmask_list_match(const struct netmask_list *list, const struct netmask_address *address);

/* True when an item is this one address. */
bool netmask_list_names(const struct netmask_list *list, const struct netmask_address *address);

/* The address of a socket; false when it is neither IPv4 nor IPv6. */
MUST_CHECK bool netmask_address_get(const struct sockaddr *socket_address, struct netmask_address *out);

/* True when the first `length` bits of both are the same (and they are of one family). */
bool netmask_within(const struct netmask_address *address, const struct netmask_address *network, unsigned length);

/* Reads "10.0.0.1" or "fd00::1", which becomes its shortest form; false when it is none. */
MUST_CHECK bool netmask_address_parse(const char *text, struct netmask_address *out);

/* Writes it as text. Returns `out`. */
const char *netmask_address_text(const struct netmask_address *address, char out[NETMASK_ADDRESS_SIZE]);

#endif
