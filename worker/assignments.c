/* SPDX-License-Identifier: MIT */
/* One question is always under way: the hub holds it until there is something to tell. An answer is applied whole before
 * the next question goes out, which therefore acknowledges it. What can't be understood is asked for again after a
 * pause; what can't be understood of one server does not keep the others from being told.
 *
 * A full answer (the first one, and the first of each hub) replaces everything: connections whose row, incarnation and
 * definition are in it stay as they are. Only a put that is not part of one means that somebody asked for the server. */
#include "worker/assignments.h"

#include "common/assignment.h"
#include "common/buf.h"
#include "common/bus.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 108, QUESTION_BYTES_MAX = 4096, PAUSE_MS = 1000 };

struct assignments {
    struct conns *conns;
    struct bus_req *bus;
    struct assignment_question question;
    bool in_full; /* between the first page of a full answer and its last */
    uv_timer_t pause;
};

static void ask(struct assignments *assignments);

static void on_pause_over(uv_timer_t *timer)
{
    ask(timer->data);
}

static void ask_later(struct assignments *assignments)
{
    uv_timer_start(&assignments->pause, on_pause_over, PAUSE_MS, 0);
}

/* What the definitions of a new epoch mean is unknown: begin with nothing. */
static void start_over(struct assignments *assignments)
{
    assignments->question.epoch = 0;
    assignments->question.since = 0;
    assignments->in_full = false;
}

static void apply_puts(struct assignments *assignments, const json_t *puts)
{
    size_t i;
    json_t *entry;
    json_array_foreach (puts, i, entry) {
        struct assignment_put put;
        if (assignment_put_read(entry, &put) == 0)
            conns_put(assignments->conns, put.row, put.incarnation, put.def, !assignments->in_full);
        else
            log_error("assignments.bad_put", LOG_TEXT("server", json_string_value(json_object_get(entry, "serverId"))));
    }
}

/* [row, incarnation, …] at the head of `entry`. */
static bool read_place(const json_t *entry, uint32_t *row, uint32_t *incarnation)
{
    const json_t *first = json_array_get(entry, 0), *second = json_array_get(entry, 1);
    json_int_t a = json_integer_value(first), b = json_integer_value(second);
    if (!json_is_integer(first) || !json_is_integer(second) || a < 0 || a > UINT32_MAX || b < 0 || b > UINT32_MAX)
        return false;
    *row = (uint32_t)a;
    *incarnation = (uint32_t)b;
    return true;
}

static void apply_drops(struct assignments *assignments, const json_t *drops)
{
    size_t i;
    json_t *entry;
    uint32_t row, incarnation;
    json_array_foreach (drops, i, entry) {
        if (read_place(entry, &row, &incarnation))
            conns_drop(assignments->conns, row, incarnation);
    }
}

static void apply_commands(struct assignments *assignments, const json_t *commands)
{
    size_t i;
    json_t *entry;
    uint32_t row, incarnation;
    json_array_foreach (commands, i, entry) {
        const char *name = json_string_value(json_array_get(entry, 2));
        if (!name || !read_place(entry, &row, &incarnation))
            continue;
        if (strcmp(name, "reconnect") == 0)
            conns_reconnect(assignments->conns, row, incarnation);
        else if (strcmp(name, "touch") == 0)
            conns_touch(assignments->conns, row, incarnation);
    }
}

/* 0, or 1 when it is no answer, or none to the question. */
static int apply(struct assignments *assignments, const json_t *answer)
{
    const json_t *epoch = json_object_get(answer, "epoch"), *upto = json_object_get(answer, "upto");
    if (!json_is_integer(epoch) || !json_is_integer(upto) || json_integer_value(epoch) < 0 ||
        json_integer_value(upto) < 0)
        return 1;
    bool full = json_is_true(json_object_get(answer, "full"));
    bool more = json_is_true(json_object_get(answer, "more"));
    if (!full && (uint64_t)json_integer_value(epoch) != assignments->question.epoch)
        return 1;
    if (full) {
        assignments->in_full = true;
        conns_begin_full(assignments->conns);
    }
    apply_drops(assignments, json_object_get(answer, "drop"));
    apply_puts(assignments, json_object_get(answer, "put"));
    apply_commands(assignments, json_object_get(answer, "command"));
    if (assignments->in_full && !more) {
        assignments->in_full = false;
        conns_end_full(assignments->conns);
    }
    assignments->question.epoch = (uint64_t)json_integer_value(epoch);
    assignments->question.since = (uint64_t)json_integer_value(upto);
    return 0;
}

static void on_answer(void *user, const void *bytes, size_t size)
{
    struct assignments *assignments = user;
    json_t *answer = bytes ? pack_read(bytes, size) : NULL;
    int result = answer ? apply(assignments, answer) : 1;
    json_decref(answer);
    if (result == 0) {
        ask(assignments);
        return;
    }
    log_warn("assignments.no_answer", LOG_U64("bytes", size));
    start_over(assignments);
    ask_later(assignments);
}

static void ask(struct assignments *assignments)
{
    struct buf message;
    buf_init(&message, QUESTION_BYTES_MAX);
    json_t *question = assignment_question_write(&assignments->question);
    int result = question ? pack_write(&message, question) : -ENOMEM;
    if (result == 0)
        result = bus_req_ask(assignments->bus, message.bytes, message.size, on_answer, assignments);
    json_decref(question);
    buf_fini(&message);
    if (result) {
        log_warn("assignments.not_asked", LOG_I64("result", result));
        ask_later(assignments);
    }
}

int assignments_open(uv_loop_t *loop, const char *run_dir, int slot, uint64_t start_count, struct conns *conns,
                     struct assignments **out)
{
    char path[PATH_SIZE];
    int result = paths_join(path, sizeof(path), run_dir, PATHS_ASSIGNMENTS);
    if (result)
        return result;
    struct assignments *assignments = calloc(1, sizeof(*assignments));
    if (!assignments)
        return -ENOMEM;
    assignments->conns = conns;
    assignments->question = (struct assignment_question){.slot = slot, .start_count = start_count};
    result = bus_req_open(loop, path, ASSIGNMENT_BYTES_MAX, &assignments->bus);
    if (result) {
        free(assignments);
        return result;
    }
    uv_timer_init(loop, &assignments->pause);
    assignments->pause.data = assignments;
    *out = assignments;
    ask(assignments);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void assignments_close(struct assignments *assignments)
{
    if (!assignments)
        return;
    bus_req_close(assignments->bus);
    uv_close((uv_handle_t *)&assignments->pause, on_closed);
}
