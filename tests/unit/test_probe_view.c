/* SPDX-License-Identifier: MIT */
/* What a person reads of a probe: all of a full report, nothing of what is not known, no control character. */
#include "broker/ctl/probe_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *json, const char *text)
{
    char *written = NULL;
    size_t size;
    FILE *out = open_memstream(&written, &size);
    json_t *report = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(out);
    assert_non_null(report);
    probe_view(out, report);
    fclose(out);
    assert_string_equal(written, text);
    json_decref(report);
    free(written);
}

static void test_all_that_is_known_is_told(void **unused)
{
    (void)unused;
    expect(
        "{\"origin\":\"https://h:1\",\"reachable\":true,\"http\":\"HTTP/"
        "2\",\"tls\":\"verified\",\"tlsVersion\":\"TLSv1.3\",\"tlsCipher\":\"X\",\"era\":\"session\","
        "\"protocolVersion\":\"2025-11-25\",\"serverInfo\":\"x/1\",\"capabilities\":{\"tools\":{\"listChanged\":true},"
        "\"prompts\":{\"listChanged\":false}},\"toolCount\":2,\"toolsHash\":\"ab\",\"promptCount\":null,"
        "\"stream\":{\"openedAfterMs\":5,\"heldMs\":2000,\"resumed\":1,\"changes\":{\"tools\":3}},"
        "\"state\":\"listening\",\"lastError\":null}",
        "state         listening\n"
        "why           the stream is open and, where the era has it, acknowledged\n"
        "server        https://h:1, reachable, HTTP/2, TLS verified: TLSv1.3 with X\n"
        "era           session, revision 2025-11-25\n"
        "name          x/1\n"
        "has           tools (listChanged), prompts\n"
        "tools         2, hash ab\n"
        "stream        open after 5ms, held for 2s, resumed 1 times, changes told: tools 3\n");
}

static void test_an_error_is_the_reason(void **unused)
{
    (void)unused;
    expect("{\"origin\":\"http://h\",\"reachable\":false,\"http\":null,\"tls\":null,\"era\":\"unknown\","
           "\"protocolVersion\":null,\"capabilities\":null,\"stream\":null,\"state\":\"backoff\","
           "\"lastError\":\"connection refused by h:80\"}",
           "state         backoff\n"
           "why           connection refused by h:80\n"
           "server        http://h, not reachable\n");
    expect("{\"origin\":\"http://"
           "h\",\"reachable\":true,\"capabilities\":{},\"state\":\"unsupported\",\"lastError\":\"no\"}",
           "state         unsupported\n"
           "why           no\n"
           "server        http://h, reachable\n"
           "has           no lists\n");
}

static void test_tls_that_failed_was_reached(void **unused)
{
    (void)unused;
    expect("{\"origin\":\"https://h\",\"reachable\":true,\"tls\":\"not verified\",\"tlsVersion\":null}",
           "server        https://h, reachable, TLS not verified\n");
}

static void test_a_program_is_heard(void **unused)
{
    (void)unused;
    expect("{\"origin\":\"node\",\"transport\":\"stdio\",\"reachable\":true}", "server        node, answers\n");
    expect("{\"origin\":\"node\",\"transport\":\"stdio\",\"reachable\":false}",
           "server        node, has said nothing\n");
}

static void test_anything_may_be_missing_or_hostile(void **unused)
{
    (void)unused;
    expect("{}", "server        , not reachable\n");
    expect("{\"origin\":5,\"state\":[],\"lastError\":{},\"capabilities\":[],\"toolCount\":\"x\",\"stream\":7}",
           "server        , not reachable\n");
    expect("{\"state\":\"a\\u001b[31mb\",\"capabilities\":{\"c\\u0007\":1},\"stream\":{\"heldMs\":-1,\"changes\":{"
           "\"\\u0008\":2}}}",
           "state         a?[31mb\n"
           "server        , not reachable\n"
           "has           c?\n"
           "stream        open after 0ms, held for 0ms, changes told: ? 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_is_known_is_told),          cmocka_unit_test(test_an_error_is_the_reason),
        cmocka_unit_test(test_tls_that_failed_was_reached),        cmocka_unit_test(test_a_program_is_heard),
        cmocka_unit_test(test_anything_may_be_missing_or_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
