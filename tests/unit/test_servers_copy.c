/* SPDX-License-Identifier: MIT */
/* The copy of the servers: what was written is read again, word for word; what is none is refused. */
#include "broker/hub/servers_copy.h"

#include "hub_fixture.h"

#include <errno.h>

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct server_def *defs[] = {
        def_called("a", "{\"headers\": {\"X\": \"${KEPT} \\u00e4\"}, \"workspaceId\": \"w\"}"),
        def_called("b\"", "{\"enabled\": false, \"events\": [\"prompts\"]}"),
    };
    const struct servers_file file = {.servers = defs, .count = ARRAY_LENGTH(defs)};
    struct servers_file copy;
    char *text = servers_copy_create(&file);
    assert_non_null(text);
    assert_int_equal(servers_copy_read(text, &copy), 0);
    assert_int_equal(copy.count, file.count);
    for (size_t i = 0; i < file.count; i++) {
        assert_string_equal(copy.servers[i]->id, defs[i]->id);
        assert_int_equal(copy.servers[i]->source, SOURCE_FILE);
        assert_true(server_def_equal(copy.servers[i], defs[i]));
        server_def_destroy(defs[i]);
    }
    servers_file_fini(&copy);
    servers_copy_destroy(text);
}

static void no_servers_are_a_copy_too(void **state)
{
    (void)state;
    const struct servers_file none = {.servers = NULL};
    struct servers_file copy;
    char *text = servers_copy_create(&none);
    assert_non_null(text);
    assert_int_equal(servers_copy_read(text, &copy), 0);
    assert_int_equal(copy.count, 0);
    servers_file_fini(&copy);
    servers_copy_destroy(text);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "rubbish\n",
        "[]\n",
        "[\"a\"]\n",
        "[1, {}]\n",
        "[\"a\", {\"url\": 7}]\n",
        "[\"a\", {\"url\": \"http://h/\"}]\n[\"b\", {\"url\": \"http://h",
    };
    struct servers_file copy;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        assert_int_equal(servers_copy_read(texts[i], &copy), -EBADMSG);
        assert_int_equal(copy.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(no_servers_are_a_copy_too),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
