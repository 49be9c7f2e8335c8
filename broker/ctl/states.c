/* SPDX-License-Identifier: MIT */
/* `states` and `show` read the table, which is mapped read-only: nobody is disturbed, however many servers there are, and
 * what is shown is what the workers wrote. The broker is asked only whether it is there, so that what a dead one has left
 * behind is not taken for the truth of the moment; --offline leaves that out, and no process needs to be alive.
 *
 * Rows are chosen and sorted by what they hold; JSON is made of one at a time, when it is shown. A row whose writer is
 * busy, or died while writing, can't be read: that is told. */
#include "broker/ctl/states.h"

#include "broker/ctl/client.h"
#include "broker/ctl/screen.h"
#include "broker/ctl/view.h"
#include "common/clock.h"
#include "common/row_pick.h"
#include "common/row_view.h"

#include <string.h>

enum { OUTPUT_BYTES = 65536, WORKER_MAX = 255 };

static enum exit_code open_table(const struct options *options, struct table **table)
{
    char error[TABLE_ERROR_SIZE];

    if (!options_has(options, OPTION_OFFLINE)) {
        json_t *data;
        enum exit_code code = client_ask(options->run_dir, "ping", NULL, CLIENT_TIMEOUT_MS, &data);
        if (code != EXIT_CODE_DONE)
            return code;
        json_decref(data);
    }
    int result = table_open(options->run_dir, TABLE_READ_ONLY, table, error);
    if (result == 0)
        return EXIT_CODE_DONE;
    fprintf(stderr, "mcp-brokerctl: %s\n", error);
    return result == TABLE_ABSENT ? EXIT_CODE_NO_BROKER : EXIT_CODE_REFUSED;
}

/* --- states --- */

static void print_lines(const struct table *table, const struct row_rank *rows, uint32_t count)
{
    uint64_t now_ms = clock_wall_ms();
    unsigned width = screen_width();

    view_states_head(stdout, width);
    for (uint32_t i = 0; i < count && !ferror(stdout); i++) {
        json_t *server = row_view(table, rows[i].row, false);
        if (server != NULL)
            view_state(stdout, server, now_ms, width);
        json_decref(server);
    }
}

/* One object, a server a line: it is never in memory whole. */
static void print_json(const struct table *table, const struct row_rank *rows, uint32_t count)
{
    const char *between = "\n";

    fputs("{\"servers\": [", stdout);
    for (uint32_t i = 0; i < count && !ferror(stdout); i++) {
        json_t *server = row_view(table, rows[i].row, false);
        if (server != NULL) {
            fputs(between, stdout);
            (void)json_dumpf(server, stdout, JSON_COMPACT); /* fails as stdout does */
            between = ",\n";
        }
        json_decref(server);
    }
    fputs("\n]}\n", stdout);
}

static enum exit_code list(const struct options *options, const struct table *table,
                           const struct row_pick_options *wanted)
{
    struct row_pick *pick;
    uint32_t count;

    if (row_pick_begin(wanted, &pick) != 0)
        return client_no_memory();
    int result = row_pick_step(pick, table, table_capacity(table));
    if (result == 0) {
        const struct row_rank *rows = row_pick_rows(pick, &count);
        if (options_has(options, OPTION_JSON))
            print_json(table, rows, count);
        else
            print_lines(table, rows, count);
        if (row_pick_busy(pick) > 0)
            fprintf(stderr, "mcp-brokerctl: %u rows are being written, or were left half-written, and are not shown\n",
                    row_pick_busy(pick));
    }
    row_pick_end(pick);
    return result == 0 ? EXIT_CODE_DONE : client_no_memory();
}

static bool read_state(const char *name, struct row_filter *filter)
{
    enum state state;

    if (state_from_name(name, &state) && state != STATE_NONE) {
        filter->state = (int)state;
        return true;
    }
    fprintf(stderr, "mcp-brokerctl: --state must be one of");
    for (unsigned i = STATE_NONE + 1; i < STATE_COUNT; i++)
        fprintf(stderr, " %s", state_name(i));
    fputc('\n', stderr);
    return false;
}

static bool read_order(const char *name, enum row_order *order)
{
    if (row_order_from_name(name, order))
        return true;
    fprintf(stderr, "mcp-brokerctl: --sort must be one of");
    for (unsigned i = ROW_ORDER_TABLE + 1; i < ROW_ORDER_COUNT; i++)
        fprintf(stderr, " %s", row_order_name(i));
    fputc('\n', stderr);
    return false;
}

static bool read_wanted(const struct options *options, struct row_pick_options *wanted)
{
    long worker;

    *wanted = (struct row_pick_options){
        .filter = {.workspace_id = options->value[OPTION_WORKSPACE], .worker = -1, .state = -1},
        .limit = TABLE_CAPACITY_MAX};
    if (options_has(options, OPTION_WORKER)) {
        if (!options_number(options->value[OPTION_WORKER], "--worker", 0, WORKER_MAX, &worker))
            return false;
        wanted->filter.worker = (int)worker;
    }
    if (options_has(options, OPTION_STATE) && !read_state(options->value[OPTION_STATE], &wanted->filter))
        return false;
    return !options_has(options, OPTION_SORT) || read_order(options->value[OPTION_SORT], &wanted->order);
}

enum exit_code states_list(const struct options *options)
{
    struct row_pick_options wanted;
    struct table *table;

    if (!read_wanted(options, &wanted))
        return EXIT_CODE_USAGE;
    enum exit_code code = open_table(options, &table);
    if (code != EXIT_CODE_DONE)
        return code;
    (void)setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES); /* also on a terminal: there may be many lines */
    code = list(options, table, &wanted);
    table_close(table);
    return code;
}

/* --- show --- */

/* In detail, a new reference; or NULL. */
static json_t *find(const struct table *table, const char *id)
{
    struct row row;

    for (uint32_t number = 0; number < table_capacity(table); number++)
        if (table_row_is_listed(table, number) && table_row_read(table, number, &row) == 0 &&
            strcmp(row.server_id, id) == 0)
            return row_view(table, number, true);
    return NULL;
}

enum exit_code states_show(const struct options *options)
{
    struct table *table;
    enum exit_code code = open_table(options, &table);

    if (code != EXIT_CODE_DONE)
        return code;
    json_t *server = find(table, options->arguments[0]);
    if (server == NULL) {
        fprintf(stderr, "mcp-brokerctl: no such server, or its row was left half-written (not_found)\n");
        code = EXIT_CODE_NO_SERVER;
    } else if (options_has(options, OPTION_JSON)) {
        screen_json(server);
    } else {
        view_server(stdout, server, clock_wall_ms());
    }
    json_decref(server);
    table_close(table);
    return code;
}
