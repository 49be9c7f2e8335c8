/* SPDX-License-Identifier: MIT */
/* The files that definitions name: each once, whatever the number of servers; sets are compared, not texts. */
#include "common/named_files.h"

#include "hub_fixture.h"

static void each_is_named_once(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"caFile\": \"/a.pem\"}",
        "{}",
        "{\"caFile\": \"/a.pem\", \"auth\": {\"type\": \"client_credentials\", \"clientId\": \"c\","
        " \"privateKeyFile\": \"/key\"}}",
        "{\"caFile\": \"/a\"}",
    };
    struct buf files;
    buf_init(&files, NAMED_FILES_MAX);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct server_def *def = def_called("s", texts[i]);
        assert_int_equal(named_files_add(&files, def), 0);
        server_def_destroy(def);
    }
    assert_string_equal(buf_text(&files), "/a.pem\n/key\n/a\n");
    buf_fini(&files);
}

static void sets_are_compared(void **state)
{
    (void)state;
    assert_true(named_files_within("", ""));
    assert_true(named_files_within("", "/a\n"));
    assert_true(named_files_within("/b\n/a\n", "/a\n/c\n/b\n"));
    assert_true(named_files_within("/a", "/a\n"));
    assert_false(named_files_within("/a\n", ""));
    assert_false(named_files_within("/a\n/d\n", "/a\n/c\n"));
    assert_false(named_files_within("/a\n", "/ab\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_named_once),
        cmocka_unit_test(sets_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
