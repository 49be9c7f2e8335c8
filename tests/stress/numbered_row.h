/* SPDX-License-Identifier: MIT */
/* Rows that can be judged: each word of one follows from a single number, so that a copy made of two of them is
 * noticed. */
#ifndef TESTS_STRESS_NUMBERED_ROW_H
#define TESTS_STRESS_NUMBERED_ROW_H

#include "common/table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline struct row numbered_row(uint64_t number)
{
    struct row row;
    uint64_t words[sizeof(row) / sizeof(uint64_t)];
    char text[ROW_ERROR_SIZE];
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        words[i] = number;
    }
    memcpy(&row, words, sizeof(row));
    for (size_t length = 0; length < sizeof(text) - 1;) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%" PRIu64 ",", number);
    }
    table_text(row.server_id, sizeof(row.server_id), text);
    table_text(row.server_name, sizeof(row.server_name), text);
    table_text(row.workspace_id, sizeof(row.workspace_id), text);
    table_text(row.user_id, sizeof(row.user_id), text);
    table_text(row.last_error, sizeof(row.last_error), text);
    table_text(row.server_info, sizeof(row.server_info), text);
    table_text(row.protocol_version, sizeof(row.protocol_version), text);
    return row;
}

static inline bool numbered_row_is_whole(const struct row *row)
{
    struct row expected = numbered_row(row->notifications);
    return memcmp(&expected, row, sizeof(expected)) == 0;
}

#endif
