/* SPDX-License-Identifier: MIT */
/* The order that a keeper reads first (keeper.h): folder, command, arguments, environment, as texts. It has credentials in
 * it, so what was written is wiped. Called by stdio_process.c once for each start; that the order arrives is not looked at
 * here, since a keeper without one exits, and of that the leash tells. */
#include "worker/stdio/stdio_order.h"

#include "common/buf.h"
#include "worker/stdio/keeper.h"
#include "worker/stdio/stdio_env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct order {
    uv_write_t request; /* first: a pointer to it is one to the whole */
    size_t size;
    char text[];
};

static int append_text(struct buf *texts, const char *text)
{
    return buf_append(texts, text, strlen(text) + 1);
}

/* The texts of an order, and how many there are of each kind. */
static int write_texts(const struct server_def *def, char *const *env, struct buf *texts, struct keeper_order *head)
{
    int result = append_text(texts, def->extras->cwd != NULL ? def->extras->cwd : ".");
    if (result == 0)
        result = append_text(texts, def->extras->command);
    for (size_t i = 0; i < def->extras->arg_count && result == 0; i++)
        result = append_text(texts, def->extras->args[i]);
    head->words = (uint32_t)def->extras->arg_count + 1;
    for (head->variables = 0; env[head->variables] != NULL && result == 0; head->variables++)
        result = append_text(texts, env[head->variables]);
    head->size = (uint32_t)texts->size;
    return result;
}

static void on_ordered(uv_write_t *request, int status)
{
    struct order *order = (struct order *)request;
    (void)status; /* without its order a keeper exits, which is told by the leash */
    explicit_bzero(order->text, order->size);
    free(order);
}

int stdio_order_send(uv_pipe_t *leash, const struct server_def *def)
{
    struct buf texts;
    struct keeper_order head;
    struct order *order = NULL;
    char **env = stdio_env_create(def, environ);
    buf_init(&texts, KEEPER_ORDER_MAX);
    int result = env != NULL ? write_texts(def, env, &texts, &head) : -ENOMEM;
    if (result == 0 && (order = malloc(sizeof(*order) + sizeof(head) + texts.size)) == NULL)
        result = -ENOMEM;
    if (result == 0) {
        order->size = sizeof(head) + texts.size;
        memcpy(order->text, &head, sizeof(head));
        memcpy(order->text + sizeof(head), texts.bytes, texts.size);
        uv_buf_t buf = uv_buf_init(order->text, (unsigned)order->size);
        result = uv_write(&order->request, (uv_stream_t *)leash, &buf, 1, on_ordered);
    }
    if (result != 0)
        free(order);
    buf_fini(&texts);
    stdio_env_destroy(env);
    return result > 0 ? -E2BIG : result;
}
