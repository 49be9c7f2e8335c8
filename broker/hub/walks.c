/* SPDX-License-Identifier: MIT */
/* A table may have 100,000 rows, and to look at all of them takes tens of milliseconds, for which changes would have to
 * wait. So a walk is cut into parts of some thousand rows, one a turn of the loop: whatever came meanwhile has its turn
 * in between. Walks are done one after the other; more than a few at once are refused, since each holds its question's
 * context.
 *
 * An idle handle keeps the loop turning while there are walks, and only then. */
#include "broker/hub/walks.h"

#include <errno.h>
#include <stdlib.h>

enum { ROWS_A_TURN = 2048 };

struct walk {
    struct bus_question *question;
    struct row_pick_options wanted;
    struct row_pick *pick;
    json_t *args;
};

struct walks {
    const struct table *table;
    void (*on_end)(void *user, struct bus_question *question, const struct row_pick_options *wanted,
                   struct row_pick *pick);
    void *user;
    uv_idle_t *idle; /* freed by its close callback */
    size_t count;
    struct walk walks[WALKS_MAX]; /* the first one is under way */
};

static void end_first(struct walks *walks, int result)
{
    struct walk walk = walks->walks[0];
    walks->count--;
    for (size_t i = 0; i < walks->count; i++)
        walks->walks[i] = walks->walks[i + 1];
    if (walks->count == 0)
        uv_idle_stop(walks->idle);
    walks->on_end(walks->user, walk.question, &walk.wanted, result == 0 ? walk.pick : NULL);
    row_pick_end(walk.pick);
    json_decref(walk.args);
}

static void on_turn(uv_idle_t *idle)
{
    struct walks *walks = idle->data;
    int result = row_pick_step(walks->walks[0].pick, walks->table, ROWS_A_TURN);
    if (result <= 0)
        end_first(walks, result);
}

int walks_open(uv_loop_t *loop, const struct table *table,
               void (*on_end)(void *user, struct bus_question *question, const struct row_pick_options *wanted,
                              struct row_pick *pick),
               void *user, struct walks **out)
{
    struct walks *walks = calloc(1, sizeof(*walks));
    uv_idle_t *idle = calloc(1, sizeof(*idle));
    if (!walks || !idle) {
        free(walks);
        free(idle);
        return -ENOMEM;
    }
    walks->table = table;
    walks->on_end = on_end;
    walks->user = user;
    walks->idle = idle;
    uv_idle_init(loop, idle);
    idle->data = walks;
    *out = walks;
    return 0;
}

int walks_add(struct walks *walks, struct bus_question *question, const struct row_pick_options *wanted, json_t *args)
{
    struct row_pick *pick;
    if (walks->count == WALKS_MAX)
        return 1;
    int result = row_pick_begin(wanted, &pick);
    if (result != 0)
        return result;
    walks->walks[walks->count++] =
        (struct walk){.question = question, .wanted = *wanted, .pick = pick, .args = json_incref(args)};
    uv_idle_start(walks->idle, on_turn);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void walks_close(struct walks *walks)
{
    if (!walks)
        return;
    for (size_t i = 0; i < walks->count; i++) {
        bus_question_drop(walks->walks[i].question);
        row_pick_end(walks->walks[i].pick);
        json_decref(walks->walks[i].args);
    }
    uv_close((uv_handle_t *)walks->idle, on_closed);
    free(walks);
}
