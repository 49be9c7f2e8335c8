/* SPDX-License-Identifier: MIT */
/* The rows of the shared-memory table, and the generations and dirty bits that keep changes from being lost.
 *
 * A row's writer makes the sequence odd, stores the words that differ, and makes it even; a reader copies and looks
 * whether the sequence stood still (table_layout.h tells why that is enough). Shared bytes are moved word by word through
 * atomics, never by memcpy. A reader gives up after READ_TRIES: its writer may have been killed, and then nothing ever
 * changes. Any write makes a torn row whole, because it compares and stores every word.
 *
 * A change is stored in this order, so that dying at any point loses nothing: payload and generation in one sequence,
 * then the dirty bit. A generation without its bit is found by the slow sweep. */
#include "common/table_map.h"
#include "common/utf8.h"

#include <assert.h>
#include <string.h>

enum { READ_TRIES = 1000 };

/* For who writes. */
static struct layout_row *row_at(const struct table *table, uint32_t row)
{
    assert(row < table->capacity);
    return &table->rows[row];
}

/* For who reads: NULL when there is no such row, or it has no memory that could be looked at. */
static const struct layout_row *row_to_read(const struct table *table, uint32_t row)
{
    return row < table->capacity && table_has_memory(table, row) ? &table->rows[row] : NULL;
}

/* --- the sequence lock --- */

static uint64_t write_begin(struct layout_row *row)
{
    uint64_t odd = atomic_load_explicit(&row->sequence, memory_order_relaxed) | 1;
    atomic_store_explicit(&row->sequence, odd, memory_order_relaxed);
    return odd;
}

static void write_end(struct layout_row *row, uint64_t odd)
{
    atomic_store_explicit(&row->sequence, odd + 1, memory_order_release);
}

/* False while the row is being written. */
static bool read_begin(const struct layout_row *row, uint64_t *sequence)
{
    *sequence = atomic_load_explicit(&row->sequence, memory_order_acquire);
    return (*sequence & 1) == 0;
}

/* True when nothing was written since read_begin. */
static bool read_end(const struct layout_row *row, uint64_t sequence)
{
    return atomic_load_explicit(&row->sequence, memory_order_relaxed) == sequence;
}

/* --- payload --- */

static void store_payload(struct layout_row *row, const struct row *value)
{
    uint64_t words[LAYOUT_ROW_PAYLOAD_WORDS];
    memcpy(words, value, sizeof(words));
    for (size_t i = 0; i < LAYOUT_ROW_PAYLOAD_WORDS; i++) {
        if (atomic_load_explicit(&row->payload[i], memory_order_relaxed) != words[i]) {
            atomic_store_explicit(&row->payload[i], words[i], memory_order_release);
        }
    }
}

static void load_payload(const struct layout_row *row, size_t first, size_t count, uint64_t *words)
{
    for (size_t i = 0; i < count; i++) {
        words[i] = atomic_load_explicit(&row->payload[first + i], memory_order_acquire);
    }
}

static void mend_text(char *field, size_t size)
{
    field[size - 1] = '\0';
    utf8_mend(field);
}

/* Whoever reads a row gets texts that end and are UTF-8, whatever a process that went mad has left there. */
static void mend_texts(struct row *row)
{
    mend_text(row->server_id, sizeof(row->server_id));
    mend_text(row->server_name, sizeof(row->server_name));
    mend_text(row->workspace_id, sizeof(row->workspace_id));
    mend_text(row->user_id, sizeof(row->user_id));
    mend_text(row->last_error, sizeof(row->last_error));
    mend_text(row->server_info, sizeof(row->server_info));
    mend_text(row->protocol_version, sizeof(row->protocol_version));
}

/* --- rows --- */

int table_row_read(const struct table *table, uint32_t row, struct row *out)
{
    if (row >= table->capacity) {
        return TABLE_NO_ROW;
    }
    const struct layout_row *from = row_to_read(table, row);
    if (from == NULL) {
        *out = (struct row){0};
        return 0;
    }
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        uint64_t sequence;
        uint64_t words[LAYOUT_ROW_PAYLOAD_WORDS];
        if (!read_begin(from, &sequence)) {
            continue;
        }
        load_payload(from, 0, LAYOUT_ROW_PAYLOAD_WORDS, words);
        if (read_end(from, sequence)) {
            memcpy(out, words, sizeof(words));
            mend_texts(out);
            return 0;
        }
    }
    return TABLE_BUSY;
}

unsigned table_row_state(const struct table *table, uint32_t row)
{
    enum { OFFSET = offsetof(struct row, state) };
    const struct layout_row *from = row_to_read(table, row);
    uint8_t bytes[sizeof(uint64_t)];
    if (from == NULL) {
        return STATE_NONE;
    }
    uint64_t word = atomic_load_explicit(&from->payload[OFFSET / sizeof(word)], memory_order_acquire);
    memcpy(bytes, &word, sizeof(bytes));
    return bytes[OFFSET % sizeof(word)];
}

void table_text(char *field, size_t size, const char *text)
{
    assert(size > 0);
    if (text == NULL) {
        text = "";
    }
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) {
            length--;
        }
    }
    memcpy(field, text, length);
    memset(field + length, 0, size - length);
}

void table_row_write(struct table *table, uint32_t row, const struct row *value)
{
    struct layout_row *to = row_at(table, row);
    uint64_t odd = write_begin(to);
    store_payload(to, value);
    write_end(to, odd);
}

bool table_row_is_torn(const struct table *table, uint32_t row)
{
    const struct layout_row *from = row_to_read(table, row);
    return from != NULL && (atomic_load_explicit(&from->sequence, memory_order_acquire) & 1) != 0;
}

void table_row_repair(struct table *table, uint32_t row, const struct row *value)
{
    table_row_write(table, row, value);
}

/* --- owners --- */

int table_row_owner(const struct table *table, uint32_t row, uint32_t *incarnation)
{
    const struct layout_row *from = row_to_read(table, row);
    uint64_t word = from != NULL            ? atomic_load_explicit(&from->owner, memory_order_acquire)
                    : row < table->capacity ? table_retired_owner(table, row)
                                            : 0;
    uint32_t owner = (uint32_t)word;
    *incarnation = (uint32_t)(word >> 32);
    return owner >= 1 && owner <= TABLE_SLOTS ? (int)owner - 1 : TABLE_NO_OWNER;
}

void table_row_set_owner(struct table *table, uint32_t row, int slot, uint32_t incarnation)
{
    assert(slot >= TABLE_NO_OWNER && slot < TABLE_SLOTS);
    uint64_t word = (uint64_t)incarnation << 32 | (uint32_t)(slot + 1);
    atomic_store_explicit(&row_at(table, row)->owner, word, memory_order_release);
}

/* --- changes --- */

int table_list_read(const struct table *table, uint32_t row, enum kind kind, struct row_list *list,
                    uint64_t *generation)
{
    enum { WORDS = sizeof(struct row_list) / sizeof(uint64_t) };
    assert(kind < KIND_COUNT);
    if (row >= table->capacity) {
        return TABLE_NO_ROW;
    }
    const struct layout_row *from = row_to_read(table, row);
    if (from == NULL) {
        *list = (struct row_list){0};
        *generation = 0;
        return 0;
    }
    size_t first = offsetof(struct row, lists) / sizeof(uint64_t) + (size_t)kind * WORDS;
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        uint64_t sequence;
        uint64_t words[WORDS];
        if (!read_begin(from, &sequence)) {
            continue;
        }
        load_payload(from, first, WORDS, words);
        uint64_t counted = atomic_load_explicit(&from->generation[kind], memory_order_acquire);
        if (read_end(from, sequence)) {
            memcpy(list, words, sizeof(words));
            *generation = counted;
            return 0;
        }
    }
    return TABLE_BUSY;
}

uint64_t table_generation(const struct table *table, uint32_t row, enum kind kind)
{
    assert(kind < KIND_COUNT);
    const struct layout_row *from = row_to_read(table, row);
    return from == NULL ? 0 : atomic_load_explicit(&from->generation[kind], memory_order_acquire);
}

uint64_t table_change(struct table *table, uint32_t row, enum kind kind, const struct row *value)
{
    assert(kind < KIND_COUNT);
    struct layout_row *to = row_at(table, row);
    uint64_t odd = write_begin(to);
    store_payload(to, value);
    uint64_t generation = atomic_load_explicit(&to->generation[kind], memory_order_relaxed) + 1;
    atomic_store_explicit(&to->generation[kind], generation, memory_order_release);
    write_end(to, odd);
    table_mark_dirty(table, row);
    return generation;
}

void table_set_generation(struct table *table, uint32_t row, enum kind kind, uint64_t generation)
{
    assert(kind < KIND_COUNT);
    struct layout_row *to = row_at(table, row);
    uint64_t odd = write_begin(to);
    atomic_store_explicit(&to->generation[kind], generation, memory_order_release);
    write_end(to, odd);
}

uint64_t table_published(const struct table *table, uint32_t row, enum kind kind)
{
    assert(kind < KIND_COUNT);
    return row < table->capacity ? atomic_load_explicit(table_published_at(table, row, kind), memory_order_acquire) : 0;
}

void table_set_published(struct table *table, uint32_t row, enum kind kind, uint64_t generation)
{
    assert(row < table->capacity && kind < KIND_COUNT);
    atomic_store_explicit(table_published_at(table, row, kind), generation, memory_order_release);
}

void table_mark_dirty(struct table *table, uint32_t row)
{
    assert(row < table->capacity);
    atomic_fetch_or_explicit(&table->dirty[row / 64], UINT64_C(1) << row % 64, memory_order_release);
}

uint64_t table_take_dirty(struct table *table, uint32_t word)
{
    assert(word < (table->capacity + 63) / 64);
    if (atomic_load_explicit(&table->dirty[word], memory_order_relaxed) == 0) {
        return 0; /* the common case of a sweep, which should not take the line away from the workers */
    }
    return atomic_exchange_explicit(&table->dirty[word], 0, memory_order_acquire);
}
