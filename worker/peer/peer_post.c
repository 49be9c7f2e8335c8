/* SPDX-License-Identifier: MIT */
/* What a peer sends without waiting: answers to the server's requests, cancellations, and the DELETE that ends a
 * session. The first belong to the peer and end with it, and their number is bounded, so that a server that asks
 * endlessly gets no more than it has answers under way (over pipes, no more than wait to be read). A DELETE outlives its peer, in the background, for some
 * seconds. */
#include "worker/peer/peer_internal.h"

#include "worker/stdio/stdio_process.h"

#include <stdlib.h>

struct peer_answer {
    struct peer *peer;
    struct call *call;
    struct peer_answer *next;
};

struct farewell {
    struct transfer *transfer;
    struct limits *limits;
};

static unsigned farewells;

/* --- answers --- */

static void on_answered(void *user, const struct call_reply *reply)
{
    struct peer_answer *answer = user;
    struct peer *peer = answer->peer;
    (void)reply;
    struct peer_answer **link = &peer->answers;
    while (*link != answer)
        link = &(*link)->next;
    *link = answer->next;
    peer->answer_count--;
    free(answer);
}

static const struct call_handlers ANSWER_HANDLERS = {.on_reply = on_answered};

void peer_post(struct peer *peer, char *body)
{
    struct peer_answer *answer = NULL;
    if (peer->era->send != NULL) {
        if (body != NULL)
            peer->era->send(peer, body);
        free(body);
        return;
    }
    if (body != NULL && peer->answer_count < PEER_ANSWERS_MAX)
        answer = malloc(sizeof(*answer));
    if (answer != NULL) {
        *answer = (struct peer_answer){.peer = peer, .next = peer->answers};
        const struct call_request request = {.body = body, .timeout_ms = peer_attempt_ms(peer), .close_after = true};
        if (peer_call(peer, &request, &ANSWER_HANDLERS, answer, &answer->call) == 0) {
            peer->answers = answer;
            peer->answer_count++;
        } else {
            free(answer);
        }
    }
    free(body);
}

void peer_posts_cancel(struct peer *peer)
{
    while (peer->answers != NULL) {
        struct peer_answer *answer = peer->answers;
        peer->answers = answer->next;
        call_cancel(&answer->call);
        free(answer);
    }
    peer->answer_count = 0;
}

/* --- farewells --- */

static void on_gone(void *user, const struct transfer_end *end)
{
    struct farewell *farewell = user;
    if (end->http != NULL && end->http->reason == HTTP_TIMED_OUT)
        limits_hit(farewell->limits, COUNTER_LIMIT_FAREWELL_TIME);
    free(farewell);
    farewells--;
}

static const struct transfer_handlers FAREWELL_HANDLERS = {.on_end = on_gone};

void peer_farewell(const struct transfer_target *target)
{
    struct farewell *farewell = malloc(sizeof(*farewell));
    if (farewell == NULL)
        return;
    farewell->limits = target->limits;
    const struct transfer_request request = {.http_method = "DELETE",
                                             .headers_timeout_ms = target->limits->farewell_ms,
                                             .total_timeout_ms = target->limits->farewell_ms,
                                             .close_after = true};
    if (transfer_start(target, &request, &FAREWELL_HANDLERS, farewell, &farewell->transfer) == 0)
        farewells++;
    else
        free(farewell);
}

unsigned peer_farewells(void)
{
    return farewells + stdio_process_leaving();
}
