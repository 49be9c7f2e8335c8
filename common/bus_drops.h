/* SPDX-License-Identifier: MIT */
/* How many messages of a pub were dropped for subscribers that do not read. A part of the bus; loop thread only. */
#ifndef COMMON_BUS_DROPS_H
#define COMMON_BUS_DROPS_H

#include <nng/nng.h>
#include <stddef.h>
#include <stdint.h>

struct bus_reader;

/* All zero but `queue` is the beginning. */
struct bus_drops {
    struct bus_reader *readers; /* as they came */
    size_t count, capacity;
    uint64_t queue; /* messages that wait for each */
    uint64_t sent;
    uint64_t looked_at; /* what was sent when it was looked last */
    uint64_t dropped;
};

/* Counts a message that is sent. Once it was looked before, looks again before what was dropped can't be seen any more. */
void bus_drops_sent(struct bus_drops *drops, nng_socket socket);

/* Looks, at some cost for each connection of the process. Without memory it is as if nobody had looked. */
void bus_drops_look(struct bus_drops *drops, nng_socket socket);

void bus_drops_fini(struct bus_drops *drops);

#endif
