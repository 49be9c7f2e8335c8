/* SPDX-License-Identifier: MIT */
/* The shared-memory table: what every process and the command line know of the connections. One row a server, one slot
 * a worker. table_layout.h draws the bytes and says who writes them; here is how to use them.
 *
 * The truth about changes lives here: a row's generation of a kind is the number of the last change, `published` is the
 * last one that everybody was told of. A row whose generation is ahead owes an event (see hub/relay).
 *
 * Nothing here blocks or allocates but open and create. What is read may have been scribbled on by a process that
 * crashed: texts are always terminated and UTF-8, enumerations may be out of range (names.h copes). Never a secret in it. A
 * struct table may be used from any thread as long as each row, slot and bitmap word keeps its one writer. */
#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include "common/compiler.h"
#include "common/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ROW_ID_SIZE = 128,
    ROW_NAME_SIZE = 128,
    ROW_SCOPE_SIZE = 64,
    ROW_ERROR_SIZE = 160,
    ROW_SERVER_INFO_SIZE = 64,
    ROW_VERSION_SIZE = 16,
    ROW_HISTORY = 8
};
enum { TABLE_NO_OWNER = -1, TABLE_CAPACITY_MAX = 1 << 24, TABLE_INSTANCE_SIZE = 33 };

/* 128-bit fingerprint of a list; all zero: never seen. */
struct fingerprint {
    uint64_t high, low;
};

/* One past change of state. */
struct row_change {
    uint32_t at_s; /* seconds since the epoch */
    uint8_t from, to;
    uint8_t event; /* of the worker's state machine */
    uint8_t reserved;
};

/* What is known of a list. */
struct row_list {
    struct fingerprint fingerprint;
    uint64_t changed_ms; /* time of the change that the row's generation numbers */
    uint32_t count;
    uint8_t reason;     /* enum reason of that change */
    uint8_t current;    /* fingerprint and count were taken at or after that change */
    uint8_t advertised; /* the server says it notifies (a hint, never more) */
    uint8_t reserved;
};

/* A row's payload, as copied in and out. Texts are terminated; set them with table_text. */
struct row {
    char server_id[ROW_ID_SIZE];
    char server_name[ROW_NAME_SIZE];
    char workspace_id[ROW_SCOPE_SIZE];
    char user_id[ROW_SCOPE_SIZE];
    char last_error[ROW_ERROR_SIZE]; /* "" when none */
    char server_info[ROW_SERVER_INFO_SIZE];
    char protocol_version[ROW_VERSION_SIZE];
    struct row_list lists[KIND_COUNT];
    uint64_t state_since_ms;
    uint64_t connected_since_ms; /* 0: not connected */
    uint64_t next_attempt_ms;    /* 0: none planned */
    uint64_t last_activity_ms;   /* somebody asked for it, or it did something that a user would call activity */
    uint64_t last_heard_ms;      /* bytes from the server, rounded to a second */
    uint64_t verified_ms;        /* the list was last fetched and compared */
    uint64_t notifications;
    uint32_t connects;
    uint32_t attempts; /* failed in a row */
    uint8_t state, era, transport, source;
    uint8_t events; /* bit a kind: which lists are watched */
    uint8_t history_next;
    uint8_t reserved[2];
    struct row_change history[ROW_HISTORY];
};

enum table_access { TABLE_READ_ONLY, TABLE_READ_WRITE };

/* What reading can come to, besides 0. */
enum table_outcome {
    TABLE_BUSY = 1,    /* its writer is busy, or died in the middle; *out is not written */
    TABLE_ABSENT = 2,  /* no table there */
    TABLE_FOREIGN = 3, /* of another layout, or damaged */
    TABLE_NO_ROW = 4,  /* row number past the capacity */
    TABLE_IN_USE = 5,  /* some process may write it */
};

enum { TABLE_ERROR_SIZE = 256 };
struct table;

/* Opens the table of `run_dir` and checks magic, version, hash, sizes and offsets against its length before touching
 * anything else. No process need be alive. 0, TABLE_ABSENT, TABLE_FOREIGN, or a negative errno; on any but 0 `error`
 * says what is wrong and what to do. Read-write is for the broker's own processes, and only their user's table. */
MUST_CHECK int table_open(const char *run_dir, enum table_access access, struct table **out,
                          char error[TABLE_ERROR_SIZE]);

/* The supervisor's: takes the table there if it is whole, of this layout and of `capacity` rows (1 to
 * TABLE_CAPACITY_MAX); else makes a new one (the old file is replaced, never changed under a reader). It is a file
 * `table` in `run_dir`, or in /dev/shm and linked from there when `run_dir` is not on tmpfs. 0, or a negative errno with
 * `error` written. `taken_over` tells which it was; when a table was there and could not be taken over, `error` says
 * why, and is "" otherwise. */
MUST_CHECK int table_create(const char *run_dir, uint32_t capacity, struct table **out, bool *taken_over,
                            char error[TABLE_ERROR_SIZE]);

/* Whether some process has the table of `run_dir`, of whatever layout, open for writing: each that has holds a lock on the
 * file, which goes with it however it ends. 0 (also where there is no table), TABLE_IN_USE, or a negative errno. */
MUST_CHECK int table_in_use(const char *run_dir);

void table_close(struct table *table);

uint32_t table_capacity(const struct table *table);
const char *table_instance(const struct table *table); /* random hex: another one with each new table */
uint64_t table_created_ms(const struct table *table);

/* --- rows ---
 *
 * Who writes must have a row number below the capacity. Reading with any other is TABLE_NO_ROW, no owner, or 0. */

/* Copies a whole row, its texts mended: 0, TABLE_NO_ROW, or TABLE_BUSY after a bounded number of tries. */
MUST_CHECK int table_row_read(const struct table *table, uint32_t row, struct row *out);

/* The row's state alone: one word, so it is whole also while the row is being written. STATE_NONE: in no use. */
unsigned table_row_state(const struct table *table, uint32_t row);

/* Sees to it that the row has memory. The file is sparse: on a full tmpfs, touching a row without memory would end the
 * process, and even reading one costs a page. So a row that was never reserved reads as an empty one, untouched, and the
 * hub reserves a row before the first write to it. 0, or a negative errno (-ENOSPC). */
MUST_CHECK int table_row_reserve(struct table *table, uint32_t row);

/* The hub's, for a row that nobody owns any more and that is empty: it reads as one that was never reserved, though its
 * incarnation is kept. Its memory is there still, for who is reading it at this moment. */
void table_row_retire(struct table *table, uint32_t row);

/* Gives back to the system what memory rows `first` to `end - 1` have without being reserved: as far as it is whole pages,
 * in which no other row lies that is. Not before who was reading when they were retired is through. */
void table_rows_give_back(struct table *table, uint32_t first, uint32_t end);

/* Sets a text of a row: cut at a character's boundary (UTF-8) where too long, the rest of the field filled with zeros. */
void table_text(char *field, size_t size, const char *text);

/* The hub's: whether the row belongs to a server that is watched. A server that was taken away keeps its row until its
 * worker has let go; nobody who lists servers wants to see it any more. Rows must have memory. */
void table_row_set_listed(struct table *table, uint32_t row, bool listed);
bool table_row_is_listed(const struct table *table, uint32_t row);

/* Stores it. Only its owner may. Words that are the same already are not written. */
void table_row_write(struct table *table, uint32_t row, const struct row *value);

/* True when a writer died in the middle. Only for who knows that nobody writes it now (its next owner). */
bool table_row_is_torn(const struct table *table, uint32_t row);

/* Makes a torn row whole again: `value` replaces what is there. Its lists should be unknown (unknown counts as
 * changed). */
void table_row_repair(struct table *table, uint32_t row, const struct row *value);

/* Slot that owns the row, or TABLE_NO_OWNER, and the incarnation: how often the row was given to another server. A
 * message about a row carries it; one with another incarnation is about a server that is gone. */
int table_row_owner(const struct table *table, uint32_t row, uint32_t *incarnation);

/* The hub's. */
void table_row_set_owner(struct table *table, uint32_t row, int slot, uint32_t incarnation);

/* --- changes --- */

/* Only the row's list of `kind` and its generation, of one moment: what an event tells. 0, TABLE_NO_ROW, TABLE_BUSY. */
MUST_CHECK int table_list_read(const struct table *table, uint32_t row, enum kind kind, struct row_list *list,
                               uint64_t *generation);
uint64_t table_generation(const struct table *table, uint32_t row, enum kind kind);

/* The owner's: stores the row (with the list's new time and reason), adds one to the generation within the same
 * sequence, and then marks the row dirty. Returns the new generation. */
uint64_t table_change(struct table *table, uint32_t row, enum kind kind, const struct row *value);

/* The hub's, for a row that nobody owns: where counting goes on after a reboot. */
void table_set_generation(struct table *table, uint32_t row, enum kind kind, uint64_t generation);

uint64_t table_published(const struct table *table, uint32_t row, enum kind kind);
void table_set_published(struct table *table, uint32_t row, enum kind kind, uint64_t generation);

void table_mark_dirty(struct table *table, uint32_t row);

/* Takes and clears the dirty bits of rows 64*word … 64*word+63. `word` < (capacity+63)/64. */
uint64_t table_take_dirty(struct table *table, uint32_t word);

/* --- slots --- */

enum counter {
#define COUNTER(symbol, ...) COUNTER_##symbol,
#include "common/counters.def"
    COUNTER_COUNT
};
const char *counter_name(unsigned counter);
const char *counter_help(unsigned counter);

enum { TABLE_HUB = -1 }; /* as `slot`: the hub's own */

struct slot {
    uint64_t pid; /* 0: none, or stopped in order */
    uint64_t start_count;
    uint64_t started_ms;
    uint64_t heartbeat_ms; /* wall clock */
    uint64_t bell_sequence;
    uint64_t loop_lag_us;
    uint64_t connections;
    uint64_t counters[COUNTER_COUNT];
};

/* Each word is whole; the words are of nearly one moment. `slot` is TABLE_HUB or below table_slot_count. */
void table_slot_read(const struct table *table, int slot, struct slot *out);
int table_slot_count(const struct table *table);

/* The owner's: says who it is; counters and sequence go on. */
void table_slot_begin(struct table *table, int slot, uint64_t start_count);
void table_slot_end(struct table *table, int slot);
void table_slot_beat(struct table *table, int slot, uint64_t loop_lag_us, uint64_t connections);
void table_count(struct table *table, int slot, enum counter counter, uint64_t amount);
uint64_t table_next_bell(struct table *table, int slot);

#endif
