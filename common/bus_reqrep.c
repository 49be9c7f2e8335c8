/* SPDX-License-Identifier: MIT */
/* rep and req. Operations of nng are started by the loop's thread alone; nng's threads only note that one has ended and
 * wake the loop, so all decisions are made in one thread and there is nothing to lock but the list of what has ended.
 *
 * A rep has contexts, each with one question: idle -> receiving -> held -> sending -> idle. One is receiving as long as
 * there are fewer than held_max others at work; new ones are made as they are needed. While none is receiving, nng
 * leaves further questions in their askers' pipes. An asker that does not read its answers holds one context for
 * SEND_LIMIT_MS at most.
 *
 * A req goes idle -> sending -> receiving -> idle. nng sends its question again when the connection is made anew, which
 * is what makes a restart of the other side invisible; it would also send it again after a minute without an answer,
 * though a question may well be held for longer: hence RESEND_MS. */
#include "common/bus.h"

#include "common/bus_internal.h"

#include <assert.h>
#include <errno.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdlib.h>

enum {
    SEND_LIMIT_MS = 10000,
    RESEND_MS = INT32_MAX, /* "never" would also switch off sending again after a new connection */
};

/* --- rep --- */

enum phase { PHASE_IDLE, PHASE_RECEIVING, PHASE_HELD, PHASE_SENDING };

struct bus_question {
    struct bus_rep *rep;
    struct bus_question *next;         /* in `all` */
    struct bus_question *next_of_same; /* in `idle` or `ended` */
    enum phase phase;                  /* of the loop's thread; nng's reads it while an operation is under way */
    nng_ctx context;
    nng_aio *aio;
    int peer_result; /* written by nng's thread before the question is put into `ended` */
    struct bus_peer peer;
};

struct bus_rep {
    uv_async_t wakeup;
    struct bus_socket socket;
    uv_mutex_t lock; /* of ended and ended_tail */
    struct bus_question *ended, **ended_tail;
    struct bus_question *idle;
    struct bus_question *all;
    size_t count; /* of all: at most held_max */
    size_t held_max;
    bool receiving;
    bool closed;
    void (*on_question)(void *user, struct bus_question *question, const void *bytes, size_t size);
    void *user;
};

/* In nng's thread, where the pipe is sure to be there still. */
static void note_peer(struct bus_question *question)
{
    nng_pipe pipe = nng_msg_get_pipe(nng_aio_get_msg(question->aio));
    uint64_t uid = 0, pid = 0;
    int result = nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid);
    if (result == 0)
        result = nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_PID, &pid);
    question->peer_result = bus_error(result);
    question->peer = (struct bus_peer){.uid = (uid_t)uid, .pid = (pid_t)pid};
}

/* In nng's thread. */
static void on_question_ended(void *arg)
{
    struct bus_question *question = arg;
    struct bus_rep *rep = question->rep;
    if (question->phase == PHASE_RECEIVING && nng_aio_result(question->aio) == 0)
        note_peer(question);
    question->next_of_same = NULL;
    uv_mutex_lock(&rep->lock);
    *rep->ended_tail = question;
    rep->ended_tail = &question->next_of_same;
    uv_mutex_unlock(&rep->lock);
    uv_async_send(&rep->wakeup);
}

static void make_idle(struct bus_question *question)
{
    question->phase = PHASE_IDLE;
    question->next_of_same = question->rep->idle;
    question->rep->idle = question;
}

/* One more context; NULL without memory. */
static struct bus_question *new_question(struct bus_rep *rep)
{
    struct bus_question *question = calloc(1, sizeof(*question));
    if (!question)
        return NULL;
    if (nng_aio_alloc(&question->aio, on_question_ended, question) != 0)
        goto free_question;
    if (nng_ctx_open(&question->context, rep->socket.nng) != 0)
        goto free_aio;
    question->rep = rep;
    question->next = rep->all;
    rep->all = question;
    rep->count++;
    return question;
free_aio:
    nng_aio_free(question->aio);
free_question:
    free(question);
    return NULL;
}

/* Takes one that has nothing to do; NULL when all are at work, or without memory. */
static struct bus_question *take_idle(struct bus_rep *rep)
{
    struct bus_question *question = rep->idle;
    if (!question)
        return rep->count < rep->held_max ? new_question(rep) : NULL;
    rep->idle = question->next_of_same;
    return question;
}

static void receive(struct bus_rep *rep)
{
    struct bus_question *question = rep->receiving || rep->closed ? NULL : take_idle(rep);
    if (!question)
        return;
    rep->receiving = true;
    question->phase = PHASE_RECEIVING;
    nng_aio_set_timeout(question->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(question->context, question->aio);
}

/* Frees a message that an operation has brought, or has failed to take. */
static void free_message(nng_aio *aio)
{
    nng_msg *message = nng_aio_get_msg(aio);
    nng_aio_set_msg(aio, NULL);
    if (message)
        nng_msg_free(message);
}

static void question_ended(struct bus_rep *rep, struct bus_question *question)
{
    if (question->phase == PHASE_SENDING) {
        free_message(question->aio);
        make_idle(question);
        return;
    }
    assert(question->phase == PHASE_RECEIVING);
    rep->receiving = false;
    if (nng_aio_result(question->aio) != 0) {
        make_idle(question);
        return;
    }
    nng_msg *message = nng_aio_get_msg(question->aio);
    nng_aio_set_msg(question->aio, NULL);
    question->phase = PHASE_HELD;
    rep->on_question(rep->user, question, nng_msg_body(message), nng_msg_len(message));
    nng_msg_free(message);
}

static void on_rep_wakeup(uv_async_t *handle)
{
    struct bus_rep *rep = handle->data;
    uv_mutex_lock(&rep->lock);
    struct bus_question *question = rep->ended;
    rep->ended = NULL;
    rep->ended_tail = &rep->ended;
    uv_mutex_unlock(&rep->lock);
    while (question && !rep->closed) {
        struct bus_question *next = question->next_of_same; /* it may be at work again afterwards */
        question_ended(rep, question);
        question = next;
    }
    receive(rep);
}

static void on_rep_closed(uv_handle_t *handle)
{
    struct bus_rep *rep = handle->data;
    while (rep->all) {
        struct bus_question *question = rep->all;
        rep->all = question->next;
        free(question);
    }
    uv_mutex_destroy(&rep->lock);
    free(rep);
}

int bus_rep_open(uv_loop_t *loop, const struct bus_rep_options *options,
                 void (*on_question)(void *user, struct bus_question *question, const void *bytes, size_t size),
                 void *user, struct bus_rep **out)
{
    assert(options->held_max > 0);
    struct bus_rep *rep = calloc(1, sizeof(*rep));
    if (!rep)
        return -ENOMEM;
    rep->ended_tail = &rep->ended;
    rep->held_max = options->held_max;
    rep->socket.pipes_max = options->pipes_max;
    rep->on_question = on_question;
    rep->user = user;
    rep->wakeup.data = rep;
    int result = uv_mutex_init(&rep->lock);
    if (result < 0)
        goto free_rep;
    result = uv_async_init(loop, &rep->wakeup, on_rep_wakeup);
    if (result < 0)
        goto destroy_lock;
    result = bus_socket_open(&rep->socket, nng_rep0_open, options->max + BUS_REQUEST_BYTES);
    if (result == 0)
        result = bus_socket_start(&rep->socket, options->path, BUS_LISTEN, options->mode);
    if (result == 0) {
        receive(rep);
        result = rep->receiving ? 0 : -ENOMEM;
    }
    if (result < 0) {
        bus_rep_close(rep);
        return result;
    }
    *out = rep;
    return 0;
destroy_lock:
    uv_mutex_destroy(&rep->lock);
free_rep:
    free(rep);
    return result;
}

int bus_question_peer(const struct bus_question *question, struct bus_peer *peer)
{
    if (question->peer_result == 0)
        *peer = question->peer;
    return question->peer_result;
}

void bus_question_answer(struct bus_question *question, const void *bytes, size_t size)
{
    assert(question->phase == PHASE_HELD);
    nng_msg *message = bus_message(bytes, size, 0);
    if (!message) {
        bus_question_drop(question);
        return;
    }
    question->phase = PHASE_SENDING;
    nng_aio_set_msg(question->aio, message);
    nng_aio_set_timeout(question->aio, SEND_LIMIT_MS);
    nng_ctx_send(question->context, question->aio);
}

void bus_question_drop(struct bus_question *question)
{
    assert(question->phase == PHASE_HELD);
    make_idle(question); /* receiving with its context makes nng forget what it had */
    receive(question->rep);
}

uint64_t bus_rep_refused(const struct bus_rep *rep)
{
    return atomic_load(&rep->socket.refused);
}

void bus_rep_close(struct bus_rep *rep)
{
    if (!rep)
        return;
    assert(!rep->closed);
    rep->closed = true;
    for (struct bus_question *question = rep->all; question; question = question->next) {
        assert(question->phase != PHASE_HELD);
        nng_aio_stop(question->aio);
        free_message(question->aio);
        nng_aio_free(question->aio);
    }
    bus_socket_close(&rep->socket);
    uv_close((uv_handle_t *)&rep->wakeup, on_rep_closed);
}

/* --- req --- */

struct bus_req {
    uv_async_t wakeup;
    struct bus_socket socket;
    nng_aio *aio;
    enum phase phase; /* never PHASE_HELD */
    atomic_bool ended;
    bool closed;
    void (*on_answer)(void *user, const void *bytes, size_t size);
    void *user;
};

/* In nng's thread. */
static void on_req_ended(void *arg)
{
    struct bus_req *req = arg;
    atomic_store(&req->ended, true);
    uv_async_send(&req->wakeup);
}

static void on_req_wakeup(uv_async_t *handle)
{
    struct bus_req *req = handle->data;
    if (req->closed || !atomic_exchange(&req->ended, false))
        return; /* of a question that was replaced */
    if (req->phase == PHASE_SENDING && nng_aio_result(req->aio) == 0) {
        req->phase = PHASE_RECEIVING;
        nng_recv_aio(req->socket.nng, req->aio);
        return;
    }
    nng_msg *answer = NULL;
    if (req->phase == PHASE_RECEIVING && nng_aio_result(req->aio) == 0) {
        answer = nng_aio_get_msg(req->aio);
        nng_aio_set_msg(req->aio, NULL);
    }
    free_message(req->aio);
    req->phase = PHASE_IDLE;
    req->on_answer(req->user, answer ? nng_msg_body(answer) : NULL, answer ? nng_msg_len(answer) : 0);
    if (answer)
        nng_msg_free(answer);
}

static void on_req_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* What can fail and bus_req_close can undo. */
static int req_start(struct bus_req *req, const char *path, size_t max)
{
    if (nng_aio_alloc(&req->aio, on_req_ended, req) != 0)
        return -ENOMEM;
    nng_aio_set_timeout(req->aio, NNG_DURATION_INFINITE);
    int result = bus_socket_open(&req->socket, nng_req0_open, max + BUS_REQUEST_BYTES);
    if (result == 0)
        result = bus_error(nng_socket_set_ms(req->socket.nng, NNG_OPT_REQ_RESENDTIME, RESEND_MS));
    if (result == 0)
        result = bus_socket_start(&req->socket, path, BUS_DIAL, 0);
    return result;
}

int bus_req_open(uv_loop_t *loop, const char *path, size_t max, struct bus_req **out)
{
    struct bus_req *req = calloc(1, sizeof(*req));
    if (!req)
        return -ENOMEM;
    req->wakeup.data = req;
    int result = uv_async_init(loop, &req->wakeup, on_req_wakeup);
    if (result < 0) {
        free(req);
        return result;
    }
    result = req_start(req, path, max);
    if (result < 0) {
        bus_req_close(req);
        return result;
    }
    *out = req;
    return 0;
}

int bus_req_ask(struct bus_req *req, const void *bytes, size_t size,
                void (*on_answer)(void *user, const void *bytes, size_t size), void *user)
{
    nng_msg *question = bus_message(bytes, size, 0);
    if (!question)
        return -ENOMEM;
    if (req->phase != PHASE_IDLE) {
        nng_aio_cancel(req->aio);
        nng_aio_wait(req->aio);
        atomic_store(&req->ended, false);
        free_message(req->aio);
    }
    req->on_answer = on_answer;
    req->user = user;
    req->phase = PHASE_SENDING;
    nng_aio_set_msg(req->aio, question);
    nng_send_aio(req->socket.nng, req->aio);
    return 0;
}

void bus_req_close(struct bus_req *req)
{
    if (!req)
        return;
    assert(!req->closed);
    req->closed = true;
    if (req->aio) {
        nng_aio_stop(req->aio);
        free_message(req->aio);
        nng_aio_free(req->aio);
    }
    bus_socket_close(&req->socket);
    uv_close((uv_handle_t *)&req->wakeup, on_req_closed);
}
