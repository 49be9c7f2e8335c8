/* SPDX-License-Identifier: MIT */
/* nng on a libuv loop: the home of nng, and where its threads end. Everything above runs on the loop's thread.
 * Addresses are paths of sockets in the run directory. Messages are copied out of and into nng's, and bounded by the
 * `max` given.
 *
 * pub/sub: whoever listens or dials, and in whatever order they start, dialling is retried for ever. A queue that is
 * full drops (nng's way); receivers count on sequence numbers, not on the bus.
 *
 * Each x_open returns 0, or a negative errno (-EADDRINUSE: somebody else listens there; a stale socket file is
 * replaced). Each x_close may be called at any time but within nng's callbacks; no handler runs afterwards; NULL does
 * nothing. */
#ifndef COMMON_BUS_H
#define COMMON_BUS_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

enum bus_end { BUS_LISTEN, BUS_DIAL };

/* --- pub --- */
struct bus_pub;
struct bus_pub_options {
    const char *path;
    enum bus_end end;
    mode_t mode;          /* of the socket file, when listening */
    int queue;            /* messages that wait for each subscriber; older ones are dropped */
    int pipes_max;        /* subscribers at once, 0: 1024; more are closed as they come, and counted */
    bool is_uncached;     /* threads of nng's keep no memory of messages for others, which costs a little for each */
    uv_async_t *arrivals; /* sent once a subscriber has come that hears what is sent from then on; NULL: nobody cares */
};
MUST_CHECK int bus_pub_open(const struct bus_pub_options *options, struct bus_pub **out);
/* Whether there is a subscriber: with none, what is sent goes nowhere. */
bool bus_pub_is_heard(const struct bus_pub *pub);
/* 0, or a negative errno. 0 says nothing about anybody having got it. */
MUST_CHECK int bus_pub_send(struct bus_pub *pub, const void *bytes, size_t size);
uint64_t bus_pub_refused(const struct bus_pub *pub);
/* Messages that were dropped for subscribers that do not read, about, and never more than were. Counted from the first time that
 * this is asked, for who is there then; to be asked when one comes, and now and then. */
uint64_t bus_pub_dropped(struct bus_pub *pub);
void bus_pub_close(struct bus_pub *pub);

/* --- sub --- */
struct bus_sub;
struct bus_sub_options {
    const char *path;
    enum bus_end end;
    mode_t mode;       /* of the socket file, when listening */
    const char *topic; /* prefix; "" for all */
    size_t max;        /* largest message; a larger one closes its pipe */
    size_t queue;      /* messages kept while the loop is busy; more are dropped and counted */
    /* Whether there is a publisher, whenever that changes; NULL: nobody cares. May not close the sub. */
    void (*on_presence)(void *user, bool present);
};
MUST_CHECK int bus_sub_open(uv_loop_t *loop, const struct bus_sub_options *options,
                            void (*on_message)(void *user, const void *bytes, size_t size), void *user,
                            struct bus_sub **out);
uint64_t bus_sub_dropped(const struct bus_sub *sub);
void bus_sub_close(struct bus_sub *sub);

/* --- rep: questions that may be answered later --- */
struct bus_rep;
struct bus_question; /* lives until it is answered or dropped */
struct bus_peer {
    uid_t uid;
    pid_t pid;
};
struct bus_rep_options {
    const char *path;
    mode_t mode;
    size_t max;      /* largest question */
    size_t held_max; /* questions without an answer yet; more wait in their clients */
    int pipes_max;   /* clients at once, 0: 1024; more are closed as they come, and counted */
};
MUST_CHECK int bus_rep_open(uv_loop_t *loop, const struct bus_rep_options *options,
                            void (*on_question)(void *user, struct bus_question *question, const void *bytes,
                                                size_t size),
                            void *user, struct bus_rep **out);
/* Who asks, as the kernel says. 0 or a negative errno. */
MUST_CHECK int bus_question_peer(const struct bus_question *question, struct bus_peer *peer);
/* Sends the answer and frees the question; the asker may be gone, which is no error. */
void bus_question_answer(struct bus_question *question, const void *bytes, size_t size);
/* Frees it without an answer. */
void bus_question_drop(struct bus_question *question);
uint64_t bus_rep_refused(const struct bus_rep *rep);
/* Questions still held must have been answered or dropped before. */
void bus_rep_close(struct bus_rep *rep);

/* --- req --- */
struct bus_req;
/* For a loop: one question at a time, repeated by nng when the other side restarts. `max`: largest answer. */
MUST_CHECK int bus_req_open(uv_loop_t *loop, const char *path, size_t max, struct bus_req **out);
/* Asks; replaces a question under way, whose callback then never runs. `on_answer` runs once, from the loop; bytes NULL
 * when it failed. 0 or a negative errno. */
MUST_CHECK int bus_req_ask(struct bus_req *req, const void *bytes, size_t size,
                           void (*on_answer)(void *user, const void *bytes, size_t size), void *user);
void bus_req_close(struct bus_req *req);

/* For a command line: asks once and waits. The answer is the caller's to free. 0, -ECONNREFUSED (nobody there),
 * -ETIMEDOUT, or another negative errno. */
MUST_CHECK int bus_ask(const char *path, const void *bytes, size_t size, size_t max, uint64_t timeout_ms, void **answer,
                       size_t *answer_size);

#endif
