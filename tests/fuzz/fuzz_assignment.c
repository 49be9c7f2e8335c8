/* SPDX-License-Identifier: MIT */
/* Fuzz target of both ends of an assignment: the input as a worker's question, read as the hub does; and as the hub's
 * answer, which the worker applies. The bus and the connections are fakes: what reaches a connection is checked, and
 * whatever the answer was, one question or one pause follows. */
#include "worker/assignments.h"

#include "common/assignment.h"
#include "common/bus.h"
#include "common/log.h"
#include "frame.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* --- fakes --- */

struct bus_req {
    void (*on_answer)(void *user, const void *bytes, size_t size);
    void *user;
};

static struct bus_req bus;
static int full_depth;

int bus_req_open(uv_loop_t *loop, const char *path, size_t max, struct bus_req **out)
{
    (void)loop, (void)path, (void)max;
    *out = &bus;
    return 0;
}

int bus_req_ask(struct bus_req *req, const void *bytes, size_t size,
                void (*on_answer)(void *user, const void *bytes, size_t size), void *user)
{
    struct assignment_question question;
    json_t *message = pack_read(bytes, size);
    if (message == NULL || assignment_question_read(message, &question) != 0)
        abort();
    json_decref(message);
    *req = (struct bus_req){.on_answer = on_answer, .user = user};
    return 0;
}

void bus_req_close(struct bus_req *req)
{
    *req = (struct bus_req){.on_answer = NULL};
}

void conns_put(struct conns *conns, uint32_t row, uint32_t incarnation, struct server_def *def, bool wanted)
{
    (void)conns, (void)row, (void)incarnation;
    if (def == NULL || wanted == (full_depth > 0))
        abort();
    server_def_destroy(def);
}

void conns_drop(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    (void)conns, (void)row, (void)incarnation;
}

void conns_touch(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    (void)conns, (void)row, (void)incarnation;
}

void conns_reconnect(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    (void)conns, (void)row, (void)incarnation;
}

void conns_begin_full(struct conns *conns)
{
    (void)conns;
    full_depth = 1;
}

void conns_end_full(struct conns *conns)
{
    (void)conns;
    if (full_depth != 1)
        abort();
    full_depth = 0;
}

/* --- the target --- */

static void read_question(const struct buf *message)
{
    struct assignment_question question, again;
    json_t *value = pack_read(message->bytes, message->size);
    if (value != NULL && assignment_question_read(value, &question) == 0) {
        json_t *written = assignment_question_write(&question);
        if (assignment_question_read(written, &again) != 0 || again.slot != question.slot ||
            again.start_count != question.start_count || again.epoch != question.epoch || again.since != question.since)
            abort();
        json_decref(written);
    }
    json_decref(value);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    log_set_level(LOG_LEVEL_AUDIT);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct buf message;
    struct assignments *assignments;
    uv_loop_t loop;

    frame_init(&message, bytes, size);
    read_question(&message);
    full_depth = 0;
    if (uv_loop_init(&loop) != 0 || assignments_open(&loop, "/nowhere", 0, 1, NULL, &assignments) != 0)
        abort();
    /* twice: with a question that knows no epoch, and with one that may */
    for (int i = 0; i < 2 && bus.on_answer != NULL; i++) {
        struct bus_req asked = bus;
        bus.on_answer = NULL;
        asked.on_answer(asked.user, message.bytes, message.size);
        if ((bus.on_answer != NULL) == (uv_loop_alive(&loop) != 0))
            abort();
    }
    assignments_close(assignments);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        abort();
    buf_fini(&message);
    return 0;
}
