/* SPDX-License-Identifier: MIT */
/* worker/peer/document.c: parsing in another thread, and changing one's mind about it. */
#include "worker/peer/document.h"

#include "worker/peer/jsonrpc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct scene {
    uv_loop_t loop;
    unsigned parsed, done;
    int outcome;
    json_t *root;
    pthread_t worker;
} scene;

static int set_up(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof(scene));
    return uv_loop_init(&scene.loop);
}

static int tear_down(void **state)
{
    (void)state;
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&scene.loop);
}

static void on_parsed(void *user, int outcome, json_t *root)
{
    assert_ptr_equal(user, &scene);
    scene.parsed++;
    scene.outcome = outcome;
    scene.root = root;
}

static struct document *begin(const char *text, unsigned depth)
{
    struct document *document = NULL;
    char *bytes = malloc(strlen(text));
    assert_non_null(bytes);
    memcpy(bytes, text, strlen(text));
    const struct limits_json limits = {.depth = depth, .values = 100, .batch = 100};
    int result = document_parse(&scene.loop, bytes, strlen(text), &limits, NULL, on_parsed, &scene, &document);
    if (result != 0)
        free(bytes);
    assert_int_equal(result, 0);
    return document;
}

static void test_parses(void **state)
{
    (void)state;
    assert_non_null(begin("{\"a\":[1]}", 2));
    assert_int_equal(scene.parsed, 0);
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    assert_int_equal(scene.parsed, 1);
    assert_int_equal(scene.outcome, 0);
    assert_true(json_is_array(json_object_get(scene.root, "a")));
    document_free(&scene.loop, scene.root);
}

static void test_tells_what_is_wrong(void **state)
{
    (void)state;
    begin("{\"a\":[1]}", 1);
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    assert_int_equal(scene.outcome, JSONRPC_TOO_DEEP);
    begin("{\"a\":", 9);
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    assert_int_equal(scene.outcome, JSONRPC_MALFORMED);
    assert_int_equal(scene.parsed, 2);
    assert_null(scene.root);
}

static void test_a_cancelled_one_is_heard_of_no_more(void **state)
{
    (void)state;
    struct document *document = begin("[1,2,3]", 9);
    document_cancel(&document);
    assert_null(document);
    document_cancel(&document);
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    assert_int_equal(scene.parsed, 0);
}

static void work(void *user)
{
    struct scene *at = user;
    at->worker = pthread_self();
}

static void done(void *user)
{
    struct scene *at = user;
    at->done++;
}

static void test_runs_beside_the_loop(void **state)
{
    (void)state;
    assert_int_equal(document_run_beside(&scene.loop, work, done, &scene), 0);
    uv_run(&scene.loop, UV_RUN_DEFAULT);
    assert_int_equal(scene.done, 1);
    assert_false(pthread_equal(scene.worker, pthread_self()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tells_what_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_cancelled_one_is_heard_of_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs_beside_the_loop, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
