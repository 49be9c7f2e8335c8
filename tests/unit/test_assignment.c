/* SPDX-License-Identifier: MIT */
/* What a worker asks and what it is given come out as they went in; anything else is refused whole. */
#include "common/assignment.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fail_on_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user;
    fail_msg("%s.%s: %s", id, key, message);
}

static void questions_come_back(void **state)
{
    struct assignment_question question = {.slot = 3, .start_count = 7, .epoch = UINT64_C(1) << 62, .since = 42};
    struct assignment_question got;
    json_t *message = assignment_question_write(&question);

    (void)state;
    assert_non_null(message);
    assert_int_equal(assignment_question_read(message, &got), 0);
    assert_int_equal(got.slot, 3);
    assert_int_equal(got.start_count, 7);
    assert_int_equal(got.epoch, UINT64_C(1) << 62);
    assert_int_equal(got.since, 42);
    json_decref(message);
}

static void what_is_no_question(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"slot\": 1, \"start\": 1, \"epoch\": 1}",
        "{\"slot\": -1, \"start\": 1, \"epoch\": 1, \"since\": 1}",
        "{\"slot\": 4294967296, \"start\": 1, \"epoch\": 1, \"since\": 1}",
        "{\"slot\": 1, \"start\": \"1\", \"epoch\": 1, \"since\": 1}",
        "{\"slot\": 1, \"start\": 1, \"epoch\": 1.5, \"since\": 1}",
    };
    struct assignment_question got = {.slot = 77};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        json_t *message = json_loads(bad[i], 0, NULL);
        assert_non_null(message);
        assert_int_equal(assignment_question_read(message, &got), 1);
        assert_int_equal(got.slot, 77);
        json_decref(message);
    }
    assert_int_equal(assignment_question_read(NULL, &got), 1);
}

static void definitions_come_back(void **state)
{
    json_t *object =
        json_pack("{s:s, s:s, s:{s:s}}", "url", "http://h/mcp", "name", "N", "headers", "Authorization", "Bearer x");

    (void)state;
    for (unsigned source = 0; source < SOURCE_COUNT; source++) {
        struct server_def *def = server_def_from_json("a", object, (enum source)source, fail_on_problem, NULL);
        struct assignment_put put;
        json_t *entry = assignment_put_write(UINT32_MAX, 9, def);
        assert_non_null(entry);
        assert_int_equal(assignment_put_read(entry, &put), 0);
        assert_int_equal(put.row, UINT32_MAX);
        assert_int_equal(put.incarnation, 9);
        assert_true(server_def_equal(put.def, def));
        json_decref(entry);
        server_def_destroy(put.def);
        server_def_destroy(def);
    }
    json_decref(object);
}

static void what_is_no_entry(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"row\": 1, \"incarnation\": 1, \"serverId\": \"a\", \"source\": \"file\"}",
        "{\"row\": 1, \"incarnation\": 1, \"serverId\": \"a\", \"source\": \"file\", \"server\": {\"url\": \"x\"}}",
        "{\"row\": 1, \"incarnation\": 1, \"serverId\": \"a\", \"source\": \"x\", \"server\": {\"url\": \"http://h\"}}",
        "{\"row\": -1, \"incarnation\": 1, \"serverId\": \"a\", \"source\": \"file\", \"server\": {\"url\": "
        "\"http://h\"}}",
        "{\"row\": 1, \"incarnation\": 4294967296, \"serverId\": \"a\", \"source\": \"file\", \"server\": {\"url\": "
        "\"http://h\"}}",
        "{\"row\": 1, \"incarnation\": 1, \"serverId\": 5, \"source\": \"file\", \"server\": {\"url\": \"http://h\"}}",
        "{\"row\": 1, \"incarnation\": 1, \"serverId\": \"a\", \"source\": \"runtime\", \"server\": {\"command\": "
        "\"x\"}}",
    };
    struct assignment_put put;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        json_t *entry = json_loads(bad[i], 0, NULL);
        assert_non_null(entry);
        assert_int_equal(assignment_put_read(entry, &put), 1);
        json_decref(entry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_come_back),
        cmocka_unit_test(what_is_no_question),
        cmocka_unit_test(definitions_come_back),
        cmocka_unit_test(what_is_no_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
