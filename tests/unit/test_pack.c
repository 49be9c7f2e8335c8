/* SPDX-License-Identifier: MIT */
#include "common/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Writes `value`, reads it back and checks that it is the same, and that no shorter piece of it is a value. */
static void assert_round_trip(const char *json)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_int_equal(pack_write(&buf, value), 0);
    json_t *again = pack_read(buf.bytes, buf.size);
    assert_true(json_equal(value, again));
    json_decref(again);
    for (size_t size = 0; size < buf.size; size++) {
        uint8_t *piece = malloc(size > 0 ? size : 1); /* exactly as large, for the sanitizer to watch its end */
        memcpy(piece, buf.bytes, size);
        assert_null(pack_read(piece, size));
        free(piece);
    }
    assert_int_equal(buf_append(&buf, "\xc0", 1), 0);
    assert_null(pack_read(buf.bytes, buf.size)); /* something behind it */
    buf_fini(&buf);
    json_decref(value);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "127",
        "128",
        "65535",
        "65536",
        "4294967296",
        "-1",
        "-32",
        "-33",
        "-128",
        "-129",
        "-32769",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "\"\"",
        "\"text\"",
        "\"\\u00e4 \\u20ac \\ud83d\\udd14 \\\" \\\\ \\n\"",
        "[]",
        "{}",
        "[[],{},[1,[2]]]",
        "{\"\":\"\"}",
        "{\"v\":1,\"cmd\":\"show\",\"args\":{\"serverId\":\"a\",\"list\":[1,2.5,null,true]}}",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
        assert_round_trip(values[i]);
}

/* Sizes at which msgpack changes to a longer head. */
static void test_long_ones(void **state)
{
    (void)state;
    static const size_t sizes[] = {15, 16, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        char *text = malloc(sizes[i] + 1);
        memset(text, 'x', sizes[i]);
        text[sizes[i]] = '\0';
        json_t *array = json_array(), *object = json_object();
        for (size_t k = 0; k < sizes[i]; k++) {
            char key[24];
            snprintf(key, sizeof(key), "%zu", k);
            json_array_append_new(array, json_integer(7));
            json_object_set_new(object, key, json_null());
        }
        json_t *value = json_pack("[s, o, o]", text, array, object);
        struct buf buf;
        buf_init(&buf, 1 << 24);
        assert_int_equal(pack_write(&buf, value), 0);
        json_t *again = pack_read(buf.bytes, buf.size);
        assert_true(json_equal(value, again));
        json_decref(again);
        json_decref(value);
        buf_fini(&buf);
        free(text);
    }
}

static json_t *nested(unsigned depth)
{
    json_t *value = json_integer(1);
    for (unsigned i = 0; i < depth; i++)
        value = json_pack("[o]", value);
    return value;
}

static void test_depth(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1 << 20);
    json_t *deepest = nested(PACK_DEPTH_MAX), *deeper = nested(PACK_DEPTH_MAX + 1);
    assert_int_equal(pack_write(&buf, deepest), 0);
    json_t *again = pack_read(buf.bytes, buf.size);
    assert_true(json_equal(again, deepest));
    json_decref(again);
    buf_clear(&buf);
    assert_int_equal(pack_write(&buf, deeper), BUF_FULL);
    json_decref(deepest);
    json_decref(deeper);
    buf_fini(&buf);

    uint8_t bytes[100000];
    memset(bytes, 0x91, sizeof(bytes));
    bytes[PACK_DEPTH_MAX + 1] = 0x01;
    assert_null(pack_read(bytes, PACK_DEPTH_MAX + 2));
    assert_null(pack_read(bytes, sizeof(bytes)));
}

static void test_full(void **state)
{
    (void)state;
    json_t *value = json_pack("{s:[s,i]}", "key", "some text", 1);
    struct buf buf;
    buf_init(&buf, 1 << 10);
    assert_int_equal(pack_write(&buf, value), 0);
    size_t whole = buf.size;
    buf_fini(&buf);
    for (size_t max = 0; max < whole; max++) {
        buf_init(&buf, max);
        assert_int_equal(pack_write(&buf, value), BUF_FULL);
        buf_fini(&buf);
    }
    json_decref(value);
}

struct bytes {
    const char *bytes;
    size_t size;
};
#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

static void test_refused(void **state)
{
    (void)state;
    static const struct bytes refused[] = {
        BYTES(""),
        BYTES("\xc1"),
        BYTES("\xc4\x01x"),                                /* binary */
        BYTES("\xc7\x01\x05x"),                            /* extension */
        BYTES("\xd4\x05x"),                                /* fixed extension */
        BYTES("\xd6\xff\x00\x00\x00\x00"),                 /* timestamp */
        BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"),     /* INT64_MAX + 1 */
        BYTES("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),     /* infinity */
        BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),     /* not a number */
        BYTES("\xca\xff\x80\x00\x00"),                     /* -infinity */
        BYTES("\xa1\xff"),                                 /* no UTF-8 */
        BYTES("\xa2\xc0\x80"),                             /* overlong */
        BYTES("\xa3\xed\xa0\x80"),                         /* half of a surrogate pair */
        BYTES("\xa3"                                       /* NUL */
              "a\0b"),                                     /* within text */
        BYTES("\x81\xa3"                                   /* NUL */
              "a\0b\x01"),                                 /* within a key */
        BYTES("\x81\x01\x01"),                             /* a key that is no text */
        BYTES("\x81\xc0\x01"),                             /* nil as key */
        BYTES("\x81\xa1\xff\x01"),                         /* a key that is no UTF-8 */
        BYTES("\x82\xa1k\x01\xa1k\x02"),                   /* a key twice */
        BYTES("\x92\x01\xa1\xff"),                         /* within an array */
        BYTES("\x81\xa1k\xc4\x00"),                        /* within a map */
        BYTES("\x81\xa1k"),                                /* no value */
        BYTES("\xdd\xff\xff\xff\xff"),                     /* what announces gigabytes */
        BYTES("\xdd\x0f\xff\xff\xff\x01\x01"),             /* array */
        BYTES("\xdf\x7f\xff\xff\xff\xa1k\x01"),            /* map */
        BYTES("\xdb\xff\xff\xff\xff"),                     /* text */
        BYTES("\xdb\xff\xff\xff\xffxx"),                   /* text */
        BYTES("\x91\x91\x91\xdd\x01\x00\x00\x00\x01\x01"), /* within arrays */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        uint8_t *copy = malloc(refused[i].size + 1);
        memcpy(copy, refused[i].bytes, refused[i].size);
        json_t *value = pack_read(copy, refused[i].size);
        if (value)
            fail_msg("number %zu was read", i);
        free(copy);
    }
}

/* Other encoders' forms of the same values. */
static void test_other_forms(void **state)
{
    (void)state;
    static const struct bytes forms[] = {
        BYTES("\xdd\x00\x00\x00\x01\xdb\x00\x00\x00\x01x"),
        BYTES("\xdc\x00\x01\xda\x00\x01x"),
        BYTES("\x91\xd9\x01x"),
    };
    json_t *expected = json_pack("[s]", "x");
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        json_t *value = pack_read(forms[i].bytes, forms[i].size);
        assert_true(json_equal(value, expected));
        json_decref(value);
    }
    json_decref(expected);
    json_t *number = pack_read("\xca\x3f\xc0\x00\x00", 5);
    assert_true(json_real_value(number) == 1.5);
    json_decref(number);
}

/* Any bytes at all: what is read can be written again. The seed is fixed, so that a failure comes again. */
static void test_any_bytes(void **state)
{
    (void)state;
    uint32_t random = 12345;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        random = random * 1664525 + 1013904223;
        size_t size = random >> 16 & 15;
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (uint8_t)(random >> 24);
            if (i < 3)
                bytes[i] = (uint8_t)(0x80 | (bytes[i] & 0x5f)); /* mostly heads that announce something */
        }
        json_t *value = pack_read(bytes, size);
        if (!value)
            continue;
        struct buf buf;
        buf_init(&buf, 1024);
        assert_int_equal(pack_write(&buf, value), 0);
        buf_fini(&buf);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_long_ones), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_full),        cmocka_unit_test(test_refused),   cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
