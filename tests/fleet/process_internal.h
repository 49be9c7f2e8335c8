/* SPDX-License-Identifier: MIT */
/* What the files of a fleet's process share: process.c (loop, port, commands), campaign.c (changes at a rate) and
 * connection.c (one accepted socket). */
#ifndef TESTS_FLEET_PROCESS_INTERNAL_H
#define TESTS_FLEET_PROCESS_INTERNAL_H

#include "common/buf.h"
#include "tests/fleet/command.h"
#include "tests/fleet/process.h"
#include "tests/fleet/simulated.h"
#include "tests/fleet/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection {
    int fd; /* -1: closed; free for another once this turn of the loop is over */
    uint32_t partial_size;
    struct ssl_st *tls;       /* NULL: http */
    char *partial;            /* of a request that has not come whole; NULL: none */
    struct simulated *server; /* whose stream it is; NULL: none yet */
    struct connection *next;  /* of the free or the closed ones */
};

/* Changes at a rate, round and round over a range of this process's servers. */
struct campaign {
    uint32_t first, last, next;
    double per_second; /* 0: none */
    uint64_t began_us, ends_us;
    uint64_t done;
};

struct process {
    const struct options *options;
    struct ssl_ctx_st *tls; /* NULL: http */
    struct shared *shared;
    _Atomic uint64_t *counters;
    uint32_t first, count; /* of the servers */
    struct simulated *servers;
    int epoll, listener, timer, commands;
    bool accepts;
    bool over;
    struct connection *free, *closed;
    struct campaign campaign;
    struct buf out; /* an answer on its way */
    char *input;    /* what was read last; two requests have room */
};

static inline void process_count(struct process *process, enum shared_counter counter)
{
    atomic_fetch_add_explicit(&process->counters[counter], 1, memory_order_relaxed);
}

/* --- connection.c --- */

enum connection_close { CONNECTION_DROP, CONNECTION_END, CONNECTION_RESET };

/* Takes `fd`. False, and it is closed, when there is no connection free. */
bool connection_open(struct process *process, int fd);
void connection_on_readable(struct process *process, struct connection *connection);
void connection_close(struct process *process, struct connection *connection, enum connection_close how);
/* Has the server tell whoever listens that its tools have changed. */
void connection_notify(struct process *process, struct simulated *server);

/* --- campaign.c --- */

void campaign_start(struct process *process, const struct command *command);
void campaign_stop(struct process *process);
/* The timer has fired. */
void campaign_go_on(struct process *process);

#endif
