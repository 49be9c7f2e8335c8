/* SPDX-License-Identifier: MIT */
/* Questions: JSON text in, a msgpack value out. An answer may have many thousands of servers in it, so its data stays
 * where it came in, among the bytes of the message, and who wants JSON text asks for it (json.c); mcp-brokerctl reads the
 * msgpack. Each question has a connection of its own, and so nothing is shared between threads. */
#include "broker/client/mcp-broker.h"
#include "common/bus.h"
#include "common/paths.h"
#include "common/question.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>

enum { CONNECT_SLACK_MS = 10000 }; /* for the way there and back */

struct answer {
    struct mcp_broker_answer public; /* first: the caller's pointer is this one's */
    void *bytes;
    json_t *error, *message;
};

void mcp_broker_answer_free(struct mcp_broker_answer *public)
{
    struct answer *answer = (struct answer *)public;

    if (answer == NULL)
        return;
    free(answer->bytes);
    json_decref(answer->error);
    json_decref(answer->message);
    free(answer);
}

/* Takes over the bytes. */
static int read_answer(void *bytes, size_t size, struct mcp_broker_answer **out)
{
    struct answer *answer = calloc(1, sizeof *answer);
    int result = -ENOMEM;

    if (answer == NULL)
        goto free_bytes;
    int outcome =
        question_read_answer(bytes, size, &answer->public.data, &answer->public.size, &answer->error, &answer->message);
    result = -EPROTO;
    if (outcome == 2)
        goto free_answer;
    answer->bytes = bytes;
    answer->public.error = json_string_value(answer->error);
    answer->public.message = json_string_value(answer->message);
    *out = &answer->public;
    return outcome == 0 ? 0 : MCP_BROKER_REFUSED;
free_answer:
    free(answer);
free_bytes:
    free(bytes);
    return result;
}

/* `args` is borrowed; NULL: none. */
static int ask(const char *run_dir, const char *command, json_t *args, uint64_t timeout_ms,
               struct mcp_broker_answer **answer)
{
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    struct buf question;
    void *bytes;
    size_t size;

    buf_init(&question, QUESTION_BYTES_MAX);
    int result = paths_join(path, sizeof path, run_dir, PATHS_DIAG);
    if (result != 0)
        goto out;
    int outcome = question_write(&question, command, args);
    result = outcome == BUF_FULL ? -E2BIG : -ENOMEM;
    if (outcome != 0)
        goto out;
    result = bus_ask(path, question.bytes, question.size, QUESTION_ANSWER_MAX, timeout_ms, &bytes, &size);
    if (result == 0)
        result = read_answer(bytes, size, answer);
out:
    buf_fini(&question);
    return result;
}

/* A new reference, or NULL for anything but a JSON object. */
static json_t *read_object(const char *text)
{
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

int mcp_broker_ask(const char *run_dir, const char *command, const char *arguments, unsigned timeout_ms,
                   struct mcp_broker_answer **answer)
{
    json_t *args = read_object(arguments != NULL ? arguments : "{}");

    if (args == NULL)
        return -EINVAL;
    int result = ask(run_dir, command, args, timeout_ms, answer);
    json_decref(args);
    return result;
}

int mcp_broker_connect(const char *run_dir, const char *server_id, const char *definition, unsigned wait_ms,
                       struct mcp_broker_answer **answer)
{
    json_t *server = read_object(definition);

    if (server == NULL)
        return -EINVAL;
    /* `o` takes the reference, also when it fails. */
    json_t *args = json_pack("{s:s, s:o, s:I}", "serverId", server_id, "server", server, "waitMs", (json_int_t)wait_ms);
    if (args == NULL)
        return -EINVAL;
    int result = ask(run_dir, "connect", args, (uint64_t)wait_ms + CONNECT_SLACK_MS, answer);
    json_decref(args);
    return result;
}

static int ask_of_server(const char *run_dir, const char *command, const char *server_id, unsigned timeout_ms,
                         struct mcp_broker_answer **answer)
{
    json_t *args = json_pack("{s:s}", "serverId", server_id);

    if (args == NULL)
        return -EINVAL;
    int result = ask(run_dir, command, args, timeout_ms, answer);
    json_decref(args);
    return result;
}

int mcp_broker_disconnect(const char *run_dir, const char *server_id, unsigned timeout_ms,
                          struct mcp_broker_answer **answer)
{
    return ask_of_server(run_dir, "disconnect", server_id, timeout_ms, answer);
}

int mcp_broker_reconnect(const char *run_dir, const char *server_id, unsigned timeout_ms,
                         struct mcp_broker_answer **answer)
{
    return ask_of_server(run_dir, "reconnect", server_id, timeout_ms, answer);
}

int mcp_broker_touch(const char *run_dir, const char *server_id, unsigned timeout_ms, struct mcp_broker_answer **answer)
{
    return ask_of_server(run_dir, "touch", server_id, timeout_ms, answer);
}
