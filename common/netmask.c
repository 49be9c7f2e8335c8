/* SPDX-License-Identifier: MIT */
/* Lists of networks. The configuration checks its flags with it, the worker's guard decides with it where a connection
 * may go, so that both read a rule the same way.
 *
 * Every address is brought to its shortest form before anything is compared: the IPv4 address inside a v4-mapped or
 * NAT64 one is where the packets end up. Rules therefore never name such a carrier: 64:ff9b::/96 would silently mean
 * all of IPv4, so it is an error that tells how to write it. Host bits beside the prefix are an error, too: 10.0.0.1/8
 * is either a mistake in the address or one in the length. */
#include "common/netmask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    struct netmask_address network;
    unsigned length;
    const char *text; /* in the list's `texts` */
};

struct netmask_list {
    size_t count;
    char *texts; /* the items, each with a NUL behind it */
    struct rule rules[];
};

static const uint8_t V4_MAPPED[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t NAT64[12] = {0x00, 0x64, 0xff, 0x9b};

static void address_set(struct netmask_address *out, const void *bytes, unsigned bits)
{
    memset(out, 0, sizeof *out);
    memcpy(out->bytes, bytes, bits / 8);
    out->bits = bits;
}

static bool carries_v4(const struct netmask_address *address)
{
    return address->bits == 128 && (memcmp(address->bytes, V4_MAPPED, sizeof V4_MAPPED) == 0 ||
                                    memcmp(address->bytes, NAT64, sizeof NAT64) == 0);
}

static void shorten(struct netmask_address *address)
{
    if (carries_v4(address)) {
        struct netmask_address inner;
        address_set(&inner, address->bytes + 12, 32);
        *address = inner;
    }
}

/* Without shortening. */
static bool parse_literal(const char *text, struct netmask_address *out)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1)
        address_set(out, bytes, 32);
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        address_set(out, bytes, 128);
    else
        return false;
    return true;
}

bool netmask_address_parse(const char *text, struct netmask_address *out)
{
    if (!parse_literal(text, out))
        return false;
    shorten(out);
    return true;
}

bool netmask_address_get(const struct sockaddr *socket_address, struct netmask_address *out)
{
    if (socket_address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, socket_address, sizeof in);
        address_set(out, &in.sin_addr, 32);
        return true;
    }
    if (socket_address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, socket_address, sizeof in6);
        address_set(out, &in6.sin6_addr, 128);
        shorten(out);
        return true;
    }
    return false;
}

const char *netmask_address_text(const struct netmask_address *address, char out[NETMASK_ADDRESS_SIZE])
{
    if (!inet_ntop(address->bits == 32 ? AF_INET : AF_INET6, address->bytes, out, NETMASK_ADDRESS_SIZE))
        out[0] = '\0';
    return out;
}

bool netmask_within(const struct netmask_address *address, const struct netmask_address *network, unsigned length)
{
    if (address->bits != network->bits || length > network->bits)
        return false;
    if (memcmp(address->bytes, network->bytes, length / 8) != 0)
        return false;
    if (length % 8 == 0)
        return true;
    unsigned differing = (unsigned)address->bytes[length / 8] ^ network->bytes[length / 8];
    return differing >> (8 - length % 8) == 0;
}

static bool parse_length(const char *text, unsigned max, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0')
        return false;
    unsigned long value = strtoul(text, NULL, 10);
    if (value > max)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool host_bits_clear(const struct netmask_address *network, unsigned length)
{
    for (unsigned bit = length; bit < network->bits; bit++)
        if (network->bytes[bit / 8] & (0x80u >> (bit % 8)))
            return false;
    return true;
}

/* Reads one item; NULL, or what is wrong with it. */
static const char *parse_rule(const char *item, struct rule *rule)
{
    char address[NETMASK_ADDRESS_SIZE + 1];
    size_t address_size = strcspn(item, "/");
    if (address_size >= sizeof address)
        return "is not an IPv4 or IPv6 network";
    memcpy(address, item, address_size);
    address[address_size] = '\0';
    if (!parse_literal(address, &rule->network))
        return "is not an IPv4 or IPv6 network";
    if (carries_v4(&rule->network))
        return "stands for an IPv4 network: write that one";
    rule->length = rule->network.bits;
    if (item[address_size] == '/' && !parse_length(item + address_size + 1, rule->network.bits, &rule->length))
        return rule->network.bits == 32 ? "needs a prefix length of 0 to 32" : "needs a prefix length of 0 to 128";
    if (!host_bits_clear(&rule->network, rule->length))
        return "has bits set beside its prefix";
    rule->text = item;
    return NULL;
}

/* Cuts the next item out of *rest, without the blanks around it; NULL at the end. */
static char *next_item(char **rest)
{
    char *item = strsep(rest, ",");
    if (!item)
        return NULL;
    item += strspn(item, " \t");
    size_t size = strlen(item);
    while (size > 0 && (item[size - 1] == ' ' || item[size - 1] == '\t'))
        item[--size] = '\0';
    return item;
}

int netmask_list_parse(const char *text, struct netmask_list **out, char *error, size_t error_size)
{
    if (!text)
        text = "";
    size_t items = 1;
    for (const char *comma = strchr(text, ','); comma; comma = strchr(comma + 1, ','))
        items++;
    struct netmask_list *list = calloc(1, sizeof *list + items * sizeof list->rules[0]);
    if (!list)
        return -ENOMEM;
    int result = -ENOMEM;
    list->texts = strdup(text);
    if (!list->texts)
        goto destroy;
    bool empty = text[strspn(text, " \t")] == '\0';
    char *rest = empty ? NULL : list->texts;
    for (char *item = next_item(&rest); item; item = next_item(&rest)) {
        const char *wrong = parse_rule(item, &list->rules[list->count]);
        if (wrong) {
            snprintf(error, error_size, "\"%.60s\" %s", item, wrong);
            result = 1;
            goto destroy;
        }
        list->count++;
    }
    *out = list;
    return 0;
destroy:
    netmask_list_destroy(list);
    return result;
}

void netmask_list_destroy(struct netmask_list *list)
{
    if (!list)
        return;
    free(list->texts);
    free(list);
}

bool netmask_list_names(const struct netmask_list *list, const struct netmask_address *address)
{
    for (size_t i = 0; list && i < list->count; i++)
        if (list->rules[i].length == address->bits &&
            netmask_within(address, &list->rules[i].network, list->rules[i].length))
            return true;
    return false;
}

const char *netmask_list_match(const struct netmask_list *list, const struct netmask_address *address)
{
    for (size_t i = 0; list && i < list->count; i++)
        if (netmask_within(address, &list->rules[i].network, list->rules[i].length))
            return list->rules[i].text;
    return NULL;
}
