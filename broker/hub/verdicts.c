/* SPDX-License-Identifier: MIT */
/* `connect` answers truthfully: not that a request was noted, but what became of it. The worker changes the state in the
 * row and rings; the ring is the usual occasion to look, and a slow timer the other one, for rings that were lost and
 * for deadlines.
 *
 * A server that listens is asked for its list at once, and whoever connects it wants to know how many tools it has: so
 * the answer waits for the list, for a moment.
 *
 * When a server was there before the request, with another definition or in a state that the request is to change, what
 * its row says at first is of the past. Then the row's marks (state, its time, attempts, connects) are kept, and nothing
 * is a verdict while they are as they were. */
#include "broker/hub/verdicts.h"

#include "broker/hub/diag_view.h"
#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>

enum { LOOK_EVERY_MS = 25, LIST_MAX_MS = 2000 };

struct marks {
    uint64_t state_since_ms, connects;
    uint32_t attempts;
    uint8_t state;
};

struct wait {
    struct bus_question *question;
    uint64_t deadline_ms;
    uint32_t row, incarnation;
    bool anew;
    struct marks before;
};

struct verdicts {
    const struct table *table;
    const struct roster *roster;
    void (*on_verdict)(void *user, struct bus_question *question, uint32_t row, enum question_error error);
    void *user;
    uv_timer_t *timer; /* freed by its close callback */
    size_t count;
    struct wait waits[VERDICTS_MAX];
};

static struct marks marks_of(const struct row *row)
{
    return (struct marks){.state_since_ms = row->state_since_ms,
                          .connects = row->connects,
                          .attempts = row->attempts,
                          .state = row->state};
}

static bool are_same(const struct marks *a, const struct marks *b)
{
    return a->state_since_ms == b->state_since_ms && a->connects == b->connects && a->attempts == b->attempts &&
           a->state == b->state;
}

/* Its list is being fetched for the first time since it listens. Some have none. */
static bool is_listing(const struct row *row)
{
    bool is_open = row->state == STATE_LISTENING || row->state == STATE_POLLING;
    return is_open && row->verified_ms < row->state_since_ms && row->last_error[0] == '\0' &&
           clock_wall_ms() < row->state_since_ms + LIST_MAX_MS;
}

/* True with *error when there is something to answer. */
static bool is_over(const struct verdicts *verdicts, const struct wait *wait, enum question_error *error)
{
    struct row row;
    uint32_t incarnation;
    (void)table_row_owner(verdicts->table, wait->row, &incarnation);
    if (incarnation != wait->incarnation || !roster_def(verdicts->roster, wait->row)) {
        *error = QUESTION_NOT_FOUND;
        return true;
    }
    bool is_late = clock_mono_ms() >= wait->deadline_ms;
    if (table_row_read(verdicts->table, wait->row, &row) == 0) {
        struct marks now = marks_of(&row);
        bool is_old = wait->anew && are_same(&wait->before, &now);
        if (!is_old && diag_view_verdict(&row, error))
            return is_late || !is_listing(&row);
    }
    *error = QUESTION_TIMED_OUT;
    return is_late;
}

/* Answers the wait at `index` if it is over; the last one then takes its place. */
static bool settle(struct verdicts *verdicts, size_t index)
{
    const struct wait wait = verdicts->waits[index];
    enum question_error error;
    if (!is_over(verdicts, &wait, &error))
        return false;
    verdicts->waits[index] = verdicts->waits[--verdicts->count];
    verdicts->on_verdict(verdicts->user, wait.question, wait.row, error);
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct verdicts *verdicts = timer->data;
    for (size_t i = verdicts->count; i > 0; i--)
        (void)settle(verdicts, i - 1);
    if (verdicts->count == 0)
        uv_timer_stop(timer);
}

int verdicts_open(uv_loop_t *loop, const struct table *table, const struct roster *roster,
                  void (*on_verdict)(void *user, struct bus_question *question, uint32_t row,
                                     enum question_error error),
                  void *user, struct verdicts **out)
{
    struct verdicts *verdicts = calloc(1, sizeof(*verdicts));
    uv_timer_t *timer = calloc(1, sizeof(*timer));
    if (!verdicts || !timer) {
        free(verdicts);
        free(timer);
        return -ENOMEM;
    }
    verdicts->table = table;
    verdicts->roster = roster;
    verdicts->on_verdict = on_verdict;
    verdicts->user = user;
    verdicts->timer = timer;
    uv_timer_init(loop, timer);
    timer->data = verdicts;
    *out = verdicts;
    return 0;
}

int verdicts_add(struct verdicts *verdicts, struct bus_question *question, uint32_t row, bool anew, uint64_t wait_ms)
{
    struct row now = {0};
    if (verdicts->count == VERDICTS_MAX)
        return 1;
    struct wait *wait = &verdicts->waits[verdicts->count++];
    *wait = (struct wait){.question = question, .deadline_ms = clock_mono_ms() + wait_ms, .row = row, .anew = anew};
    (void)table_row_owner(verdicts->table, row, &wait->incarnation);
    if (table_row_read(verdicts->table, row, &now) == 0)
        wait->before = marks_of(&now);
    if (!settle(verdicts, verdicts->count - 1) && !uv_is_active((uv_handle_t *)verdicts->timer))
        uv_timer_start(verdicts->timer, on_timer, LOOK_EVERY_MS, LOOK_EVERY_MS);
    return 0;
}

void verdicts_look(struct verdicts *verdicts, uint32_t row)
{
    for (size_t i = verdicts->count; i > 0; i--) {
        if (verdicts->waits[i - 1].row == row)
            (void)settle(verdicts, i - 1);
    }
}

void verdicts_end(struct verdicts *verdicts, enum question_error error)
{
    while (verdicts->count > 0) {
        const struct wait wait = verdicts->waits[--verdicts->count];
        verdicts->on_verdict(verdicts->user, wait.question, wait.row, error);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void verdicts_close(struct verdicts *verdicts)
{
    if (!verdicts)
        return;
    for (size_t i = 0; i < verdicts->count; i++)
        bus_question_drop(verdicts->waits[i].question);
    uv_close((uv_handle_t *)verdicts->timer, on_closed);
    free(verdicts);
}
