/* SPDX-License-Identifier: MIT */
/* Challenges as servers send them, as they should not, and cut off anywhere. */
#include "worker/oauth/www_authenticate.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct sample {
    const char *text;
    bool is_bearer;
    const char *resource_metadata, *scope, *error;
} SAMPLES[] = {
    {"", false, "", "", ""},
    {"Bearer", true, "", "", ""},
    {"bearer", true, "", "", ""},
    {"Bearer realm=\"x\"", true, "", "", ""},
    {"Bearer resource_metadata=\"https://h/m\", scope=\"a b\", error=\"invalid_token\"", true, "https://h/m", "a b",
     "invalid_token"},
    {"Bearer error=insufficient_scope,scope=files:read", true, "", "files:read", "insufficient_scope"},
    {"BEARER Scope = \"a\" , ERROR = \"e\"", true, "", "a", "e"},
    {"Basic realm=\"x\"", false, "", "", ""},
    {"Basic realm=\"x, Bearer scope=\\\"no\\\"\", Bearer scope=\"yes\"", true, "", "yes", ""},
    {"Basic scope=\"no\", Bearer error=e, DPoP scope=\"no\"", true, "", "", "e"},
    {"Negotiate a87421==, Bearer scope=\"a\"", true, "", "a", ""},
    {"Negotiate a8/7+421=, Bearer scope=\"a\"", true, "", "a", ""},
    {"Negotiate, Bearer scope=\"a\"", true, "", "a", ""},
    {"Bearer scope=\"a\", Bearer scope=\"b\", error=\"e\"", true, "", "a", "e"},
    {", ,Bearer ,,scope=\"a\",,", true, "", "a", ""},
    {"Bearer scope=\"a\\\\b\"", true, "", "", ""}, /* a backslash is in no scope */
    {"Bearer scope=\"a\\\"b\"", true, "", "", ""}, /* nor is a quote */
    {"Bearer resource_metadata=\"https://h/\tm\"", true, "", "", ""},
    {"Bearer scope=\"a", true, "", "", ""},                /* cut off: it may have been another one */
    {"Bearer scope=\"a\" error=\"e\"", true, "", "a", ""}, /* a comma is missing */
    {"Bearer scope=, error=e", true, "", "", "e"},
    {"=x, \"y\", Bearer scope=\"a\"", true, "", "a", ""},
    {"scope=\"a\", Bearer", true, "", "", ""},
};

static void check(const struct sample *sample)
{
    struct www_authenticate read;
    www_authenticate_parse(sample->text, &read);
    if (read.is_bearer != sample->is_bearer || strcmp(read.resource_metadata, sample->resource_metadata) != 0 ||
        strcmp(read.scope, sample->scope) != 0 || strcmp(read.error, sample->error) != 0)
        fail_msg("%s\nread: %d [%s] [%s] [%s]", sample->text, read.is_bearer, read.resource_metadata, read.scope,
                 read.error);
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(SAMPLES); i++)
        check(&SAMPLES[i]);
}

/* Whatever is left of a text, nothing of it is read that does not stand in it. */
static void test_cut_anywhere(void **state)
{
    char text[256];
    struct www_authenticate read;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(SAMPLES); i++) {
        for (size_t size = 0; size <= strlen(SAMPLES[i].text); size++) {
            snprintf(text, sizeof text, "%.*s", (int)size, SAMPLES[i].text);
            www_authenticate_parse(text, &read);
            assert_true(read.scope[0] == '\0' || strstr(text, read.scope) != NULL);
            assert_true(read.error[0] == '\0' || strstr(text, read.error) != NULL);
            assert_true(read.resource_metadata[0] == '\0' || strstr(text, read.resource_metadata) != NULL);
        }
    }
}

static void test_maxima(void **state)
{
    char text[4096];
    char value[WWW_AUTHENTICATE_TEXT_MAX + 2];
    struct www_authenticate read;
    (void)state;
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    snprintf(text, sizeof text, "Bearer scope=\"%s\", error=%.64s", value, value);
    www_authenticate_parse(text, &read);
    assert_string_equal(read.scope, "");
    assert_string_equal(read.error, "");
    snprintf(text, sizeof text, "Bearer scope=\"%s\", resource_metadata=%s, error=%.63s", value + 1, value + 1, value);
    www_authenticate_parse(text, &read);
    assert_int_equal(strlen(read.scope), WWW_AUTHENTICATE_TEXT_MAX);
    assert_int_equal(strlen(read.resource_metadata), WWW_AUTHENTICATE_TEXT_MAX);
    assert_int_equal(strlen(read.error), WWW_AUTHENTICATE_ERROR_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_maxima),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
