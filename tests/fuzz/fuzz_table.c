/* SPDX-License-Identifier: MIT */
/* Fuzz target of the shared-memory table: a file as a process that went mad, or somebody else, may have left it. The
 * input is a number of rows and then patches, each a place and some bytes, on an empty table; the patched file is opened
 * as the command line does, which shows what it finds, and as the hub does, which takes it over, with a server of each
 * id that may stand in it. Whatever the bytes are, a terminal gets no control character, and what the hub has made of
 * the rows can be read. */
#include "broker/ctl/view.h"
#include "broker/hub/levels.h"
#include "broker/hub/metrics.h"
#include "broker/hub/watchlist.h"
#include "common/log.h"
#include "common/row_view.h"
#include "common/table_layout.h"
#include "run_dir.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY_MAX = 3, NOW_MS = 1700000000, WIDTH = 120, PATCH_BYTES_MAX = 255 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct registry *registry;
static struct metrics_rows counted;
static uv_loop_t loop;
static char path[64];

/* --- the file --- */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct input *input, size_t count)
{
    uint32_t value = 0;
    for (; count > 0 && input->left > 0; count--, input->at++, input->left--)
        value = value << 8 | *input->at;
    return value;
}

/* Where a patch goes: into a header, a slot or a row more often than between them. */
static uint64_t take_place(struct input *input, const struct layout_header *header)
{
    uint32_t where = take(input, 1), offset = take(input, 2);
    switch (where % 8) {
    case 0:
        return offset % sizeof(*header);
    case 1:
        return header->hub_offset + offset % sizeof(struct layout_slot);
    case 2:
        return header->slots_offset + where / 8 * sizeof(struct layout_slot) + offset % sizeof(struct layout_slot);
    case 3:
        return header->dirty_offset + offset % (header->rows_offset - header->dirty_offset);
    default:
        return header->rows_offset + offset % (header->capacity * sizeof(struct layout_row));
    }
}

/* Rows have their memory, or they would not be looked at. */
static void mark_rows(int fd, const struct layout_header *header, uint64_t mark)
{
    for (uint32_t row = 0; row < header->capacity; row++) {
        uint64_t word = (uint64_t)row * LAYOUT_PUBLISHED_WORDS + LAYOUT_MARK;
        if (pwrite(fd, &mark, sizeof(mark), (off_t)(header->published_offset + word * sizeof(word))) < 0)
            abort();
    }
}

static void make_file(struct input *input)
{
    struct layout_header header;
    uint32_t kind = take(input, 1);
    table_layout_init(&header, kind % CAPACITY_MAX + 1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)header.total_size) != 0 || pwrite(fd, &header, sizeof(header), 0) < 0)
        abort();
    mark_rows(fd, &header, kind < 128 ? LAYOUT_LISTED : LAYOUT_UNLISTED);
    while (input->left > 0) {
        uint64_t place = take_place(input, &header);
        size_t wanted = take(input, 1);
        size_t size = wanted < input->left ? wanted : input->left;
        if (pwrite(fd, input->at, size, (off_t)place) < 0)
            abort();
        input->at += size;
        input->left -= size;
    }
    close(fd);
}

/* --- as the command line --- */

static void check_shown(json_t *server)
{
    char *shown = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&shown, &size);
    if (out == NULL)
        abort();
    view_state(out, server, NOW_MS, WIDTH);
    view_server(out, server, NOW_MS);
    if (fclose(out) != 0)
        abort();
    for (size_t i = 0; i < size; i++)
        if (((unsigned char)shown[i] < ' ' && shown[i] != '\n') || shown[i] == 0x7f)
            abort();
    free(shown);
}

static void look(const struct table *table)
{
    for (uint32_t row = 0; row < table_capacity(table); row++) {
        json_t *server = row_view(table, row, true);
        if (server != NULL)
            check_shown(server);
        json_decref(server);
    }
    for (int slot = TABLE_HUB; slot < table_slot_count(table); slot++)
        json_decref(slot_view(table, slot));
}

/* --- as the hub --- */

static void on_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id;
    fprintf(stderr, "%s: %s\n", key, message);
}

static void write_metrics(const struct table *table, const struct roster *roster)
{
    const struct metrics_facts facts = {.redis_state = "off"};
    struct buf text;
    buf_init(&text, METRICS_BYTES_MAX);
    metrics_count_rows(table, roster, NOW_MS, &counted);
    if (metrics_write(&text, table, &counted, &facts, NOW_MS) != 0)
        abort();
    buf_fini(&text);
}

/* Servers "a", "b" and "c", of which rows may tell. */
static void watch_some(struct watchlist *watchlist)
{
    struct server_def *defs[3];
    struct servers_file file = {.servers = defs, .count = 3};
    for (size_t i = 0; i < file.count; i++) {
        const char id[] = {(char)('a' + i), '\0'};
        json_t *object = json_pack("{s:s}", "url", "http://127.0.0.1:1/mcp");
        defs[i] = server_def_from_json(id, object, SOURCE_FILE, on_problem, NULL);
        json_decref(object);
    }
    watchlist_apply_file(watchlist, &file);
    for (size_t i = 0; i < file.count; i++)
        server_def_destroy(defs[i]);
}

static void check_rows(const struct table *table, const struct roster *roster)
{
    struct row value;
    for (uint32_t row = 0; row < roster_end(roster); row++) {
        uint32_t incarnation;
        const struct server_def *def = roster_def(roster, row);
        if (def == NULL || table_row_owner(table, row, &incarnation) != TABLE_NO_OWNER)
            continue;
        if (table_row_read(table, row, &value) != 0 || strcmp(value.server_id, def->id) != 0 ||
            value.state != STATE_QUEUED)
            abort();
    }
}

static void take_over(struct table *table)
{
    struct roster *roster;
    struct history history;
    struct watchlist *watchlist;
    struct levels *levels;
    if (roster_create(table_capacity(table), &roster) != 0 || history_open(registry, table, &history) != 0 ||
        watchlist_create(table, roster, registry, &history, &watchlist) != 0 ||
        levels_open(&loop, table, roster, registry, &levels) != 0)
        abort();
    if (watchlist_load(watchlist) != 0)
        abort();
    watch_some(watchlist);
    watchlist_loaded(watchlist);
    assign_check_gone(watchlist_assign(watchlist));
    check_rows(table, roster);
    write_metrics(table, roster);
    if (levels_flush(levels) < 0)
        abort();
    levels_close(levels);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchlist_destroy(watchlist);
    roster_destroy(roster);
}

/* --- the target --- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    char error[REGISTRY_ERROR_SIZE];
    log_open("fuzz", LOG_LEVEL_AUDIT, LOG_FORMAT_TEXT);
    run_dir_make();
    snprintf(path, sizeof(path), "%s/table", run_dir);
    if (uv_loop_init(&loop) != 0 || registry_open(run_dir, &registry, error) != 0)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {.at = bytes, .left = size};
    struct table *table;
    char error[TABLE_ERROR_SIZE];

    make_file(&input);
    if (table_open(run_dir, TABLE_READ_ONLY, &table, error) != 0)
        return 0;
    look(table);
    table_close(table);
    if (table_open(run_dir, TABLE_READ_WRITE, &table, error) != 0)
        abort();
    take_over(table);
    table_close(table);
    return 0;
}
