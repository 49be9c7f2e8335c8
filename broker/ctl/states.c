/* SPDX-License-Identifier: MIT */
/* `states` and `show`, each in two ways. Online, the broker is asked, page by page, so that neither side ever holds more
 * than a page of a table with 100,000 rows (but for --json, which is one object, and for --sort). Offline, the table is mapped
 * read-only and read with the code that the broker has: no process needs to be alive, and none is disturbed.
 *
 * A row whose writer is busy, or died while writing, can't be read; offline that is told, since there nobody may ever
 * mend it. */
#include "broker/ctl/states.h"

#include "broker/ctl/client.h"
#include "broker/ctl/order.h"
#include "broker/ctl/screen.h"
#include "broker/ctl/view.h"
#include "common/clock.h"
#include "common/question.h"
#include "common/row_view.h"

#include <string.h>

/* Where servers go: lines as they come; or all at the end, as lines in order or as one JSON object. */
struct listing {
    json_t *all;      /* with --json or --sort */
    const char *sort; /* NULL: as the table has them */
    bool json;
    unsigned width;
    bool headed;
    bool failed; /* no memory */
};

static void listing_begin(struct listing *listing, const struct options *options)
{
    *listing = (struct listing){
        .width = screen_width(), .sort = options->value[OPTION_SORT], .json = options_has(options, OPTION_JSON)};
    if (listing->json || listing->sort != NULL) {
        listing->all = json_array();
        listing->failed = listing->all == NULL;
    }
}

/* Once it is clear that there is something to list from. */
static void listing_head(struct listing *listing)
{
    if (!listing->json && !listing->headed)
        view_states_head(stdout);
    listing->headed = true;
}

/* `server` is borrowed. */
static void listing_add(struct listing *listing, json_t *server)
{
    if (listing->all == NULL)
        view_state(stdout, server, clock_wall_ms(), listing->width);
    else if (json_array_append(listing->all, server) != 0)
        listing->failed = true;
}

static void listing_sort(struct listing *listing)
{
    json_t *sorted = order_sorted(listing->all, listing->sort);

    json_decref(listing->all);
    listing->all = sorted;
    listing->failed = sorted == NULL;
}

/* What there is is shown only when all of it is there. */
static enum exit_code listing_end(struct listing *listing, enum exit_code code)
{
    json_t *server;
    size_t i;

    if (code == EXIT_CODE_DONE && !listing->failed && listing->sort != NULL)
        listing_sort(listing);
    if (code == EXIT_CODE_DONE && listing->failed) {
        code = client_no_memory();
    } else if (code == EXIT_CODE_DONE && listing->all != NULL && !listing->json) {
        json_array_foreach (listing->all, i, server)
            view_state(stdout, server, clock_wall_ms(), listing->width);
    } else if (code == EXIT_CODE_DONE && listing->all != NULL) {
        json_t *object = json_pack("{s:O}", "servers", listing->all);
        screen_json(object);
        json_decref(object);
    }
    json_decref(listing->all);
    return code;
}

/* --- online --- */

/* NULL without memory, or when a text is no UTF-8: then no server matches, and the broker could not even be asked. */
static json_t *page_arguments(const struct options *options, const struct row_filter *filter, const json_t *after)
{
    json_t *args = json_pack("{s:i}", "limit", QUESTION_PAGE);
    bool ok = args != NULL;

    if (ok && filter->worker >= 0)
        ok = json_object_set_new(args, "worker", json_integer(filter->worker)) == 0;
    if (ok && filter->workspace_id != NULL)
        ok = json_object_set_new(args, "workspaceId", json_string(filter->workspace_id)) == 0;
    if (ok && filter->state >= 0)
        ok = json_object_set_new(args, "state", json_string(options->value[OPTION_STATE])) == 0;
    if (ok && after != NULL)
        ok = json_object_set_new(args, "after", json_deep_copy(after)) == 0;
    if (ok)
        return args;
    json_decref(args);
    return NULL;
}

/* Adds one page; *after becomes where the next one begins, NULL behind the last one. */
static enum exit_code add_page(const struct options *options, const struct row_filter *filter, struct listing *listing,
                               json_t **after)
{
    json_t *args = page_arguments(options, filter, *after);
    json_t *data, *server;
    size_t i;

    if (args == NULL)
        return client_no_memory();
    enum exit_code code = client_ask(options->run_dir, "states", args, CLIENT_TIMEOUT_MS, &data);
    if (code != EXIT_CODE_DONE)
        return code;
    listing_head(listing);
    json_array_foreach (json_object_get(data, "servers"), i, server)
        listing_add(listing, server);
    json_t *next = json_object_get(data, "next");
    json_decref(*after);
    *after = next != NULL && !json_is_null(next) ? json_incref(next) : NULL;
    json_decref(data);
    return EXIT_CODE_DONE;
}

static enum exit_code list_online(const struct options *options, const struct row_filter *filter)
{
    struct listing listing;
    json_t *after = NULL;

    listing_begin(&listing, options);
    enum exit_code code;
    do
        code = add_page(options, filter, &listing, &after);
    while (code == EXIT_CODE_DONE && after != NULL && !ferror(stdout));
    json_decref(after);
    return listing_end(&listing, code);
}

/* --- offline --- */

static enum exit_code open_table(const struct options *options, struct table **table)
{
    char error[TABLE_ERROR_SIZE];
    int result = table_open(options->run_dir, TABLE_READ_ONLY, table, error);

    if (result == 0)
        return EXIT_CODE_DONE;
    fprintf(stderr, "mcp-brokerctl: %s\n", error);
    return result == TABLE_ABSENT ? EXIT_CODE_NO_BROKER : EXIT_CODE_REFUSED;
}

static enum exit_code list_offline(const struct options *options, const struct row_filter *filter)
{
    struct listing listing;
    struct table *table;
    struct row row;
    uint32_t busy = 0;
    enum exit_code code = open_table(options, &table);

    if (code != EXIT_CODE_DONE)
        return code;
    listing_begin(&listing, options);
    listing_head(&listing);
    for (uint32_t number = 0; number < table_capacity(table); number++) {
        if (table_row_read(table, number, &row) == TABLE_BUSY)
            busy++;
        else if (row_filter_matches(filter, table, number)) {
            json_t *server = row_view(table, number, false);
            if (server != NULL)
                listing_add(&listing, server);
            json_decref(server);
        }
    }
    table_close(table);
    code = listing_end(&listing, code);
    if (busy > 0)
        fprintf(stderr, "mcp-brokerctl: %u rows are being written, or were left half-written, and are not shown\n",
                busy);
    return code;
}

static enum exit_code show_offline(const struct options *options, json_t **server)
{
    struct table *table;
    struct row row;
    enum exit_code code = open_table(options, &table);

    if (code != EXIT_CODE_DONE)
        return code;
    *server = NULL;
    for (uint32_t number = 0; *server == NULL && number < table_capacity(table); number++)
        if (table_row_read(table, number, &row) == 0 && row.state != STATE_NONE &&
            strcmp(row.server_id, options->arguments[0]) == 0)
            *server = row_view(table, number, true);
    table_close(table);
    if (*server != NULL)
        return EXIT_CODE_DONE;
    fprintf(stderr, "mcp-brokerctl: the table has no such server, or it is being written\n");
    return EXIT_CODE_NO_SERVER;
}

/* --- the commands --- */

static bool read_filter(const struct options *options, struct row_filter *filter)
{
    *filter = (struct row_filter){.workspace_id = options->value[OPTION_WORKSPACE], .worker = -1, .state = -1};
    if (options_has(options, OPTION_WORKER)) {
        long worker;
        if (!options_number(options->value[OPTION_WORKER], "--worker", 0, 255, &worker))
            return false;
        filter->worker = (int)worker;
    }
    if (options_has(options, OPTION_STATE)) {
        enum state state;
        if (!state_from_name(options->value[OPTION_STATE], &state) || state == STATE_NONE) {
            fprintf(stderr, "mcp-brokerctl: --state must be one of");
            for (unsigned i = STATE_NONE + 1; i < STATE_COUNT; i++)
                fprintf(stderr, " %s", state_name(i));
            fputc('\n', stderr);
            return false;
        }
        filter->state = (int)state;
    }
    return true;
}

static bool check_order(const char *name)
{
    if (name == NULL || order_is_known(name))
        return true;
    fprintf(stderr, "mcp-brokerctl: --sort must be one of");
    order_write_names(stderr);
    fputc('\n', stderr);
    return false;
}

enum exit_code states_list(const struct options *options)
{
    struct row_filter filter;

    if (!read_filter(options, &filter) || !check_order(options->value[OPTION_SORT]))
        return EXIT_CODE_USAGE;
    return options_has(options, OPTION_OFFLINE) ? list_offline(options, &filter) : list_online(options, &filter);
}

enum exit_code states_show(const struct options *options)
{
    enum exit_code code;
    json_t *server;

    if (options_has(options, OPTION_OFFLINE)) {
        code = show_offline(options, &server);
    } else {
        json_t *args = json_pack("{s:s}", "serverId", options->arguments[0]);
        code =
            args != NULL ? client_ask(options->run_dir, "show", args, CLIENT_TIMEOUT_MS, &server) : client_no_memory();
    }
    if (code != EXIT_CODE_DONE)
        return code;
    if (options_has(options, OPTION_JSON))
        screen_json(server);
    else
        view_server(stdout, server, clock_wall_ms());
    json_decref(server);
    return EXIT_CODE_DONE;
}
