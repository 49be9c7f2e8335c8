/* SPDX-License-Identifier: MIT */
#include "common/url.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *base, *reference, *url; /* url NULL: refused */
} CASES[] = {
    {"http://h/sse", "/message?sessionId=1", "http://h/message?sessionId=1"},
    {"http://h/a/sse", "message", "http://h/a/message"},
    {"http://h/a/sse?q=1", "message?x", "http://h/a/message?x"},
    {"http://h/a/sse?q=1", "?x=2", "http://h/a/sse?x=2"},
    {"http://h/a/sse?q=/b/c", "message", "http://h/a/message"},
    {"http://h", "message", "http://h/message"},
    {"http://h", "/message", "http://h/message"},
    {"http://h?q", "message", "http://h/message"},
    {"http://h/sse", "http://h/m?a=b", "http://h/m?a=b"},
    {"http://h/sse", "HTTP://H:80/m", "http://h/m"},
    {"https://h:443/sse", "https://h/m", "https://h:443/m"},
    {"http://h:81/sse", "//h:81/m", "http://h:81/m"},
    {"http://u:p@h/sse", "/m", "http://u:p@h/m"},
    {"http://u:p@h/sse", "http://h/m", "http://u:p@h/m"},
    {"http://[::1]:8/sse", "http://[::1]:8/m", "http://[::1]:8/m"},
    {"http://h/sse", "/m?to=http://other/", "http://h/m?to=http://other/"},
    {"http://h/sse", "m?to=http://other/", "http://h/m?to=http://other/"},
    {"http://h/sse", "http://h:/m", "http://h/m"},
    {"http://h/sse", "http://h:8o/m", NULL},
    {"http://h/sse", "http://h:80:80/m", NULL},
    {"http://[::1]/sse", "http://[::1]x/m", NULL},
    {"http://[::1]/sse", "http://[::1/m", NULL},
    {"http://h/sse", "http://other/m", NULL},
    {"http://h/sse", "http://h:81/m", NULL},
    {"http://h:81/sse", "http://h/m", NULL},
    {"http://h/sse", "https://h/m", NULL},
    {"http://h/sse", "//other/m", NULL},
    {"http://h/sse", "http://h.other/m", NULL},
    {"http://h.x/sse", "http://h/m", NULL},
    {"http://h/sse", "http://h@other/m", NULL},
    {"http://h/sse", "http://other@h/m", NULL},
    {"http://h/sse", "http://h:80@other/m", NULL},
    {"http://[::1]/sse", "http://[::2]/m", NULL},
    {"http://h/sse", "javascript:alert(1)", NULL},
    {"http://h/sse", "file:///etc/passwd", NULL},
    {"http://h/sse", "http:///m", NULL},
    {"http://h/sse", "/\\other/m", NULL},
    {"http://h/sse", "\\\\other/m", NULL},
    {"http://h/sse", "/a b", NULL},
    {"http://h/sse", "/a\r\nb: c", NULL},
    {"http://h/sse", "", NULL},
};

static void references_are_resolved_within_the_origin(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(CASES); i++) {
        char *url = url_resolve(CASES[i].base, CASES[i].reference);
        const char *got = url != NULL ? url : "refused", *wanted = CASES[i].url != NULL ? CASES[i].url : "refused";
        if (strcmp(got, wanted) != 0)
            fail_msg("%s at %s: %s", CASES[i].reference, CASES[i].base, got);
        free(url);
    }
}

static void references_are_bounded(void **state)
{
    (void)state;
    char reference[URL_REFERENCE_MAX + 2];
    memset(reference, 'a', sizeof(reference));
    reference[URL_REFERENCE_MAX] = '\0';
    char *url = url_resolve("http://h/", reference);
    assert_non_null(url);
    free(url);
    reference[URL_REFERENCE_MAX] = 'a';
    reference[URL_REFERENCE_MAX + 1] = '\0';
    assert_null(url_resolve("http://h/", reference));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_resolved_within_the_origin),
        cmocka_unit_test(references_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
