/* SPDX-License-Identifier: MIT */
/* Which of some servers comes first, for each order that there is. */
#include "broker/ctl/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static const char servers[] =
    "[{\"serverId\":\"b\",\"state\":\"listening\",\"workspaceId\":\"w2\",\"worker\":1,\"toolCount\":3,\"generation\":0,"
    "  \"reconnectAttempts\":0,\"connectedSince\":200,\"lastHeard\":900,\"nextAttempt\":null},"
    " {\"serverId\":\"c\",\"state\":\"failed\",\"workspaceId\":\"w1\",\"worker\":0,\"toolCount\":null,\"generation\":2,"
    "  \"reconnectAttempts\":10,\"connectedSince\":null,\"lastHeard\":null,\"nextAttempt\":5000},"
    " {\"serverId\":\"a\",\"state\":\"listening\",\"workspaceId\":\"w3\",\"worker\":2,\"toolCount\":7,\"generation\":9,"
    "  \"reconnectAttempts\":1,\"connectedSince\":100,\"lastHeard\":950,\"nextAttempt\":null}]";

static void check(const char *json, const char *name, const char *expected)
{
    json_t *unsorted = json_loads(json, 0, NULL);
    assert_non_null(unsorted);
    json_t *sorted = order_sorted(unsorted, name);
    assert_non_null(sorted);
    char ids[16] = "";
    size_t i;
    json_t *server;

    json_array_foreach (sorted, i, server) {
        const char *id = json_string_value(json_object_get(server, "serverId"));
        strcat(ids, id != NULL ? id : "?");
    }
    assert_string_equal(ids, expected);
    json_decref(sorted);
    json_decref(unsorted);
}

static void test_each_order(void **state)
{
    static const struct {
        const char *name, *expected;
    } cases[] = {
        {"id", "abc"},      {"state", "cab"},    {"worker", "cba"},    {"workspace", "cba"}, {"tools", "abc"},
        {"changes", "acb"}, {"attempts", "cab"}, {"connected", "abc"}, {"heard", "bac"},     {"next", "cab"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_true(order_is_known(cases[i].name));
        check(servers, cases[i].name, cases[i].expected);
    }
}

static void test_other_names_are_none(void **state)
{
    (void)state;
    assert_false(order_is_known(""));
    assert_false(order_is_known("serverId"));
}

/* A broker of another version, or a table that a crash left behind. */
static void test_copes_with_what_it_did_not_expect(void **state)
{
    (void)state;
    check("[]", "tools", "");
    check("[5, {}, {\"serverId\":\"b\",\"toolCount\":\"many\"}, {\"serverId\":\"a\",\"toolCount\":1}]", "tools",
          "ab??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_order),
        cmocka_unit_test(test_other_names_are_none),
        cmocka_unit_test(test_copes_with_what_it_did_not_expect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
