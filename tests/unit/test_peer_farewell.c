/* SPDX-License-Identifier: MIT */
/* Sessions that are ended, many at once: how many are under way, in which order, and what each still has of its own when
 * its peer is gone. transfer.c is replaced at link time by what stands here. */
#include "worker/peer/peer_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TRANSFERS_MAX = 16, FAREWELL_MS = 700 };

/* --- the transfers --- */

struct transfer {
    struct transfer_target target;
    const struct transfer_handlers *handlers;
    void *user;
};

static struct transfer started[TRANSFERS_MAX]; /* in this order */
static size_t started_count;
static int start_result;

int transfer_start(const struct transfer_target *target, const struct transfer_request *request,
                   const struct transfer_handlers *handlers, void *user, struct transfer **out)
{
    assert_string_equal(request->http_method, "DELETE");
    assert_int_equal(request->headers_timeout_ms, FAREWELL_MS);
    assert_int_equal(request->total_timeout_ms, FAREWELL_MS);
    if (start_result != 0)
        return start_result;
    assert_true(started_count < TRANSFERS_MAX);
    *out = &started[started_count++];
    **out = (struct transfer){.target = *target, .handlers = handlers, .user = user};
    return 0;
}

static void end(size_t number, enum http_end_reason reason)
{
    const struct http_end http = {.reason = reason};
    started[number].handlers->on_end(started[number].user, &(struct transfer_end){.http = &http});
}

/* --- the sessions --- */

static struct limits limits;

static void fail_on(void *user, const char *id, const char *key, const char *message)
{
    (void)user;
    fail_msg("%s: %s: %s", id, key, message);
}

/* Ends session `number`, of which nothing is left then. */
static void say(unsigned number)
{
    char url[64], session_id[16];
    snprintf(url, sizeof(url), "http://host/%u", number);
    snprintf(session_id, sizeof(session_id), "session-%u", number);
    json_t *object = json_pack("{s:s,s:{s:s}}", "url", url, "headers", "X-Key", session_id);
    struct server_def *def = server_def_from_json("id", object, SOURCE_FILE, fail_on, NULL);
    json_decref(object);
    assert_non_null(def);
    peer_farewell(&(struct transfer_target){.limits = &limits, .def = def, .url = def->url, .session_id = session_id});
    server_def_destroy(def);
    memset(session_id, 'x', sizeof(session_id));
}

/* The transfers so far are those of these sessions, in this order. */
static void expect_started(const char *numbers)
{
    assert_int_equal(started_count, strlen(numbers));
    for (size_t i = 0; i < started_count; i++) {
        char url[64], session_id[16];
        snprintf(url, sizeof(url), "http://host/%c", numbers[i]);
        snprintf(session_id, sizeof(session_id), "session-%c", numbers[i]);
        if (started[i].handlers == NULL)
            continue;
        assert_string_equal(started[i].target.url, url);
        assert_string_equal(started[i].target.session_id, session_id);
        assert_string_equal(started[i].target.def->extras->headers[0].value, session_id);
    }
}

static void finish(size_t number)
{
    end(number, HTTP_DONE);
    started[number].handlers = NULL;
}

static int set_up(void **state)
{
    (void)state;
    limits = (struct limits){.farewell_ms = FAREWELL_MS, .farewells = 2, .farewells_waiting = 3};
    started_count = 0;
    start_result = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < started_count; i++)
        if (started[i].handlers != NULL)
            finish(i);
    return peer_farewells() == 0 ? 0 : -1;
}

/* --- the tests --- */

static void test_others_begin_as_some_end(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 5; number++)
        say(number);
    expect_started("01");
    assert_int_equal(peer_farewells(), 5);
    finish(1);
    expect_started("012");
    finish(0);
    finish(2);
    expect_started("01234");
    assert_int_equal(peer_farewells(), 2);
    finish(3);
    finish(4);
    assert_int_equal(peer_farewells(), 0);
    say(5);
    expect_started("012345");
}

static void test_too_many_are_left_to_their_servers(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 7; number++)
        say(number);
    assert_int_equal(peer_farewells(), 5);
    finish(0);
    say(8);
    for (size_t i = 1; i < 6; i++)
        finish(i);
    expect_started("012348");
    assert_int_equal(peer_farewells(), 0);
}

static void test_another_bound_holds_from_the_next_one_on(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 4; number++)
        say(number);
    limits.farewells = 1;
    finish(0);
    expect_started("01");
    limits.farewells = 9;
    finish(1);
    expect_started("0123");
}

static void test_one_that_cannot_begin_is_left_out(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 4; number++)
        say(number);
    start_result = -ENOMEM;
    finish(0);
    assert_int_equal(peer_farewells(), 1);
    start_result = 0;
    say(4);
    expect_started("014");
}

static void test_what_was_not_confirmed_is_counted(void **state)
{
    (void)state;
    const uint64_t *hits = &limits.hits[COUNTER_LIMIT_FAREWELL_TIME - LIMITS_FIRST];
    for (unsigned number = 0; number < 2; number++)
        say(number);
    finish(0);
    assert_int_equal(*hits, 0);
    end(1, HTTP_TIMED_OUT);
    started[1].handlers = NULL;
    assert_int_equal(*hits, 1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_others_begin_as_some_end),
        TEST(test_too_many_are_left_to_their_servers),
        TEST(test_another_bound_holds_from_the_next_one_on),
        TEST(test_one_that_cannot_begin_is_left_out),
        TEST(test_what_was_not_confirmed_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
