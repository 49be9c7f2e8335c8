/* SPDX-License-Identifier: MIT */
/* For the tests of the table: a run directory of its own for each test, on /dev/shm, which is tmpfs, or in /tmp, which
 * may be; and nothing left behind. */
#ifndef TESTS_UNIT_TABLE_FIXTURE_H
#define TESTS_UNIT_TABLE_FIXTURE_H

#include "common/table.h"
#include "common/table_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 130 };

struct fixture {
    char dir[64];
    char file[80];
    char link_target[128];
    char error[TABLE_ERROR_SIZE];
    struct table *table;
};

static inline struct fixture *fixture_in(const char *where)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->dir, sizeof(fixture->dir), "%s/test_table.XXXXXX", where);
    if (mkdtemp(fixture->dir) == NULL) {
        free(fixture);
        return NULL;
    }
    snprintf(fixture->file, sizeof(fixture->file), "%s/table", fixture->dir);
    return fixture;
}

static inline int set_up(void **state)
{
    *state = fixture_in("/dev/shm");
    return *state == NULL ? -1 : 0;
}

static inline int set_up_on_disk(void **state)
{
    *state = fixture_in("/tmp");
    return *state == NULL ? -1 : 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    table_close(fixture->table);
    ssize_t length = readlink(fixture->file, fixture->link_target, sizeof(fixture->link_target) - 1);
    if (length > 0) {
        fixture->link_target[length] = '\0';
        unlink(fixture->link_target);
    }
    unlink(fixture->file);
    int result = rmdir(fixture->dir); /* fails when a temporary file was left */
    free(fixture);
    return result;
}

/* Creates the table, or takes it over; whatever was open is closed. */
static inline bool create(struct fixture *fixture, uint32_t capacity)
{
    bool taken_over = false;
    table_close(fixture->table);
    fixture->table = NULL;
    if (table_create(fixture->dir, capacity, &fixture->table, &taken_over, fixture->error) != 0) {
        fail_msg("%s", fixture->error);
    }
    return taken_over;
}

static inline struct row row_called(const char *id)
{
    struct row row = {.state = STATE_LISTENING};
    table_text(row.server_id, sizeof(row.server_id), id);
    return row;
}

#endif
