/* SPDX-License-Identifier: MIT */
/* A queue of questions of which the first is under way: the hub answers each at once, so that one after another is quick
 * enough. What it has to be told is repeated until it has heard it, also by its next incarnation; who asks, however,
 * waits HUB_MS at most.
 *
 * "wait" is an answer, too: the same is asked again a little later, for as long as the hub says so, which is bounded by
 * its leases. */
#include "worker/oauth/tokens.h"

#include "common/buf.h"
#include "common/bus.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/paths.h"
#include "worker/http/delay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>

enum { HUB_MS = 3000, AGAIN_MS = 200, PAUSE_MS = 1000, QUEUE_MAX = 4096 };

struct item {
    struct item *next;
    struct tokens_wait *wait; /* NULL: nobody waits for the answer */
    json_t *question;
    bool is_told; /* it must arrive */
};

struct tokens_wait {
    struct tokens *tokens;
    struct item *item; /* in the queue; NULL: `again` runs */
    struct delay *limit, *again;
    json_t *question;
    void (*on_answer)(void *user, const struct token_lease_answer *answer);
    void *user;
};

struct tokens {
    uv_loop_t *loop;
    struct bus_req *bus;
    int slot;
    uint64_t start_count;
    struct item *first, **last;
    size_t count;
    size_t told; /* of them that must arrive */
    bool asking; /* the first one */
    uv_timer_t pause;
};

/* --- the queue --- */

static void pump(struct tokens *tokens);

/* False without memory or room. */
static bool enqueue(struct tokens *tokens, json_t *question, struct tokens_wait *wait)
{
    struct item *item = tokens->count < QUEUE_MAX ? calloc(1, sizeof(*item)) : NULL;
    if (item == NULL)
        return false;
    *item = (struct item){.wait = wait, .question = json_incref(question), .is_told = wait == NULL};
    if (wait != NULL)
        wait->item = item;
    *tokens->last = item;
    tokens->last = &item->next;
    tokens->count++;
    tokens->told += item->is_told ? 1 : 0;
    pump(tokens);
    return true;
}

/* Takes the first one off. */
static void dequeue(struct tokens *tokens)
{
    struct item *item = tokens->first;
    tokens->first = item->next;
    if (tokens->first == NULL)
        tokens->last = &tokens->first;
    tokens->count--;
    tokens->told -= item->is_told ? 1 : 0;
    if (item->wait != NULL)
        item->wait->item = NULL;
    json_decref(item->question);
    free(item);
}

static void on_pause_over(uv_timer_t *timer)
{
    pump(timer->data);
}

static void deliver(struct tokens_wait *wait, const struct token_lease_answer *answer);

static void on_answer(void *user, const void *bytes, size_t size)
{
    struct tokens *tokens = user;
    struct token_lease_answer answer;
    json_t *message = bytes != NULL ? pack_read(bytes, size) : NULL;
    bool is_answer = message != NULL && token_lease_answer_read(message, &answer) == 0;
    struct tokens_wait *wait = tokens->first->wait;
    tokens->asking = false;
    if (!is_answer) { /* whoever waits does so until its limit */
        log_warn("tokens.no_answer", LOG_U64("bytes", size));
        uv_timer_start(&tokens->pause, on_pause_over, PAUSE_MS, 0);
    } else {
        dequeue(tokens);
        if (wait != NULL)
            deliver(wait, &answer);
        pump(tokens);
    }
    json_decref(message);
}

static void pump(struct tokens *tokens)
{
    struct buf bytes;
    if (tokens->asking || uv_is_active((uv_handle_t *)&tokens->pause))
        return;
    while (tokens->first != NULL && tokens->first->wait == NULL && !tokens->first->is_told)
        dequeue(tokens); /* nobody waits for it any more */
    if (tokens->first == NULL)
        return;
    buf_init(&bytes, TOKEN_LEASE_BYTES_MAX);
    int result = pack_write(&bytes, tokens->first->question);
    if (result == BUF_FULL) {
        log_error("tokens.too_large", LOG_U64("bytes", bytes.size));
        tokens->first->is_told = false; /* its asker has its limit */
    } else if (result == 0) {
        result = bus_req_ask(tokens->bus, bytes.bytes, bytes.size, on_answer, tokens);
    }
    buf_fini(&bytes);
    tokens->asking = result == 0;
    if (result != 0)
        uv_timer_start(&tokens->pause, on_pause_over, PAUSE_MS, 0);
}

/* --- those who wait --- */

void tokens_cancel(struct tokens_wait **wait)
{
    struct tokens_wait *old = *wait;
    *wait = NULL;
    if (old == NULL)
        return;
    if (old->item != NULL)
        old->item->wait = NULL;
    delay_cancel(&old->limit);
    delay_cancel(&old->again);
    json_decref(old->question);
    free(old);
}

/* The last thing that is done with it. */
static void finish(struct tokens_wait *wait, const struct token_lease_answer *answer)
{
    void (*tell)(void *user, const struct token_lease_answer *answer) = wait->on_answer;
    void *user = wait->user;
    tokens_cancel(&wait);
    tell(user, answer);
}

static void on_limit(void *user)
{
    struct tokens_wait *wait = user;
    wait->limit = NULL;
    finish(wait, NULL);
}

static bool ask(struct tokens_wait *wait)
{
    return delay_start(wait->tokens->loop, HUB_MS, on_limit, wait, &wait->limit) == 0 &&
           enqueue(wait->tokens, wait->question, wait);
}

static void on_again(void *user)
{
    struct tokens_wait *wait = user;
    wait->again = NULL;
    if (!ask(wait))
        finish(wait, NULL);
}

static void deliver(struct tokens_wait *wait, const struct token_lease_answer *answer)
{
    delay_cancel(&wait->limit);
    if (answer->verdict != TOKEN_LEASE_WAIT ||
        delay_start(wait->tokens->loop, AGAIN_MS, on_again, wait, &wait->again) != 0)
        finish(wait, answer->verdict == TOKEN_LEASE_WAIT ? NULL : answer);
}

/* NULL without memory. */
static json_t *write_question(const struct tokens *tokens, const struct token_lease_question *question)
{
    struct token_lease_question ours = *question;
    ours.slot = tokens->slot;
    ours.start_count = tokens->start_count;
    return token_lease_question_write(&ours);
}

int tokens_ask(struct tokens *tokens, const struct token_lease_question *question,
               void (*on_end)(void *user, const struct token_lease_answer *answer), void *user,
               struct tokens_wait **out)
{
    struct tokens_wait *wait = calloc(1, sizeof(*wait));
    if (wait == NULL)
        return -ENOMEM;
    *wait = (struct tokens_wait){
        .tokens = tokens, .question = write_question(tokens, question), .on_answer = on_end, .user = user};
    if (wait->question == NULL || !ask(wait)) {
        tokens_cancel(&wait);
        return -ENOMEM;
    }
    *out = wait;
    return 0;
}

void tokens_tell(struct tokens *tokens, const struct token_lease_question *question)
{
    json_t *message = write_question(tokens, question);
    if (message == NULL || !enqueue(tokens, message, NULL))
        log_error("tokens.not_told", LOG_TEXT("then", "other workers get a token of their own"));
    json_decref(message);
}

bool tokens_is_busy(const struct tokens *tokens)
{
    return tokens->told > 0;
}

/* --- life --- */

int tokens_open(uv_loop_t *loop, const char *run_dir, int slot, uint64_t start_count, struct tokens **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    int result = paths_join(path, sizeof(path), run_dir, PATHS_TOKENS);
    if (result != 0)
        return result;
    struct tokens *tokens = calloc(1, sizeof(*tokens));
    if (tokens == NULL)
        return -ENOMEM;
    *tokens = (struct tokens){.loop = loop, .slot = slot, .start_count = start_count};
    tokens->last = &tokens->first;
    result = bus_req_open(loop, path, TOKEN_LEASE_BYTES_MAX, &tokens->bus);
    if (result != 0) {
        free(tokens);
        return result;
    }
    uv_timer_init(loop, &tokens->pause);
    tokens->pause.data = tokens;
    *out = tokens;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void tokens_close(struct tokens *tokens)
{
    if (tokens == NULL)
        return;
    bus_req_close(tokens->bus);
    while (tokens->first != NULL)
        dequeue(tokens);
    uv_close((uv_handle_t *)&tokens->pause, on_closed);
}
