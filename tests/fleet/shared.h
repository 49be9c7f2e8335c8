/* SPDX-License-Identifier: MIT */
/* Memory that all processes of a fleet share, in a file that others may map, too: counters of each process, and for
 * each server when it sent its last notification. Whoever receives events can so tell how long they took. Each word has
 * one writer. */
#ifndef TESTS_FLEET_SHARED_H
#define TESTS_FLEET_SHARED_H

#include "common/compiler.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARED_PROCESSES_MAX = 256 };

enum shared_counter {
#define COUNTER(symbol, name) SHARED_##symbol,
#include "tests/fleet/counters.def"
    SHARED_COUNTERS
};

struct shared_server {
    _Atomic uint64_t sent_us; /* wall time of the last notification */
    _Atomic uint64_t sends;
};

struct shared {
    uint64_t magic;
    uint64_t size; /* of all of it, in bytes */
    uint64_t server_count;
    _Atomic uint64_t counters[SHARED_PROCESSES_MAX][SHARED_COUNTERS];
    struct shared_server servers[];
};

extern const char *const shared_counter_names[SHARED_COUNTERS];

/* Makes the file anew; `path` NULL: no file. Mapped for as long as the process and its children live. 0 or a negative
 * errno. */
MUST_CHECK int shared_create(const char *path, size_t server_count, struct shared **out);

/* Maps a fleet's file for reading. 0 or a negative errno; -EPROTO: it is none. */
MUST_CHECK int shared_open(const char *path, const struct shared **out);

/* Over all processes. */
uint64_t shared_sum(const struct shared *shared, enum shared_counter counter);

#endif
