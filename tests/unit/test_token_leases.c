/* SPDX-License-Identifier: MIT */
/* Who gets a token, who a lease, and who has to wait; and what is left of it with time, failures and dead workers. */
#include "broker/hub/token_leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct token_leases *leases;
static struct token_lease_answer answer;

static int set_up(void **state)
{
    (void)state;
    leases = token_leases_create();
    return leases == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    token_leases_destroy(leases);
    return 0;
}

static bool put(struct token_lease_question question, uint64_t now_ms)
{
    if (question.grant == NULL)
        question.grant = "g";
    if (question.start_count == 0)
        question.start_count = 1;
    return token_leases_answer(leases, &question, now_ms, &answer);
}

/* Of slot, for the grant "g" without a chain. */
static enum token_lease_verdict ask(int slot, const char *known, bool refused, uint64_t now_ms)
{
    struct token_lease_question question = {.act = TOKEN_LEASE_ASK, .slot = slot, .known = known, .refused = refused};
    assert_false(put(question, now_ms));
    return answer.verdict;
}

static void give(int slot, const char *token, uint64_t lifetime_ms, uint64_t now_ms)
{
    struct token_lease_question question = {
        .act = TOKEN_LEASE_GIVE, .slot = slot, .token = token, .lifetime_ms = lifetime_ms};
    assert_false(put(question, now_ms));
    assert_int_equal(answer.verdict, TOKEN_LEASE_NOTED);
}

static void the_first_gets_it_for_all(void **state)
{
    (void)state;
    assert_int_equal(ask(0, NULL, false, 1000), TOKEN_LEASE_LEASE);
    assert_null(answer.refresh_token);
    assert_int_equal(ask(1, NULL, false, 1001), TOKEN_LEASE_WAIT);
    give(0, "t1", 60000, 2000);
    assert_int_equal(ask(1, NULL, false, 12000), TOKEN_LEASE_TOKEN);
    assert_string_equal(answer.token, "t1");
    assert_int_equal(answer.lifetime_ms, 50000);
    assert_int_equal(ask(1, NULL, false, 2000 + 60000 - 6000), TOKEN_LEASE_LEASE);
}

static void a_known_token_is_renewed_once_while_others_have_it(void **state)
{
    (void)state;
    give(0, "t1", 60000, 1000);
    assert_int_equal(ask(0, "t1", false, 2000), TOKEN_LEASE_LEASE);
    assert_int_equal(ask(1, "t1", false, 2000), TOKEN_LEASE_WAIT);
    assert_int_equal(ask(2, NULL, false, 2000), TOKEN_LEASE_TOKEN);
    give(0, "t2", 60000, 3000);
    assert_int_equal(ask(1, "t1", false, 3000), TOKEN_LEASE_TOKEN);
    assert_string_equal(answer.token, "t2");
}

static void a_refused_token_is_nobodys(void **state)
{
    (void)state;
    give(0, "t1", 60000, 1000);
    assert_int_equal(ask(0, "t1", true, 2000), TOKEN_LEASE_LEASE);
    assert_int_equal(ask(1, NULL, true, 2000), TOKEN_LEASE_WAIT);
    give(0, "t2", 60000, 3000);
    assert_int_equal(ask(1, "t1", true, 3000), TOKEN_LEASE_TOKEN);
    assert_int_equal(ask(1, NULL, true, 3000), TOKEN_LEASE_TOKEN);
    assert_string_equal(answer.token, "t2");
}

static void a_failure_is_told_for_a_moment(void **state)
{
    (void)state;
    assert_int_equal(ask(0, NULL, false, 1000), TOKEN_LEASE_LEASE);
    struct token_lease_question failed = {
        .act = TOKEN_LEASE_FAIL, .reason = 2, .text = "no", .retry_after_ms = 7, .slot = 0};
    assert_false(put(failed, 2000));
    assert_int_equal(ask(1, NULL, false, 2000 + TOKEN_LEASES_REMEMBER_MS - 1), TOKEN_LEASE_FAILED);
    assert_int_equal(answer.reason, 2);
    assert_string_equal(answer.text, "no");
    assert_int_equal(answer.retry_after_ms, 7);
    assert_int_equal(ask(1, NULL, false, 2000 + TOKEN_LEASES_REMEMBER_MS), TOKEN_LEASE_LEASE);
    failed.reason = 0; /* given back, and nothing said */
    failed.slot = 1;
    assert_false(put(failed, 5000));
    assert_int_equal(ask(2, NULL, false, 5000), TOKEN_LEASE_LEASE);
}

static void a_lease_ends_with_time_and_with_its_holder(void **state)
{
    (void)state;
    assert_int_equal(ask(0, NULL, false, 1000), TOKEN_LEASE_LEASE);
    assert_int_equal(ask(1, NULL, false, 1000 + TOKEN_LEASES_LEASE_MS - 1), TOKEN_LEASE_WAIT);
    assert_int_equal(ask(1, NULL, false, 1000 + TOKEN_LEASES_LEASE_MS), TOKEN_LEASE_LEASE);
    struct token_lease_question successor = {.act = TOKEN_LEASE_ASK, .slot = 1, .start_count = 2};
    assert_false(put(successor, 1000 + TOKEN_LEASES_LEASE_MS + 1));
    assert_int_equal(answer.verdict, TOKEN_LEASE_LEASE);
    struct token_lease_question late = {.act = TOKEN_LEASE_FAIL, .slot = 0}; /* it has no lease any more */
    assert_false(put(late, 1000 + TOKEN_LEASES_LEASE_MS + 2));
    assert_int_equal(ask(2, NULL, false, 1000 + TOKEN_LEASES_LEASE_MS + 3), TOKEN_LEASE_WAIT);
}

static struct token_lease_question of_chain(enum token_lease_act act, const char *grant, int slot)
{
    return (struct token_lease_question){
        .act = act, .grant = grant, .chain = "c", .slot = slot, .token = act == TOKEN_LEASE_GIVE ? "t" : NULL};
}

static void grants_of_a_chain_ask_one_after_another(void **state)
{
    (void)state;
    assert_false(put(of_chain(TOKEN_LEASE_ASK, "a", 0), 1000));
    assert_int_equal(answer.verdict, TOKEN_LEASE_LEASE);
    assert_null(answer.refresh_token);
    assert_false(put(of_chain(TOKEN_LEASE_ASK, "b", 0), 1000)); /* of the same worker, too */
    assert_int_equal(answer.verdict, TOKEN_LEASE_WAIT);
    struct token_lease_question got = of_chain(TOKEN_LEASE_GIVE, "a", 0);
    got.refresh_token = "r1";
    assert_true(put(got, 2000));
    assert_string_equal(token_leases_refresh_token(leases, "c"), "r1");
    assert_false(put(of_chain(TOKEN_LEASE_ASK, "b", 1), 2000));
    assert_int_equal(answer.verdict, TOKEN_LEASE_LEASE);
    assert_string_equal(answer.refresh_token, "r1");
    got = of_chain(TOKEN_LEASE_GIVE, "b", 1);
    got.refresh_token = "r1";
    assert_false(put(got, 3000)); /* still the same */
    got.refresh_token = NULL;
    assert_true(put(got, 3000)); /* the definition's again */
    assert_null(token_leases_refresh_token(leases, "c"));
}

static bool keeps_one(void *user, const char *chain)
{
    return strcmp(user, chain) == 0;
}

static void what_is_over_is_forgotten_and_refresh_tokens_are_not(void **state)
{
    char kept[] = "c1";
    (void)state;
    token_leases_load(leases, "c1", "r1");
    token_leases_load(leases, "c2", "r2");
    give(0, "t1", 60000, 1000);
    token_leases_sweep(leases, 2000);
    assert_int_equal(ask(1, NULL, false, 2000), TOKEN_LEASE_TOKEN);
    token_leases_sweep(leases, 61000);
    assert_int_equal(token_leases_chains(leases), 2);
    token_leases_forget(leases, keeps_one, kept);
    assert_int_equal(token_leases_chains(leases), 1);
    assert_string_equal(token_leases_refresh_token(leases, "c1"), "r1");
    assert_null(token_leases_refresh_token(leases, "c2"));
}

static void there_is_a_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= TOKEN_LEASES_MAX; i++) {
        char grant[16];
        snprintf(grant, sizeof(grant), "%u", i);
        struct token_lease_question question = {.act = TOKEN_LEASE_ASK, .grant = grant};
        assert_false(put(question, 1000));
        assert_int_equal(answer.verdict, TOKEN_LEASE_LEASE);
    }
    assert_int_equal(ask(0, NULL, false, 1000), TOKEN_LEASE_LEASE);
    assert_int_equal(ask(1, NULL, false, 1000), TOKEN_LEASE_LEASE); /* each by itself */
    token_leases_sweep(leases, 1000 + TOKEN_LEASES_LEASE_MS);
    assert_int_equal(ask(0, NULL, false, 50000), TOKEN_LEASE_LEASE);
    assert_int_equal(ask(1, NULL, false, 50000), TOKEN_LEASE_WAIT);
}

/* --- the wire --- */

static void messages_come_as_they_went(void **state)
{
    (void)state;
    const struct token_lease_question question = {.act = TOKEN_LEASE_GIVE,
                                                  .slot = 3,
                                                  .start_count = 4,
                                                  .grant = "g",
                                                  .chain = "c",
                                                  .known = "k",
                                                  .refused = true,
                                                  .token = "t",
                                                  .refresh_token = "r",
                                                  .lifetime_ms = 5,
                                                  .reason = 1,
                                                  .text = "x",
                                                  .retry_after_ms = 6};
    struct token_lease_question read;
    json_t *message = token_lease_question_write(&question);
    assert_int_equal(token_lease_question_read(message, &read), 0);
    assert_int_equal(read.act, TOKEN_LEASE_GIVE);
    assert_int_equal(read.slot, 3);
    assert_int_equal(read.start_count, 4);
    assert_string_equal(read.chain, "c");
    assert_string_equal(read.known, "k");
    assert_true(read.refused);
    assert_string_equal(read.refresh_token, "r");
    assert_int_equal(read.lifetime_ms, 5);
    assert_int_equal(read.retry_after_ms, 6);
    static const char *const needed[] = {"what", "slot", "start", "grant", "token", "lifetimeMs", "reason"};
    for (size_t i = 0; i < ARRAY_LENGTH(needed); i++) {
        json_t *less = json_copy(message);
        json_object_del(less, needed[i]);
        assert_int_equal(token_lease_question_read(less, &read), 1);
        json_object_set_new(less, needed[i], json_array());
        assert_int_equal(token_lease_question_read(less, &read), 1);
        json_decref(less);
    }
    json_decref(message);
    assert_int_equal(token_lease_question_read(NULL, &read), 1);

    struct token_lease_answer back;
    const struct token_lease_answer token = {.verdict = TOKEN_LEASE_TOKEN, .token = "t", .lifetime_ms = 9};
    message = token_lease_answer_write(&token);
    assert_int_equal(token_lease_answer_read(message, &back), 0);
    assert_string_equal(back.token, "t");
    assert_null(back.refresh_token);
    json_object_del(message, "token");
    assert_int_equal(token_lease_answer_read(message, &back), 1);
    json_decref(message);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_gets_it_for_all),
        TEST(a_known_token_is_renewed_once_while_others_have_it),
        TEST(a_refused_token_is_nobodys),
        TEST(a_failure_is_told_for_a_moment),
        TEST(a_lease_ends_with_time_and_with_its_holder),
        TEST(grants_of_a_chain_ask_one_after_another),
        TEST(what_is_over_is_forgotten_and_refresh_tokens_are_not),
        TEST(there_is_a_bound),
        TEST(messages_come_as_they_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
