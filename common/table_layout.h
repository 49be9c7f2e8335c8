/* SPDX-License-Identifier: MIT */
/* The bytes of the shared-memory table. Private to table*.c and its tests: everybody else uses table.h.
 *
 *   offset 0        header, one page
 *   hub_offset      the hub's slot
 *   slots_offset    worker slots, `slot_count` of them
 *   dirty_offset    one bit a row, set by workers, cleared by the hub (64 rows a word)
 *   published_offset  four words a row, written by the hub: published generation of each kind, and in the last an enum
 *                   layout_mark (the rows are sparse, all before them is not) with, in its upper half, the incarnation
 *                   of a row that has no memory
 *   rows_offset     rows, `capacity` of them, on a page boundary
 *
 * Who writes what:  header: the supervisor, before any child starts, then nobody.  A slot: the process that has it.
 * A row: the owner that its `owner` word names, and while that is 0 the hub.  `owner`: the hub alone.
 *
 * A row's payload is guarded by `sequence` (odd: being written). Its words are atomics, stored with release and loaded
 * with acquire: a reader that gets a word of a later write thereby gets the odd sequence, too, when it looks again. So a
 * copy is either whole or known not to be, ThreadSanitizer can follow it (no fences), and a reader needs no write
 * access. A writer killed in between leaves the sequence odd: whoever owns the row next repairs it.
 *
 * Any change here is a new TABLE_LAYOUT_VERSION. */
#ifndef COMMON_TABLE_LAYOUT_H
#define COMMON_TABLE_LAYOUT_H

#include "common/table.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_MAGIC "MCPBRKR" /* eight bytes with the NUL */
enum { TABLE_LAYOUT_VERSION = 3, TABLE_PAGE = 4096, TABLE_SLOTS = 256, TABLE_COUNTERS_MAX = 96 };

struct layout_header {
    char magic[8];
    uint32_t layout_version;
    uint32_t header_size;
    uint64_t layout_hash; /* of all sizes and offsets that the build was made with */
    uint64_t total_size;
    uint32_t row_size;
    uint32_t slot_size;
    uint32_t slot_count;
    uint32_t capacity;
    uint64_t created_ms;
    char instance[40]; /* random, hex, terminated: tells one table from the next */
    uint64_t hub_offset, slots_offset, dirty_offset, published_offset, rows_offset;
    uint8_t reserved[TABLE_PAGE - 136];
};
static_assert(sizeof(struct layout_header) == TABLE_PAGE, "the header is one page");
static_assert(offsetof(struct layout_header, reserved) == 136, "no padding");

struct layout_slot {
    _Atomic uint64_t pid;
    _Atomic uint64_t start_count;
    _Atomic uint64_t started_ms;
    _Atomic uint64_t heartbeat_ms;
    _Atomic uint64_t bell_sequence; /* of the last bell rung by this slot, over all its starts */
    _Atomic uint64_t loop_lag_us;   /* longest turn of the loop since the last heartbeat */
    _Atomic uint64_t connections;   /* held or under way */
    _Atomic uint64_t reserved[9];
    _Atomic uint64_t counters[TABLE_COUNTERS_MAX];
};
static_assert(sizeof(struct layout_slot) == 896, "fourteen cache lines");
static_assert(offsetof(struct layout_slot, counters) == 128, "the counters begin with a cache line");
static_assert((int)COUNTER_COUNT <= (int)TABLE_COUNTERS_MAX, "room for all counters");

enum { LAYOUT_PUBLISHED_WORDS = 4, LAYOUT_MARK = 3 }; /* of a row, in the published array */
enum layout_mark {
    LAYOUT_NO_MEMORY, /* not to be touched; reads as an empty row */
    LAYOUT_UNLISTED,  /* no server has it, or its server is gone */
    LAYOUT_LISTED
};
enum { LAYOUT_ROW_PAYLOAD_WORDS = 107 };
struct layout_row {
    _Atomic uint64_t sequence;
    _Atomic uint64_t owner;                             /* slot + 1, or 0; the row's incarnation in the upper half */
    _Atomic uint64_t generation[KIND_COUNT];            /* counted by the owner, never backwards */
    _Atomic uint64_t payload[LAYOUT_ROW_PAYLOAD_WORDS]; /* a struct row */
};
static_assert(sizeof(struct layout_row) == 896, "fourteen cache lines: two rows share none");
static_assert(sizeof(struct row) == sizeof(uint64_t) * LAYOUT_ROW_PAYLOAD_WORDS, "the payload is a struct row");
static_assert(offsetof(struct row, lists) == 624 && sizeof(struct row_list) == 32, "lists are whole words");
static_assert(offsetof(struct row, state_since_ms) == 720 && offsetof(struct row, connects) == 776, "no padding");
static_assert(offsetof(struct row, history) == 792 && sizeof(struct row_change) == 8, "no padding");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2, "a lock would not work across processes");

/* The header of a table of `capacity` rows, but for what tells one such table from another. */
void table_layout_init(struct layout_header *header, uint32_t capacity);

/* Whether a file of `file_size` bytes that begins with `header` is a table of this build. 0 or TABLE_FOREIGN with `error`,
 * in which `path` is named. */
MUST_CHECK int table_layout_check(const struct layout_header *header, uint64_t file_size, const char *path,
                                  char error[TABLE_ERROR_SIZE]);

#endif
