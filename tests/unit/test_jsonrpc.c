/* SPDX-License-Identifier: MIT */
#include "worker/peer/jsonrpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DEPTH_MAX = 64, VALUES_MAX = 2000, BATCH_MAX = 1000 };

static const struct limits_json LIMITS = {.depth = DEPTH_MAX, .values = VALUES_MAX, .batch = BATCH_MAX};

static json_t *parse(const char *text)
{
    json_t *document = NULL;
    assert_int_equal(jsonrpc_parse(text, strlen(text), &LIMITS, &document), 0);
    return document;
}

static int outcome_of(const char *text)
{
    json_t *document = NULL;
    int outcome = jsonrpc_parse(text, strlen(text), &LIMITS, &document);
    if (outcome == 0)
        json_decref(document);
    else
        assert_null(document);
    return outcome;
}

static const struct {
    const char *text;
    enum jsonrpc_type type;
} TYPES[] = {
    {"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}", JSONRPC_REQUEST},
    {"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\",\"params\":{}}", JSONRPC_REQUEST},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"n\"}", JSONRPC_NOTIFICATION},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", JSONRPC_RESULT},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}", JSONRPC_RESULT},
    {"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", JSONRPC_RESULT},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,\"message\":\"m\"}}", JSONRPC_ERROR},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000}}", JSONRPC_ERROR},
    {"{\"jsonrpc\":\"2.0\",\"error\":{}}", JSONRPC_ERROR},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"id\":true,\"result\":{}}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"result\":{}}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"id\":1}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"n\\u0000\"}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"text\"}", JSONRPC_INVALID},
    {"{\"jsonrpc\":\"1.0\",\"method\":\"n\"}", JSONRPC_INVALID},
    {"{\"jsonrpc\":2,\"method\":\"n\"}", JSONRPC_INVALID},
    {"{\"method\":\"n\"}", JSONRPC_INVALID},
    {"{}", JSONRPC_INVALID},
};

static void types_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(TYPES); i++) {
        json_t *document = parse(TYPES[i].text);
        assert_int_equal(jsonrpc_count(document), 1);
        if (jsonrpc_get(document, 0).type != TYPES[i].type)
            fail_msg("%s: type %d", TYPES[i].text, (int)jsonrpc_get(document, 0).type);
        json_decref(document);
    }
}

static void members_are_read(void **state)
{
    (void)state;
    json_t *document = parse("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"m\",\"params\":{\"a\":1}}");
    struct jsonrpc_message message = jsonrpc_get(document, 0);
    assert_string_equal(json_string_value(message.id), "x");
    assert_string_equal(message.method, "m");
    assert_int_equal(json_integer_value(json_object_get(message.params, "a")), 1);
    assert_null(message.result);
    json_decref(document);

    document = parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32022,\"message\":\"m\",\"data\":{\"b\":2}}}");
    message = jsonrpc_get(document, 0);
    assert_int_equal(json_integer_value(message.id), 7);
    assert_int_equal(message.code, JSONRPC_UNSUPPORTED_VERSION);
    assert_int_equal(json_integer_value(json_object_get(message.data, "b")), 2);
    assert_null(message.method);
    json_decref(document);
}

static void odd_members_are_left_out(void **state)
{
    (void)state;
    json_t *document = parse("[{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":\"text\"},"
                             "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"text\"}},"
                             "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1e300}}]");
    assert_null(jsonrpc_get(document, 0).params);
    assert_int_equal(jsonrpc_get(document, 1).code, 0);
    assert_int_equal(jsonrpc_get(document, 2).code, 0);
    json_decref(document);
}

static void batches_are_read_one_by_one(void **state)
{
    (void)state;
    json_t *document = parse("[{\"jsonrpc\":\"2.0\",\"method\":\"a\"},7,{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]");
    assert_int_equal(jsonrpc_count(document), 3);
    assert_string_equal(jsonrpc_get(document, 0).method, "a");
    assert_int_equal(jsonrpc_get(document, 1).type, JSONRPC_INVALID);
    assert_int_equal(jsonrpc_get(document, 2).type, JSONRPC_RESULT);
    json_decref(document);

    document = parse("[]");
    assert_int_equal(jsonrpc_count(document), 0);
    json_decref(document);
}

static void batches_are_bounded(void **state)
{
    (void)state;
    char text[2 * (BATCH_MAX + 1) + 2] = "[0";
    size_t size = 2;
    for (unsigned i = 1; i < BATCH_MAX; i++, size += 2)
        memcpy(text + size, ",0", 2);
    memcpy(text + size, "]", 2);
    assert_int_equal(outcome_of(text), 0);
    memcpy(text + size, ",0]", 4);
    assert_int_equal(outcome_of(text), JSONRPC_TOO_MANY_MESSAGES);
}

static int outcome_within(const char *text, unsigned values)
{
    const struct limits_json limits = {.depth = DEPTH_MAX, .values = values, .batch = BATCH_MAX};
    json_t *document = NULL;
    int outcome = jsonrpc_parse(text, strlen(text), &limits, &document);
    if (outcome == 0)
        json_decref(document);
    return outcome;
}

static void values_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned values;
    } documents[] = {
        {"{}", 1},
        {" [ ] ", 1},
        {"[7]", 2},
        {"[{},{},[ \n],[]]", 5},
        {"{\"a\":1,\"b\":[true,null,{}]}", 6},
        {"[\",,[{\",\"\\\",\",{\"a,[\":\"\"}]", 5},
        {"[[[[]]]]", 4},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(documents); i++) {
        assert_int_equal(outcome_within(documents[i].text, documents[i].values), 0);
        assert_int_equal(outcome_within(documents[i].text, documents[i].values - 1), JSONRPC_TOO_MANY_VALUES);
    }
}

static void what_is_cut_off_is_malformed(void **state)
{
    (void)state;
    const char *text = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":[1,\"\\\"}\",true]}}";
    for (size_t size = 0; size < strlen(text); size++) {
        json_t *document = NULL;
        assert_int_equal(jsonrpc_parse(text, size, &LIMITS, &document), JSONRPC_MALFORMED);
    }
    assert_int_equal(outcome_of(text), 0);
    assert_int_equal(outcome_of("7"), JSONRPC_MALFORMED);
    assert_int_equal(outcome_of("\"text\""), JSONRPC_MALFORMED);
    assert_int_equal(outcome_of("{} {}"), JSONRPC_MALFORMED);
    assert_int_equal(outcome_of("{\"a\":\"\xff\"}"), JSONRPC_MALFORMED);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[2 * DEPTH_MAX + 4];
    memset(text, '[', DEPTH_MAX);
    memset(text + DEPTH_MAX, ']', DEPTH_MAX);
    text[(size_t)2 * DEPTH_MAX] = '\0';
    assert_int_equal(outcome_of(text), 0);
    memset(text, '[', DEPTH_MAX + 1);
    memset(text + DEPTH_MAX + 1, ']', DEPTH_MAX + 1);
    text[(size_t)2 * DEPTH_MAX + 2] = '\0';
    assert_int_equal(outcome_of(text), JSONRPC_TOO_DEEP);
}

static void brackets_in_texts_have_no_depth(void **state)
{
    (void)state;
    char text[512] = "{\"a\":\"\\\"";
    memset(text + strlen(text), '[', 200);
    strcat(text, "\\\\\"}");
    assert_int_equal(outcome_of(text), 0);
}

static void numbers_of_any_size_are_taken(void **state)
{
    (void)state;
    json_t *document = parse("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"max\":18446744073709551615}}");
    struct jsonrpc_message message = jsonrpc_get(document, 0);
    assert_true(jsonrpc_is_id(3, message.id));
    json_decref(document);
    assert_int_equal(outcome_of("{\"a\":\"\\u0000\"}"), 0);
}

static void ids_have_a_type_and_a_value(void **state)
{
    (void)state;
    json_t *one = json_integer(1), *two = json_integer(2), *text = json_string("1"), *real = json_real(1.0);
    json_t *none = json_integer(0);
    assert_true(jsonrpc_is_id(1, one));
    assert_true(jsonrpc_is_id(1, real));
    assert_false(jsonrpc_is_id(1, two));
    assert_false(jsonrpc_is_id(1, text));
    assert_false(jsonrpc_is_id(1, NULL));
    assert_false(jsonrpc_is_id(0, none));
    json_decref(one);
    json_decref(two);
    json_decref(text);
    json_decref(real);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_told_apart),
        cmocka_unit_test(members_are_read),
        cmocka_unit_test(odd_members_are_left_out),
        cmocka_unit_test(batches_are_read_one_by_one),
        cmocka_unit_test(batches_are_bounded),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(what_is_cut_off_is_malformed),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(brackets_in_texts_have_no_depth),
        cmocka_unit_test(numbers_of_any_size_are_taken),
        cmocka_unit_test(ids_have_a_type_and_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
