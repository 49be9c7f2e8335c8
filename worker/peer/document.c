/* SPDX-License-Identifier: MIT */
/* A document of 16 MiB takes jansson some hundred milliseconds to make, and nearly as long to free: a hostile server would have
 * the loop, and all other servers of this worker, wait for it. libuv's pool has four threads; who sends more large documents than
 * that waits for its own kind. jansson counts references atomically, so a document may be read in one thread while another
 * one lets go of it; nobody writes to one. */
#include "worker/peer/document.h"

#include "worker/peer/jsonrpc.h"

#include <errno.h>
#include <stdlib.h>

enum { SECRETS_MAX = 1024 * 1024 }; /* more than a definition may have */

struct task {
    uv_work_t request;
    void (*work)(void *user);
    void (*done)(void *user);
    void *user;
};

static void on_work(uv_work_t *request)
{
    struct task *task = request->data;
    task->work(task->user);
}

static void on_worked(uv_work_t *request, int status)
{
    struct task *task = request->data;
    (void)status; /* nothing is cancelled */
    task->done(task->user);
    free(task);
}

int document_run_beside(uv_loop_t *loop, void (*work)(void *user), void (*done)(void *user), void *user)
{
    struct task *task = malloc(sizeof(*task));
    if (task == NULL)
        return -ENOMEM;
    *task = (struct task){.work = work, .done = done, .user = user};
    task->request.data = task;
    int result = uv_queue_work(loop, &task->request, on_work, on_worked);
    if (result != 0)
        free(task);
    return result;
}

struct document {
    uv_loop_t *loop;
    void (*on_parsed)(void *user, int outcome, json_t *root); /* NULL: nobody waits any more */
    void *user;
    json_t *root;
    int outcome;
    struct limits_json limits;
    size_t size;
    void *bytes;
    struct buf secrets;
};

static void parse(void *user)
{
    struct document *document = user;
    document->outcome = jsonrpc_parse(document->bytes, document->size, &document->limits, &document->root);
    if (document->outcome == 0)
        mask_document(&(struct mask){.copied = &document->secrets}, document->bytes, document->size, document->root);
    free(document->bytes);
    buf_fini(&document->secrets);
}

static void on_done(void *user)
{
    struct document *document = user;
    if (document->on_parsed != NULL)
        document->on_parsed(document->user, document->outcome, document->root);
    else
        document_free(document->loop, document->root);
    free(document);
}

int document_parse(uv_loop_t *loop, void *bytes, size_t size, const struct limits_json *limits, const struct mask *mask,
                   void (*on_parsed)(void *user, int outcome, json_t *root), void *user, struct document **out)
{
    struct document *document = malloc(sizeof(*document));
    if (document == NULL)
        return -ENOMEM;
    *document = (struct document){
        .loop = loop, .on_parsed = on_parsed, .user = user, .limits = *limits, .size = size, .bytes = bytes};
    buf_init(&document->secrets, SECRETS_MAX);
    int result = mask != NULL ? mask_copy(mask, &document->secrets) : 0;
    if (result == 0)
        result = document_run_beside(loop, parse, on_done, document);
    if (result == 0) {
        *out = document;
        return 0;
    }
    buf_fini(&document->secrets);
    free(document);
    return result;
}

void document_cancel(struct document **document)
{
    if (*document != NULL)
        (*document)->on_parsed = NULL;
    *document = NULL;
}

static void release(void *user)
{
    json_decref(user);
}

static void on_released(void *user)
{
    (void)user;
}

void document_free(uv_loop_t *loop, json_t *root)
{
    if (root != NULL && document_run_beside(loop, release, on_released, root) != 0)
        json_decref(root);
}
