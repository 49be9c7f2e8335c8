/* SPDX-License-Identifier: MIT */
/* What the files of a peer share: peer.c (eras, ends), peer_list.c (lists) and one file for each era. Private to them.
 *
 *   peer.c  chooses an era and calls its `start`; the era then either
 *             reaches its stream                   -> peer_listening
 *             finds that this is not its era       -> peer_not_this_era (peer.c tries the next one)
 *             or comes to an end                   -> peer_end, peer_fail
 *
 * Whoever owns a peer may close it in any of its handlers. So each call here that may run a handler (they say so)
 * is the last thing that its caller does: the peer may be gone when it returns. */
#ifndef WORKER_PEER_INTERNAL_H
#define WORKER_PEER_INTERNAL_H

#include "common/compiler.h"
#include "worker/http/delay.h"
#include "worker/peer/call.h"
#include "worker/peer/mcp.h"
#include "worker/peer/peer.h"

#include <assert.h>

enum {
    PEER_ANSWERS_MAX = 16, /* answers and other POSTs under way that nobody waits for; more are left out */
    PEER_TOOL_MS = 60000,
};

/* Something under way for a peer beside its stream: the first member of each of these. */
enum peer_task_type { PEER_ATTEMPT, PEER_ANSWER, PEER_LISTING, PEER_PING, PEER_TOOL };
struct peer_task {
    struct peer_task *next;
    enum peer_task_type type;
};

/* What an era does, for a peer that it was started for. */
struct peer_era {
    enum era era;
    bool names_methods;     /* requests carry Mcp-Method */
    bool answers_requests;  /* requests of the server are answered */
    bool cancels;           /* a request that is given up is cancelled by a notification */
    bool replies_on_stream; /* replies come on the stream, not in the response */
    bool resumes;           /* an answer's stream that was closed can be resumed */
    /* 0 or a negative errno; then nothing is left of it. */
    int (*start)(struct peer *peer);
    /* One of the two: where messages are POSTed; or what writes one, 0 or a negative errno. */
    struct transfer_target (*target)(const struct peer *peer);
    int (*send)(struct peer *peer, const char *body);
    /* NULL, or: when the reply says that the server has forgotten the session, ends the peer (which runs a handler), and
     * is true. */
    bool (*check_lost)(struct peer *peer, const struct call_reply *reply);
    /* Cuts the stream and everything under way but lists and posts; says goodbye if there is a session. */
    void (*close)(struct peer *peer);
};
extern const struct peer_era PEER_STATELESS, PEER_SESSION, PEER_HTTP_SSE, PEER_STDIO_STATELESS, PEER_STDIO_SESSION;

/* A fetch under way; one of a kind at most. */
struct peer_listing {
    struct peer_task task;
    struct peer *peer;
    enum kind kind;
    struct catalog *catalog;
    struct peer_page *page; /* that is being added beside the loop, with the catalog; NULL: none */
    struct delay *limit;
    struct call *call;                      /* the request under way, or NULL */
    uint32_t id;                            /* of the request */
    const char *failed;                     /* it could not be started, for this reason; told from the loop */
    char server_info[ROW_SERVER_INFO_SIZE]; /* "": not told */
    bool paged;                             /* the request is not for the first page */
    bool restarted;
    bool again; /* asked for meanwhile */
};

/* Until it is listening, or over. */
struct peer_attempt {
    struct peer_task task;
    struct delay *limit;
    const char *step;    /* the request that it waits for */
    const char *version; /* this and the next one as in peer_facts */
    char *server_info;
    uint8_t tried;   /* bit an era */
    bool may_be_sse; /* `initialize` was refused as servers of 2024-11-05 refuse it */
    bool is_refused; /* listening was, before it was known by what server: */
    struct peer_end refusal;
};

struct peer_stateless {
    union {
        struct call *call;       /* server/discover, or subscriptions/listen until it is acknowledged */
        struct transfer *stream; /* from then on */
    } under_way;                 /* or NULL */
    uint32_t id;                 /* of that request */
    bool is_acknowledged;
    bool has_discovered; /* or has been asked to, in this attempt */
    bool retried;
};

/* Kept small: there is one for each server that is listened to. */
struct peer {
    const struct peer_env *env;
    struct server_def *def;
    void *user;
    struct oauth_account *account; /* NULL: the definition has no `auth` */
    const struct peer_era *era;    /* the one under way; NULL once it has been closed */
    union {
        struct peer_stateless stateless;
        struct peer_session *session;
        struct peer_http_sse *http_sse;
        struct peer_stdio *stdio;
    } as;
    struct peer_task *tasks;
    uint32_t last_id;
    uint8_t known_era; /* this and the next ones as in peer_facts */
    uint8_t advertised, has, heard;
    bool is_listening;
    bool is_ended;
    bool is_too_much;     /* more requests than allowed: to be ended */
    bool is_unsupported;  /* ended, but lists can be fetched */
    bool knows_ping;      /* it has answered one */
    bool is_deaf_to_ping; /* it answers, but not that */
};
static_assert(sizeof(struct peer) <= 80, "there is one for each server that is listened to");

/* --- peer.c: eras and ends --- */

/* The first of `tasks` that is of a type, or NULL. */
struct peer_task *peer_task_find(struct peer_task *tasks, enum peer_task_type type);
void peer_task_add(struct peer *peer, struct peer_task *task, enum peer_task_type type);
void peer_task_remove(struct peer *peer, const struct peer_task *task);

/* NULL: it is listening, or over. */
struct peer_attempt *peer_attempt(const struct peer *peer);

uint64_t peer_attempt_ms(const struct peer *peer);
struct transfer_target peer_target(const struct peer *peer);
/* The same for transfer_handlers, of a stream: `user` is the peer. */
struct transfer_target peer_stream_target(void *user);

/* The request that the attempt waits for; without one setting does nothing, and getting gives "". */
void peer_set_step(struct peer *peer, const char *step);
const char *peer_step(const struct peer *peer);

/* Counts a request, of either side. */
void peer_count(struct peer *peer);

/* A new id for a request. */
uint32_t peer_new_id(struct peer *peer);

/* A call to the server in the era under way, which decides whether its method is named and its stream resumed; the time
 * for the headers is that of an attempt when there is none for the whole. In an era that writes, *out is NULL then, and
 * the reply comes as any message. 0 or a negative errno. */
MUST_CHECK int peer_call(struct peer *peer, const struct call_request *wanted, const struct call_handlers *handlers,
                         void *user, struct call **out);

/* Ends the peer when `result`, of starting `what`, is a failure. Runs a handler then. */
void peer_check(struct peer *peer, const char *what, int result);

/* Takes over what the server says of itself. */
void peer_greet(struct peer *peer, const struct mcp_hello *hello);

/* The stream is open. Runs a handler. */
void peer_listening(struct peer *peer);

/* Ends the peer. Runs a handler. */
void peer_end(struct peer *peer, enum peer_end_reason reason, const char *format, ...) PRINTF_LIKE(3, 4);
void peer_end_as(struct peer *peer, const struct peer_end *end);

/* Ends it as a reply says that is no good: `what` names the request. Runs a handler. */
void peer_fail(struct peer *peer, const char *what, const struct call_reply *reply);

/* True for replies that say nothing about the era: an outage, credentials, policy. */
bool peer_is_beside_the_era(const struct call_reply *reply);

/* The reply to `what` says that the server is not of this era; tries another one. Runs a handler. */
void peer_not_this_era(struct peer *peer, const char *what, const struct call_reply *reply);

/* What is wrong with a reply, as "HTTP 503": no text of the server's. */
void peer_reply_text(const struct call_reply *reply, char text[ROW_ERROR_SIZE]);

/* The end that a reply to `what` is the cause of. */
struct peer_end peer_end_from(enum peer_end_reason reason, const char *what, const struct call_reply *reply);

/* Handles what may come on any stream: list_changed, and requests. Runs a handler. */
void peer_on_message(struct peer *peer, const struct jsonrpc_message *message);
void peer_on_heard(struct peer *peer);

/* A reply that came on the stream: to a request of a listing or for a tool, or to none. Runs a handler. */
void peer_on_reply(struct peer *peer, const struct jsonrpc_message *message);

/* --- peer_post.c: what nobody waits for --- */

/* POSTs or writes `body`, which it frees; NULL, or one too many, is left out. */
void peer_post(struct peer *peer, char *body);
void peer_posts_cancel(struct peer *peer);

/* --- peer_farewell.c: the end of a session --- */

/* Ends the target's session by DELETE, in the background, once others let it. What `target` points at is copied. */
void peer_farewell(const struct transfer_target *target);

/* --- peer_list.c: lists --- */

/* False when it is to none of the listings. Otherwise runs a handler. */
bool peer_list_on_reply(struct peer *peer, const struct jsonrpc_message *message);

/* Drops all fetches, without a word. */
void peer_lists_cancel(struct peer *peer);

/* Makes all fetches fail, from the loop; `error` is a literal. */
void peer_lists_fail(struct peer *peer, const char *error);

/* --- peer_ping.c: whether it is still there --- */

/* True when the reply, which came on the stream, is to its question. Runs a handler. */
bool peer_ping_on_reply(struct peer *peer, const struct jsonrpc_message *message);
void peer_ping_heard(struct peer *peer);
void peer_ping_cancel(struct peer *peer);

/* --- peer_tool.c: calling a tool --- */

/* False when it is no reply to it. Otherwise runs a handler. */
bool peer_tool_on_reply(struct peer *peer, const struct jsonrpc_message *message);
void peer_tool_cancel(struct peer *peer);

/* --- peer_stateless.c: a subscription, whatever it comes over --- */

/* A message, no reply, while the subscription `id` is being made or open. Runs a handler. */
void peer_stateless_on_message(struct peer *peer, uint32_t id, const struct jsonrpc_message *message);

/* It was refused, or has ended. Runs a handler. */
void peer_stateless_over(struct peer *peer, const struct call_reply *reply);

#endif
