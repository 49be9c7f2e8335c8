/* SPDX-License-Identifier: MIT */
/* Each way in which a peer can end, in each state that has a peer: to an event that the state knows. */
#include "worker/conn/verdict.h"

#include "common/compiler.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum state after(enum state state, enum peer_end_reason reason, bool polled)
{
    struct conn_step step = conn_fsm_next(state, verdict_of_end(state, reason, polled));
    assert_int_not_equal(step.action, CONN_NEVER);
    return step.next;
}

static void test_an_end_leads_to_the_state_that_users_see(void **unused)
{
    (void)unused;
    static const enum state with_peer[] = {STATE_CONNECTING, STATE_LISTENING, STATE_POLLING};
    for (size_t i = 0; i < ARRAY_LENGTH(with_peer); i++) {
        enum state state = with_peer[i];
        assert_int_equal(after(state, PEER_UNSUPPORTED, false), STATE_UNSUPPORTED);
        assert_int_equal(after(state, PEER_UNSUPPORTED, true), STATE_POLLING);
        assert_int_equal(after(state, PEER_UNAUTHORIZED, false), STATE_UNAUTHORIZED);
        assert_int_equal(after(state, PEER_FORBIDDEN, false), STATE_REFUSED);
        assert_int_equal(after(state, PEER_NO_RESOURCES, false), STATE_QUEUED);
        assert_int_equal(after(state, PEER_UNREACHABLE, true), STATE_BACKOFF);
        assert_int_equal(after(state, PEER_STREAM_ENDED, false), STATE_BACKOFF);
        assert_int_equal(after(state, PEER_SESSION_LOST, false), STATE_BACKOFF);
        assert_int_equal(after(state, PEER_PROTOCOL, true), STATE_BACKOFF);
    }
}

static void test_what_cannot_start_is_ours_or_can_never_start(void **unused)
{
    (void)unused;
    static const int ours[] = {-ENOMEM, -EMFILE, -ENFILE, -EAGAIN};
    const char *text = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(ours); i++) {
        assert_int_equal(verdict_of_start(ours[i], &text), CONN_EVENT_NO_RESOURCES);
        assert_non_null(text);
    }
    assert_int_equal(verdict_of_start(-EINVAL, &text), CONN_EVENT_REFUSED);
    assert_int_equal(verdict_of_start(-ENOTSUP, &text), CONN_EVENT_REFUSED);
    assert_string_equal(text, "programs are started for the servers file only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_leads_to_the_state_that_users_see),
        cmocka_unit_test(test_what_cannot_start_is_ours_or_can_never_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
