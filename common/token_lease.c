/* SPDX-License-Identifier: MIT */
/* Both messages as JSON objects: the act or verdict as `what`, and of the other members those that it has. Both ends
 * are ours, but may be of two builds for a moment: what does not fit is an outcome, not an assertion. */
#include "common/token_lease.h"

#include <string.h>

static const char *const ACTS[] = {"ask", "give", "fail"};
static const char *const VERDICTS[] = {"token", "lease", "wait", "failed", "noted"};

json_t *token_lease_question_write(const struct token_lease_question *question)
{
    return json_pack("{s:s, s:i, s:I, s:s, s:s?, s:s?, s:b, s:s?, s:s?, s:I, s:i, s:s?, s:I}", "what",
                     ACTS[question->act], "slot", question->slot, "start", (json_int_t)question->start_count, "grant",
                     question->grant, "chain", question->chain, "known", question->known, "refused", question->refused,
                     "token", question->token, "refreshToken", question->refresh_token, "lifetimeMs",
                     (json_int_t)question->lifetime_ms, "reason", question->reason, "text", question->text,
                     "retryAfterMs", (json_int_t)question->retry_after_ms);
}

json_t *token_lease_answer_write(const struct token_lease_answer *answer)
{
    return json_pack("{s:s, s:s?, s:s?, s:I, s:i, s:s?, s:I}", "what", VERDICTS[answer->verdict], "token",
                     answer->token, "refreshToken", answer->refresh_token, "lifetimeMs",
                     (json_int_t)answer->lifetime_ms, "reason", answer->reason, "text", answer->text, "retryAfterMs",
                     (json_int_t)answer->retry_after_ms);
}

static const char *text_of(const json_t *message, const char *key)
{
    return json_string_value(json_object_get(message, key));
}

/* False when it is no number from 0 to `max`. */
static bool read_number(const json_t *message, const char *key, json_int_t max, uint64_t *out)
{
    const json_t *number = json_object_get(message, key);
    json_int_t value = json_integer_value(number);
    if (!json_is_integer(number) || value < 0 || value > max)
        return false;
    *out = (uint64_t)value;
    return true;
}

/* The index of `what` among the words, or `count`. */
static unsigned read_what(const json_t *message, const char *const words[], unsigned count)
{
    const char *what = text_of(message, "what");
    unsigned i = 0;
    while (i < count && (what == NULL || strcmp(what, words[i]) != 0))
        i++;
    return i;
}

int token_lease_question_read(const json_t *message, struct token_lease_question *question)
{
    uint64_t slot, reason;
    unsigned act = read_what(message, ACTS, ARRAY_LENGTH(ACTS));
    struct token_lease_question got = {
        .act = (enum token_lease_act)act,
        .grant = text_of(message, "grant"),
        .chain = text_of(message, "chain"),
        .known = text_of(message, "known"),
        .refused = json_is_true(json_object_get(message, "refused")),
        .token = text_of(message, "token"),
        .refresh_token = text_of(message, "refreshToken"),
        .text = text_of(message, "text"),
    };
    if (act == ARRAY_LENGTH(ACTS) || got.grant == NULL || (got.act == TOKEN_LEASE_GIVE && got.token == NULL) ||
        !read_number(message, "slot", INT32_MAX, &slot) ||
        !read_number(message, "start", INT64_MAX, &got.start_count) ||
        !read_number(message, "lifetimeMs", INT64_MAX / 2, &got.lifetime_ms) ||
        !read_number(message, "reason", INT32_MAX, &reason) ||
        !read_number(message, "retryAfterMs", INT64_MAX / 2, &got.retry_after_ms))
        return 1;
    got.slot = (int)slot;
    got.reason = (int)reason;
    *question = got;
    return 0;
}

int token_lease_answer_read(const json_t *message, struct token_lease_answer *answer)
{
    uint64_t reason;
    unsigned verdict = read_what(message, VERDICTS, ARRAY_LENGTH(VERDICTS));
    struct token_lease_answer got = {
        .verdict = (enum token_lease_verdict)verdict,
        .token = text_of(message, "token"),
        .refresh_token = text_of(message, "refreshToken"),
        .text = text_of(message, "text"),
    };
    if (verdict == ARRAY_LENGTH(VERDICTS) || (got.verdict == TOKEN_LEASE_TOKEN && got.token == NULL) ||
        !read_number(message, "lifetimeMs", INT64_MAX / 2, &got.lifetime_ms) ||
        !read_number(message, "reason", INT32_MAX, &reason) ||
        !read_number(message, "retryAfterMs", INT64_MAX / 2, &got.retry_after_ms))
        return 1;
    got.reason = (int)reason;
    *answer = got;
    return 0;
}
