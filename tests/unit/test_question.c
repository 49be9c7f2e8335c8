/* SPDX-License-Identifier: MIT */
/* The frame of the diagnostics socket: both ways, and what is refused. */
#include "common/question.h"

#include "common/compiler.h"
#include "common/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void questions_come_back(void **state)
{
    json_t *args = json_pack("{s:s}", "serverId", "a");
    json_t *cmd, *got;
    struct buf out;

    (void)state;
    buf_init(&out, QUESTION_BYTES_MAX);
    assert_int_equal(question_write(&out, "show", args), 0);
    assert_int_equal(question_read(out.bytes, out.size, &cmd, &got), 0);
    assert_string_equal(json_string_value(cmd), "show");
    assert_true(json_equal(got, args));
    json_decref(cmd);
    json_decref(got);
    json_decref(args);

    buf_clear(&out);
    assert_int_equal(question_write(&out, "ping", NULL), 0);
    assert_int_equal(question_read(out.bytes, out.size, &cmd, &got), 0);
    assert_true(json_is_object(got));
    json_decref(cmd);
    json_decref(got);
    buf_fini(&out);
}

static void answers_come_back(void **state)
{
    json_t *data = json_pack("{s:i}", "pid", 12);
    json_t *got, *code, *message;
    const void *bytes;
    size_t size;
    struct buf out;

    (void)state;
    buf_init(&out, QUESTION_ANSWER_MAX);
    assert_int_equal(question_write_data(&out, data), 0);
    assert_int_equal(question_read_answer(out.bytes, out.size, &bytes, &size, &code, &message), 0);
    got = pack_read(bytes, size);
    assert_true(json_equal(got, data));
    json_decref(got);
    json_decref(data);

    buf_clear(&out);
    assert_int_equal(question_write_error(&out, QUESTION_NOT_FOUND, "no server x"), 0);
    assert_int_equal(question_read_answer(out.bytes, out.size, &bytes, &size, &code, &message), 1);
    assert_string_equal(json_string_value(code), "not_found");
    assert_string_equal(json_string_value(message), "no server x");
    json_decref(code);
    json_decref(message);
    buf_fini(&out);
}

static void what_is_no_frame(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"v\": 2, \"cmd\": \"ping\", \"args\": {}, \"ok\": true, \"data\": {}}",
        "{\"v\": \"1\", \"cmd\": \"ping\", \"args\": {}, \"ok\": true, \"data\": {}}",
        "{\"v\": 1, \"cmd\": 5, \"args\": {}, \"ok\": 1, \"data\": {}}",
        "{\"v\": 1, \"cmd\": \"ping\", \"args\": [], \"ok\": true}",
        "{\"v\": 1, \"cmd\": \"ping\", \"ok\": false, \"error\": {\"code\": \"x\"}}",
        "{\"v\": 1, \"args\": {}, \"ok\": false, \"error\": {\"code\": 1, \"message\": \"x\"}}",
    };
    json_t *a, *b, *c;
    const void *bytes;
    size_t size;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct buf out;
        json_t *frame = json_loads(bad[i], 0, NULL);
        assert_non_null(frame);
        buf_init(&out, QUESTION_BYTES_MAX);
        assert_int_equal(pack_write(&out, frame), 0);
        assert_int_equal(question_read(out.bytes, out.size, &a, &b), 1);
        assert_int_equal(question_read_answer(out.bytes, out.size, &bytes, &size, &b, &c), 2);
        json_decref(frame);
        buf_fini(&out);
    }
    assert_int_equal(question_read("\xc1garbage", 8, &a, &b), 1);
    assert_int_equal(question_read_answer("", 0, &bytes, &size, &b, &c), 2);
}

static void a_bound_is_an_outcome(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_int_equal(question_write(&out, "ping", NULL), BUF_FULL);
    assert_int_equal(question_write_error(&out, QUESTION_INTERNAL, "x"), BUF_FULL);
    buf_fini(&out);
}

static void codes_are_total(void **state)
{
    (void)state;
    assert_string_equal(question_error_code(QUESTION_BAD_REQUEST), "bad_request");
    assert_string_equal(question_error_code(QUESTION_INTERNAL), "internal");
    assert_string_equal(question_error_code((enum question_error)(QUESTION_INTERNAL + 1)), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_come_back), cmocka_unit_test(answers_come_back),
        cmocka_unit_test(what_is_no_frame),    cmocka_unit_test(a_bound_is_an_outcome),
        cmocka_unit_test(codes_are_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
