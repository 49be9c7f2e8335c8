/* SPDX-License-Identifier: MIT */
/* common/turn.c: what is done in any phase of the loop counts, and what is waited does not. */
#include "common/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORK_MS = 30, WAIT_MS = 1000 };

static struct scene {
    uv_loop_t loop;
    struct turn turn;
    uv_prepare_t prepare;
    uv_poll_t poll;
    uv_timer_t timer;
    int pipe[2];
} scene;

static void work(void)
{
    uint64_t end = uv_hrtime() + (uint64_t)WORK_MS * 1000000;
    while (uv_hrtime() < end)
        ;
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn_end(&scene.turn, prepare->loop);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    char byte;
    (void)status, (void)events;
    assert_int_equal(read(scene.pipe[0], &byte, 1), 1);
    work();
    uv_poll_stop(poll);
}

static void on_timer(uv_timer_t *timer)
{
    work();
    uv_timer_stop(timer);
}

static void on_quiet_timer(uv_timer_t *timer)
{
    uv_timer_stop(timer);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&scene.loop), 0);
    assert_int_equal(pipe(scene.pipe), 0);
    turn_init(&scene.turn, &scene.loop);
    uv_prepare_init(&scene.loop, &scene.prepare);
    uv_prepare_start(&scene.prepare, on_prepare);
    uv_unref((uv_handle_t *)&scene.prepare);
    uv_poll_init(&scene.loop, &scene.poll, scene.pipe[0]);
    uv_timer_init(&scene.loop, &scene.timer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&scene.prepare, NULL);
    uv_close((uv_handle_t *)&scene.poll, NULL);
    uv_close((uv_handle_t *)&scene.timer, NULL);
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    close(scene.pipe[0]);
    close(scene.pipe[1]);
    return uv_loop_close(&scene.loop);
}

static void one_turn(void)
{
    uv_ref((uv_handle_t *)&scene.prepare);
    uv_run(&scene.loop, UV_RUN_NOWAIT);
    uv_unref((uv_handle_t *)&scene.prepare);
}

/* One turn before, as a timer that is due already runs before the first prepare; and one after, to end the last one. */
static uint64_t run(void (*start)(void))
{
    one_turn();
    (void)turn_take_longest_us(&scene.turn);
    start();
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    one_turn();
    return turn_take_longest_us(&scene.turn);
}

static void wait_for_socket(void)
{
    assert_int_equal(write(scene.pipe[1], "x", 1), 1);
    uv_poll_start(&scene.poll, UV_READABLE, on_readable);
}

static void wait_for_timer(void)
{
    uv_timer_start(&scene.timer, on_timer, 1, 0);
}

static void wait_for_due_timer(void)
{
    uv_timer_start(&scene.timer, on_timer, 0, 0);
}

static void wait_for_quiet_timer(void)
{
    uv_timer_start(&scene.timer, on_quiet_timer, WAIT_MS, 0);
}

static void test_work_for_a_socket_counts(void **state)
{
    (void)state;
    assert_true(run(wait_for_socket) >= WORK_MS * 1000);
}

static void test_work_for_a_timer_counts(void **state)
{
    (void)state;
    assert_true(run(wait_for_timer) >= WORK_MS * 1000);
}

static void test_work_for_a_timer_already_due_counts(void **state)
{
    (void)state;
    assert_true(run(wait_for_due_timer) >= WORK_MS * 1000);
}

static void test_waiting_does_not(void **state)
{
    (void)state;
    assert_true(run(wait_for_quiet_timer) < WAIT_MS * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_work_for_a_socket_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_work_for_a_timer_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_work_for_a_timer_already_due_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_does_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
