/* SPDX-License-Identifier: MIT */
/* A worker and the hub's answers: one that fits is followed by the next question, any other by a pause and a question
 * that asks for everything. Bus and connections are fakes. */
#include "worker/assignments.h"

#include "common/assignment.h"
#include "common/bus.h"
#include "common/compiler.h"
#include "common/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MESSAGE_MAX = 4096 };

struct bus_req {
    struct assignment_question question; /* asked last */
    void (*on_answer)(void *user, const void *bytes, size_t size);
    void *user;
};

static struct bus_req bus;
static unsigned drops;

int bus_req_open(uv_loop_t *loop, const char *path, size_t max, struct bus_req **out)
{
    (void)loop, (void)path, (void)max;
    *out = &bus;
    return 0;
}

int bus_req_ask(struct bus_req *req, const void *bytes, size_t size,
                void (*on_answer)(void *user, const void *bytes, size_t size), void *user)
{
    json_t *message = pack_read(bytes, size);
    assert_int_equal(assignment_question_read(message, &req->question), 0); /* the hub understands it */
    json_decref(message);
    req->on_answer = on_answer;
    req->user = user;
    return 0;
}

void bus_req_close(struct bus_req *req)
{
    req->on_answer = NULL;
}

void conns_put(struct conns *conns, uint32_t row, uint32_t incarnation, struct server_def *def, bool wanted)
{
    (void)conns, (void)row, (void)incarnation, (void)wanted;
    server_def_destroy(def);
}

void conns_drop(struct conns *conns, uint32_t row, uint32_t incarnation)
{
    (void)conns, (void)row, (void)incarnation;
    drops++;
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
}

void conns_end_full(struct conns *conns)
{
    (void)conns;
}

struct scene {
    uv_loop_t loop;
    struct assignments *assignments;
};

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    *state = scene;
    drops = 0;
    return !scene || uv_loop_init(&scene->loop) != 0 ||
           assignments_open(&scene->loop, "/nowhere", 0, 1, NULL, &scene->assignments) != 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    assignments_close(scene->assignments);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&scene->loop);
    free(scene);
    return result;
}

/* True when a question follows at once, false when a pause does. */
static bool is_followed_up(struct scene *scene, const char *answer)
{
    struct bus_req asked = bus;
    struct buf message;
    json_t *value = json_loads(answer, 0, NULL);
    assert_non_null(value);
    buf_init(&message, MESSAGE_MAX);
    assert_int_equal(pack_write(&message, value), 0);
    json_decref(value);
    bus.on_answer = NULL;
    asked.on_answer(asked.user, message.bytes, message.size);
    buf_fini(&message);
    bool asks = bus.on_answer != NULL;
    assert_int_equal(uv_loop_alive(&scene->loop) != 0, !asks);
    return asks;
}

static void an_answer_is_followed_by_the_next_question(void **state)
{
    assert_int_equal(bus.question.epoch, 0);
    assert_true(is_followed_up(*state, "{\"epoch\": 7, \"upto\": 2, \"full\": true}"));
    assert_int_equal(bus.question.epoch, 7);
    assert_int_equal(bus.question.since, 2);
    assert_true(is_followed_up(*state, "{\"epoch\": 7, \"upto\": 3, \"drop\": [[1, 2]]}"));
    assert_int_equal(bus.question.since, 3);
    assert_int_equal(drops, 1);
}

static void another_epoch_is_not_applied(void **state)
{
    assert_true(is_followed_up(*state, "{\"epoch\": 7, \"upto\": 2, \"full\": true}"));
    assert_false(is_followed_up(*state, "{\"epoch\": 8, \"upto\": 3, \"drop\": [[1, 2]]}"));
    assert_int_equal(drops, 0);
}

/* Found by fuzzing: the next question named the epoch as a number that the hub refuses, for ever. */
static void a_negative_epoch_is_no_answer(void **state)
{
    assert_false(is_followed_up(*state, "{\"epoch\": -2, \"upto\": 2, \"full\": true, \"drop\": [[46, -1]]}"));
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_answer_is_followed_by_the_next_question),
        SCENE_TEST(another_epoch_is_not_applied),
        SCENE_TEST(a_negative_epoch_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
