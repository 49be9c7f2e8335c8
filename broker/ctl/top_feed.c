/* SPDX-License-Identifier: MIT */
/* Questions are put one at a time: the socket can do no more, and an answer that comes late then delays the next question
 * instead of piling up. A question that nobody answers stays where it is. nng repeats it once there is a broker again, and
 * its answer is how `top` learns of that.
 *
 * The table is opened anew each time, since a broker that starts again may have made another one. */
#include "broker/ctl/top_feed.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/pack.h"
#include "common/paths.h"
#include "common/question.h"
#include "common/row_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { WAITING_MAX = 8 };

struct waiting {
    const char *cmd;
    json_t *args;
};

struct top_feed {
    struct bus_req *req;
    void (*on_answer)(void *user, const char *cmd, json_t *data, const char *error);
    void *user;
    size_t count;
    struct waiting waiting[WAITING_MAX]; /* the first one has been asked */
    uint64_t asked_ms;
};

static void ask_first(struct top_feed *feed);

static void drop_first(struct top_feed *feed)
{
    json_decref(feed->waiting[0].args);
    feed->count--;
    for (size_t i = 0; i < feed->count; i++)
        feed->waiting[i] = feed->waiting[i + 1];
}

static void on_bytes(void *user, const void *bytes, size_t size)
{
    struct top_feed *feed = user;
    const char *cmd = feed->waiting[0].cmd;
    json_t *data = NULL, *code = NULL, *message = NULL;
    const void *packed;
    size_t packed_size;
    int result = bytes != NULL ? question_read_answer(bytes, size, &packed, &packed_size, &code, &message) : 2;

    if (result == 0)
        data = pack_read(packed, packed_size);
    drop_first(feed);
    ask_first(feed);
    feed->on_answer(feed->user, cmd, data, result == 1 ? json_string_value(message) : "what answers is no broker");
    json_decref(data);
    json_decref(code);
    json_decref(message);
}

static int ask_now(struct top_feed *feed, const struct waiting *waiting)
{
    struct buf question;

    buf_init(&question, QUESTION_BYTES_MAX);
    int result = question_write(&question, waiting->cmd, waiting->args);
    if (result == 0)
        result = bus_req_ask(feed->req, question.bytes, question.size, on_bytes, feed);
    buf_fini(&question);
    feed->asked_ms = clock_mono_ms();
    return result;
}

/* What can't be asked is dropped: the next refresh asks again. */
static void ask_first(struct top_feed *feed)
{
    while (feed->count > 0 && ask_now(feed, &feed->waiting[0]) != 0)
        drop_first(feed);
}

int top_feed_open(uv_loop_t *loop, const char *run_dir,
                  void (*on_answer)(void *user, const char *cmd, json_t *data, const char *error), void *user,
                  struct top_feed **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct top_feed *feed = calloc(1, sizeof *feed);
    int result = feed != NULL ? paths_join(path, sizeof path, run_dir, PATHS_DIAG) : -ENOMEM;

    if (result == 0)
        result = bus_req_open(loop, path, QUESTION_ANSWER_MAX, &feed->req);
    if (result != 0) {
        free(feed);
        return result;
    }
    feed->on_answer = on_answer;
    feed->user = user;
    *out = feed;
    return 0;
}

void top_feed_ask(struct top_feed *feed, const char *cmd, json_t *args)
{
    if (feed->count == WAITING_MAX) {
        json_decref(args);
        return;
    }
    feed->waiting[feed->count++] = (struct waiting){.cmd = cmd, .args = args};
    if (feed->count == 1)
        ask_first(feed);
}

uint64_t top_feed_waits_since(const struct top_feed *feed)
{
    return feed->count > 0 ? feed->asked_ms : 0;
}

void top_feed_close(struct top_feed *feed)
{
    if (feed == NULL)
        return;
    bus_req_close(feed->req);
    while (feed->count > 0)
        drop_first(feed);
    free(feed);
}

/* --- the table --- */

/* As `status` has it, as far as the table knows. */
static json_t *count_states(const struct table *table)
{
    uint64_t total, unpublished;
    json_t *states = states_view(table, &total, &unpublished);

    return json_pack("{s:o, s:I, s:I}", "servers", states, "total", (json_int_t)total, "unpublished",
                     (json_int_t)unpublished);
}

static json_t *list_workers(const struct table *table)
{
    json_t *workers = json_array();
    json_t *hub = slot_view(table, TABLE_HUB);

    for (int slot = 0; slot < table_slot_count(table); slot++) {
        struct slot value;
        table_slot_read(table, slot, &value);
        if (value.pid != 0)
            (void)!json_array_append_new(workers, slot_view(table, slot));
    }
    return json_pack("{s:o, s:o}", "hub", hub != NULL ? hub : json_null(), "workers", workers);
}

static json_t *list_servers(const struct table *table, const struct row_pick_options *wanted, json_t **opened,
                            const char *id)
{
    struct row_pick *pick;
    json_t *servers = json_array();
    uint32_t count = 0, matching = 0;

    if (row_pick_begin(wanted, &pick) == 0) {
        (void)!row_pick_step(pick, table, table_capacity(table)); /* without memory: some of them */
        const struct row_rank *rows = row_pick_rows(pick, &count);
        for (uint32_t i = 0; i < count; i++) {
            (void)!json_array_append_new(servers, row_view(table, rows[i].row, false));
            if (id != NULL && strcmp(rows[i].server_id, id) == 0)
                *opened = row_view(table, rows[i].row, true);
        }
        matching = row_pick_matching(pick);
        row_pick_end(pick);
    }
    return json_pack("{s:o, s:I}", "servers", servers, "matching", (json_int_t)matching);
}

int top_feed_read_table(const char *run_dir, struct top_model *model)
{
    char error[TABLE_ERROR_SIZE];
    const struct row_pick_options wanted = top_model_wanted(model);
    struct table *table;
    json_t *opened = NULL;

    if (table_open(run_dir, TABLE_READ_ONLY, &table, error) != 0)
        return 1;
    json_t *status = count_states(table);
    json_t *workers = list_workers(table);
    json_t *servers = list_servers(table, &wanted, &opened, top_model_is_open(model) ? model->id : NULL);
    table_close(table);
    bool is_whole = status != NULL && workers != NULL && servers != NULL;
    if (is_whole) {
        top_model_status(model, status);
        top_model_workers(model, workers, clock_mono_ms());
        top_model_servers(model, servers);
    }
    if (opened != NULL)
        top_model_server(model, opened);
    json_decref(status);
    json_decref(workers);
    json_decref(servers);
    json_decref(opened);
    return is_whole ? 0 : -ENOMEM;
}
