/* SPDX-License-Identifier: MIT */
/* The DELETE that ends a session. It goes on when its peer is gone, so it has a definition and an account of its own.
 *
 * A worker that leaves, or a servers file that is shorter by thousands of servers, ends all their sessions in one turn. If
 * all that were begun at once, none would end in time: so there are no more under way than attempts to connect may be,
 * and the others wait, in order, each to begin when one has ended.
 *
 *     peer_farewell -> waiting -> under way -> answered, failed or --farewell-timeout: gone
 *
 * No more wait than connections may be held. Past that, which takes servers that end sessions faster than they let them
 * be ended, a session is left to its server, as is one that cannot be told for want of memory. */
#include "common/slab.h"
#include "worker/peer/peer_internal.h"
#include "worker/stdio/stdio_process.h"

#include <stdlib.h>

struct farewell {
    struct farewell *next; /* waiting */
    struct server_def *def;
    char *session_id;
    struct transfer_target target;
    struct transfer *transfer;
};

static struct farewell *first_waiting, **last_link = &first_waiting;
static unsigned waiting, under_way;

static void farewell_destroy(struct farewell *farewell)
{
    server_def_destroy(farewell->def);
    slab_give_text(&slab_held, farewell->session_id);
    if (farewell->target.account != NULL)
        oauth_account_release(farewell->target.account);
    free(farewell);
}

static struct farewell *farewell_create(const struct transfer_target *target)
{
    struct farewell *farewell = calloc(1, sizeof(*farewell));
    if (farewell == NULL)
        return NULL;
    farewell->target = *target;
    if (target->account != NULL)
        farewell->target.account = oauth_account_hold(target->account);
    farewell->session_id = slab_take_text(&slab_held, target->session_id);
    farewell->def = server_def_copy(target->def);
    if (farewell->def == NULL || farewell->session_id == NULL) {
        farewell_destroy(farewell);
        return NULL;
    }
    farewell->target.session_id = farewell->session_id;
    farewell->target.def = farewell->def;
    farewell->target.url = farewell->def->url;
    return farewell;
}

static struct transfer_target target_of(void *user)
{
    const struct farewell *farewell = user;
    return farewell->target;
}

static void on_gone(void *user, const struct transfer_end *end);

static const struct transfer_handlers HANDLERS = {.target = target_of, .on_end = on_gone};

static void begin(struct farewell *farewell)
{
    const struct transfer_target *target = &farewell->target;
    const struct transfer_request request = {.http_method = "DELETE",
                                             .headers_timeout_ms = target->limits->farewell_ms,
                                             .total_timeout_ms = target->limits->farewell_ms,
                                             .close_after = true};
    if (transfer_start(target, &request, &HANDLERS, farewell, &farewell->transfer) == 0)
        under_way++;
    else
        farewell_destroy(farewell);
}

static void begin_waiting(void)
{
    while (first_waiting != NULL && under_way < first_waiting->target.limits->farewells) {
        struct farewell *farewell = first_waiting;
        first_waiting = farewell->next;
        if (first_waiting == NULL)
            last_link = &first_waiting;
        waiting--;
        begin(farewell);
    }
}

static void on_gone(void *user, const struct transfer_end *end)
{
    struct farewell *farewell = user;
    if (end->http != NULL && end->http->reason == HTTP_TIMED_OUT)
        limits_hit(farewell->target.limits, COUNTER_LIMIT_FAREWELL_TIME);
    farewell_destroy(farewell);
    under_way--;
    begin_waiting();
}

void peer_farewell(const struct transfer_target *target)
{
    struct farewell *farewell = waiting < target->limits->farewells_waiting ? farewell_create(target) : NULL;
    if (farewell == NULL)
        return;
    *last_link = farewell;
    last_link = &farewell->next;
    waiting++;
    begin_waiting();
}

unsigned peer_farewells(void)
{
    return waiting + under_way + stdio_process_leaving();
}
