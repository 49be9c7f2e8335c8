/* SPDX-License-Identifier: MIT */
/* What a peer sends without waiting: answers to the server's requests, and cancellations. They belong to the peer and end
 * with it, and their number is bounded, so that a server that asks endlessly gets no more than it has answers under way
 * (over pipes, no more than wait to be read). */
#include "worker/peer/peer_internal.h"

#include <stdlib.h>

struct peer_answer {
    struct peer *peer;
    struct call *call;
    struct peer_answer *next;
};

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
