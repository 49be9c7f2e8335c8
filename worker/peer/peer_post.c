/* SPDX-License-Identifier: MIT */
/* What a peer sends without waiting: answers to the server's requests, and cancellations. They belong to the peer and end
 * with it, and their number is bounded, so that a server that asks endlessly gets no more than it has answers under way
 * (over pipes, no more than wait to be read). */
#include "worker/peer/peer_internal.h"

#include <stdlib.h>

struct peer_answer {
    struct peer_task task;
    struct peer *peer;
    struct call *call;
};

static struct peer_answer *first_of(struct peer_task *tasks)
{
    return (struct peer_answer *)peer_task_find(tasks, PEER_ANSWER);
}

static unsigned count_answers(const struct peer *peer)
{
    unsigned count = 0;
    for (const struct peer_answer *answer = first_of(peer->tasks); answer != NULL; answer = first_of(answer->task.next))
        count++;
    return count;
}

static void on_answered(void *user, const struct call_reply *reply)
{
    struct peer_answer *answer = user;
    (void)reply;
    peer_task_remove(answer->peer, &answer->task);
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
    if (body != NULL && count_answers(peer) < PEER_ANSWERS_MAX)
        answer = malloc(sizeof(*answer));
    if (answer != NULL) {
        *answer = (struct peer_answer){.peer = peer};
        const struct call_request request = {.body = body, .timeout_ms = peer_attempt_ms(peer), .close_after = true};
        if (peer_call(peer, &request, &ANSWER_HANDLERS, answer, &answer->call) == 0)
            peer_task_add(peer, &answer->task, PEER_ANSWER);
        else
            free(answer);
    }
    free(body);
}

void peer_posts_cancel(struct peer *peer)
{
    struct peer_answer *answer;
    while ((answer = first_of(peer->tasks)) != NULL) {
        peer_task_remove(peer, &answer->task);
        call_cancel(&answer->call);
        free(answer);
    }
}
