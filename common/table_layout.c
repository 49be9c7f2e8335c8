/* SPDX-License-Identifier: MIT */
/* The table's header: what one of this build looks like, and whether one that was found is such a one.
 *
 * A header is judged by making the one that this build would have made for the same capacity, and comparing: so each size
 * and offset is checked, and no number of a foreign file is ever used before. Pure. */
#include "common/table_layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* Builds that lay out a slot or a row differently must not share a table even when somebody forgot to count the version
 * up. */
static uint64_t layout_hash(void)
{
    /* clang-format off */
    static const uint64_t layout[] = {
#define FIELD(type, field) offsetof(struct type, field)
        sizeof(struct layout_header), sizeof(struct layout_slot), sizeof(struct layout_row), sizeof(struct row),
        sizeof(struct row_list), sizeof(struct row_change),
        TABLE_SLOTS, TABLE_COUNTERS_MAX, KIND_COUNT, ROW_HISTORY, LAYOUT_PUBLISHED_WORDS, LAYOUT_MARK,
        FIELD(layout_slot, pid), FIELD(layout_slot, start_count), FIELD(layout_slot, started_ms),
        FIELD(layout_slot, heartbeat_ms), FIELD(layout_slot, bell_sequence), FIELD(layout_slot, loop_lag_us),
        FIELD(layout_slot, connections), FIELD(layout_slot, counters),
        FIELD(layout_row, sequence), FIELD(layout_row, owner), FIELD(layout_row, generation),
        FIELD(layout_row, payload),
        FIELD(row, server_id), FIELD(row, server_name), FIELD(row, workspace_id), FIELD(row, user_id),
        FIELD(row, last_error), FIELD(row, server_info), FIELD(row, protocol_version), FIELD(row, lists),
        FIELD(row, state_since_ms), FIELD(row, connected_since_ms), FIELD(row, next_attempt_ms),
        FIELD(row, last_activity_ms), FIELD(row, last_heard_ms), FIELD(row, verified_ms), FIELD(row, notifications),
        FIELD(row, connects), FIELD(row, attempts), FIELD(row, state), FIELD(row, era), FIELD(row, transport),
        FIELD(row, source), FIELD(row, events), FIELD(row, history_next), FIELD(row, history),
        FIELD(row_list, fingerprint), FIELD(row_list, changed_ms), FIELD(row_list, count), FIELD(row_list, reason),
        FIELD(row_list, current), FIELD(row_list, advertised),
        FIELD(row_change, at_s), FIELD(row_change, from), FIELD(row_change, to), FIELD(row_change, event),
#undef FIELD
    };
    /* clang-format on */
    return XXH3_64bits(layout, sizeof(layout));
}

static uint64_t round_up(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

void table_layout_init(struct layout_header *header, uint32_t capacity)
{
    *header = (struct layout_header){
        .magic = TABLE_MAGIC,
        .layout_version = TABLE_LAYOUT_VERSION,
        .header_size = sizeof(struct layout_header),
        .layout_hash = layout_hash(),
        .row_size = sizeof(struct layout_row),
        .slot_size = sizeof(struct layout_slot),
        .slot_count = TABLE_SLOTS,
        .capacity = capacity,
    };
    uint64_t dirty_size = round_up((capacity + UINT64_C(63)) / 64 * sizeof(uint64_t), 64);
    uint64_t published_size = capacity * sizeof(uint64_t) * LAYOUT_PUBLISHED_WORDS;
    header->hub_offset = sizeof(struct layout_header);
    header->slots_offset = header->hub_offset + sizeof(struct layout_slot);
    header->dirty_offset = header->slots_offset + sizeof(struct layout_slot) * TABLE_SLOTS;
    header->published_offset = header->dirty_offset + dirty_size;
    header->rows_offset = round_up(header->published_offset + published_size, TABLE_PAGE);
    header->total_size = round_up(header->rows_offset + capacity * sizeof(struct layout_row), TABLE_PAGE);
}

int table_layout_check(const struct layout_header *header, uint64_t file_size, const char *path,
                       char error[TABLE_ERROR_SIZE])
{
    if (memcmp(header->magic, TABLE_MAGIC, sizeof(header->magic)) != 0) {
        snprintf(error, TABLE_ERROR_SIZE,
                 "%s is no table of mcp-broker, or damaged: restarting the broker makes a new one", path);
        return TABLE_FOREIGN;
    }
    if (header->layout_version != TABLE_LAYOUT_VERSION || header->layout_hash != layout_hash()) {
        snprintf(error, TABLE_ERROR_SIZE,
                 "table of layout %" PRIu32 " (hash %016" PRIx64 "), this program has layout %d (hash %016" PRIx64
                 "): use the mcp-brokerctl of the running broker",
                 header->layout_version, header->layout_hash, TABLE_LAYOUT_VERSION, layout_hash());
        return TABLE_FOREIGN;
    }
    struct layout_header expected = {0};
    if (header->capacity >= 1 && header->capacity <= TABLE_CAPACITY_MAX) {
        table_layout_init(&expected, header->capacity);
        expected.created_ms = header->created_ms;
        memcpy(expected.instance, header->instance, sizeof(expected.instance));
    }
    if (memcmp(header, &expected, sizeof(expected)) != 0 || file_size != expected.total_size ||
        memchr(header->instance, '\0', TABLE_INSTANCE_SIZE) == NULL) {
        snprintf(error, TABLE_ERROR_SIZE,
                 "%s is a damaged table (%" PRIu64 " bytes): restarting the broker makes a new one", path, file_size);
        return TABLE_FOREIGN;
    }
    return 0;
}
