/* SPDX-License-Identifier: MIT */
/* The socket of the assignments. A worker asks and the hub answers: when nothing is to be told the question is held,
 * one for each slot, until the end of a turn of the loop in which something has changed for it. So all changes of a turn
 * go in one answer, and a worker that is away misses nothing: its next question says where it stands.
 *
 * Definitions carry credentials. The socket's file is the broker's user's alone, the asker's uid is checked besides,
 * and a definition goes to the slot that has the server and to no other.
 */
#include "broker/hub/assignments.h"

#include "common/assignment.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { MODE = 0600, QUESTION_MAX = 4096, HELD_MAX = 512 };

struct asker {
    struct bus_question *held; /* NULL: it is not waiting */
    uint64_t since;
    uint64_t told; /* the last revision that an answer to it had */
};

struct assignments {
    struct assignments_options options;
    uint64_t epoch;
    struct bus_rep *rep;
    uv_prepare_t *turn_end; /* freed by its close callback */
    int slot_count;
    struct asker askers[];
};

static bool add_put(const struct assignments *assignments, json_t *message, const struct assign_change *change)
{
    const struct server_def *def = roster_def(assignments->options.roster, change->row);
    return def && json_array_append_new(json_object_get(message, "put"),
                                        assignment_put_write(change->row, change->incarnation, def)) == 0;
}

static bool add_change(const struct assignments *assignments, json_t *message, const struct assign_change *change)
{
    json_int_t row = change->row, incarnation = change->incarnation;
    switch (change->type) {
    case ASSIGN_PUT:
        return add_put(assignments, message, change);
    case ASSIGN_DROP:
        return json_array_append_new(json_object_get(message, "drop"), json_pack("[I, I]", row, incarnation)) == 0;
    case ASSIGN_RECONNECT:
    case ASSIGN_TOUCH:
        break;
    }
    const char *word = change->type == ASSIGN_RECONNECT ? "reconnect" : "touch";
    return json_array_append_new(json_object_get(message, "command"), json_pack("[I, I, s]", row, incarnation, word)) ==
           0;
}

/* A page of at most `limit` changes as a message into `out`. 0 or an enum buf_outcome. */
static int write_page(const struct assignments *assignments, int slot, bool full, size_t limit, struct buf *out,
                      uint64_t *upto)
{
    struct assign_change changes[ASSIGNMENT_PAGE];
    bool more;
    const struct asker *asker = &assignments->askers[slot];
    size_t count = assign_changes(assignments->options.assign, slot, asker->since, changes, limit, upto, &more);
    json_t *message = json_pack("{s:I, s:I, s:b, s:b, s:[], s:[], s:[]}", "epoch", (json_int_t)assignments->epoch,
                                "upto", (json_int_t)*upto, "full", full, "more", more, "put", "drop", "command");
    int result = message ? 0 : BUF_NO_MEMORY;
    for (size_t i = 0; result == 0 && i < count; i++)
        result = add_change(assignments, message, &changes[i]) ? 0 : BUF_NO_MEMORY;
    if (result == 0)
        result = pack_write(out, message);
    json_decref(message);
    return result;
}

static void answer(struct assignments *assignments, int slot, bool full)
{
    struct asker *asker = &assignments->askers[slot];
    struct buf message;
    uint64_t upto = 0;
    int result;
    size_t limit = ASSIGNMENT_PAGE;
    buf_init(&message, ASSIGNMENT_BYTES_MAX);
    do { /* a page of the largest definitions there can be may pass the bound of a message */
        buf_clear(&message);
        result = write_page(assignments, slot, full, limit, &message, &upto);
        limit /= 2;
    } while (result == BUF_FULL && limit > 0);
    if (result == 0) {
        asker->told = upto;
        bus_question_answer(asker->held, message.bytes, message.size);
    } else { /* the worker asks again */
        log_error("assignments.answer", LOG_I64("slot", slot), LOG_TEXT("error", "no memory"));
        bus_question_drop(asker->held);
    }
    asker->held = NULL;
    buf_fini(&message);
}

static bool read_question(struct bus_question *question, const void *bytes, size_t size,
                          struct assignment_question *out)
{
    struct bus_peer peer;
    if (bus_question_peer(question, &peer) != 0 || peer.uid != geteuid())
        return false;
    json_t *message = pack_read(bytes, size);
    bool good = message && assignment_question_read(message, out) == 0;
    json_decref(message);
    return good;
}

static void on_question(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    struct assignments *assignments = user;
    struct assignment_question asked;
    if (!read_question(question, bytes, size, &asked) || asked.slot < 0 || asked.slot >= assignments->slot_count) {
        log_warn("assignments.malformed", LOG_U64("bytes", size));
        bus_question_drop(question);
        return;
    }
    struct asker *asker = &assignments->askers[asked.slot];
    bool anew = asked.since == 0 || asked.epoch != assignments->epoch || asked.since > asker->told;
    uint64_t since = anew ? 0 : asked.since;
    if (assign_acknowledge(assignments->options.assign, asked.slot, asked.start_count, since) != 0) {
        bus_question_drop(question);
        return;
    }
    if (asker->held) /* of a predecessor, or repeated */
        bus_question_drop(asker->held);
    asker->held = question;
    asker->since = since;
    if (anew)
        answer(assignments, asked.slot, true);
}

/* What has changed in this turn is told now, before the loop waits. */
static void on_turn_end(uv_prepare_t *handle)
{
    struct assignments *assignments = handle->data;
    for (int slot = 0; slot < assignments->slot_count; slot++) {
        const struct asker *asker = &assignments->askers[slot];
        if (asker->held && assign_has_changes(assignments->options.assign, slot, asker->since))
            answer(assignments, slot, false);
    }
}

int assignments_open(uv_loop_t *loop, const struct assignments_options *options, struct assignments **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    int slots = table_slot_count(options->table);
    struct assignments *assignments = calloc(1, sizeof(*assignments) + (size_t)slots * sizeof(struct asker));
    uv_prepare_t *turn_end = calloc(1, sizeof(*turn_end));
    int result =
        assignments && turn_end ? paths_join(path, sizeof(path), options->run_dir, PATHS_ASSIGNMENTS) : -ENOMEM;
    if (result != 0)
        goto fail;
    assignments->options = *options;
    assignments->epoch = clock_wall_us();
    assignments->slot_count = slots;
    const struct bus_rep_options rep = {.path = path, .mode = MODE, .max = QUESTION_MAX, .held_max = HELD_MAX};
    result = bus_rep_open(loop, &rep, on_question, assignments, &assignments->rep);
    if (result != 0)
        goto fail;
    assignments->turn_end = turn_end;
    turn_end->data = assignments;
    uv_prepare_init(loop, turn_end);
    uv_prepare_start(turn_end, on_turn_end);
    *out = assignments;
    return 0;

fail:
    log_error("assignments.open", LOG_TEXT("socket", PATHS_ASSIGNMENTS), LOG_TEXT("error", strerror(-result)));
    free(turn_end);
    free(assignments);
    return result;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void assignments_close(struct assignments *assignments)
{
    if (!assignments)
        return;
    for (int slot = 0; slot < assignments->slot_count; slot++) {
        if (assignments->askers[slot].held)
            bus_question_drop(assignments->askers[slot].held);
    }
    bus_rep_close(assignments->rep);
    uv_close((uv_handle_t *)assignments->turn_end, on_closed);
    free(assignments);
}
