/* SPDX-License-Identifier: MIT */
/* The words of a simulated server, in both eras: it answers what a listener asks, as the reference SDK would, with a list
 * of tools that is another one after each change. The eras know of each other as real servers do: one without sessions
 * refuses `initialize` and names its revision, one with sessions refuses what has none.
 *
 * Output goes to a buffer that is large enough for every answer, so that appending cannot fail but for memory; what is
 * lost then shows as a malformed answer at the client. */
#include "tests/fleet/simulated.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define META    "io.modelcontextprotocol/"
#define VERSION "2026-07-28"
#define IDENTITY                                                                                                       \
    "\"_meta\":{\"" META "serverInfo\":{\"name\":\"fleet\",\"version\":\"1\"}}" /* in each stateless result */
#define STREAM_HEAD                                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"                                \
    "Transfer-Encoding: chunked\r\n\r\n"

/* A request and its answer on the way. */
struct exchange {
    struct simulated *server;
    const struct request *request;
    struct buf *out;
    _Atomic uint64_t *counters;
    unsigned tools;
    const char *method;         /* JSON-RPC; "": an answer to a request of ours */
    char id[SIMULATED_ID_SIZE]; /* JSON; "": a notification */
};

static void count(const struct exchange *exchange, enum shared_counter counter)
{
    atomic_fetch_add_explicit(&exchange->counters[counter], 1, memory_order_relaxed);
}

/* --- answers --- */

static void append(struct buf *out, const char *text)
{
    int outcome = buf_append_text(out, text);
    (void)outcome;
}

static void put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);

/* At most 512 bytes. */
static void put(struct buf *out, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    append(out, text);
}

/* A whole response. `session` 0: without one. */
static void respond(struct buf *out, const char *status, uint32_t session, uint32_t number, const char *body)
{
    put(out, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", status, strlen(body));
    if (session != 0)
        put(out, "Mcp-Session-Id: %" PRIu32 "-%" PRIu32 "\r\n", number, session);
    append(out, "\r\n");
    append(out, body);
}

static void respond_error(const struct exchange *exchange, const char *status, const char *error)
{
    char body[512];
    snprintf(body, sizeof(body), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{%s}}",
             exchange->id[0] != '\0' ? exchange->id : "null", error);
    respond(exchange->out, status, 0, 0, body);
}

static void respond_result(const struct exchange *exchange, uint32_t session, const char *result)
{
    char body[1024];
    snprintf(body, sizeof(body), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{%s}}", exchange->id, result);
    respond(exchange->out, "200 OK", session, exchange->server->number, body);
}

static void put_chunk(struct buf *out, const char *text)
{
    put(out, "%zx\r\n", strlen(text));
    append(out, text);
    append(out, "\r\n");
}

static enum simulated_answer list(const struct exchange *exchange)
{
    struct buf body;
    buf_init(&body, 256 * 1024);
    append(&body, "{\"jsonrpc\":\"2.0\",\"id\":");
    append(&body, exchange->id);
    append(&body, ",\"result\":{\"resultType\":\"complete\",\"tools\":[");
    for (unsigned i = 0; i < exchange->tools; i++) {
        append(&body, i == 0 ? "" : ",");
        put(&body, "{\"name\":\"tool_%" PRIu32 "\",\"inputSchema\":{\"type\":\"object\"},", i);
        put(&body, "\"description\":\"of version %" PRIu32 "\"}", exchange->server->version);
    }
    append(&body, exchange->server->is_stateless ? "]," IDENTITY "}}" : "]}}");
    respond(exchange->out, "200 OK", 0, 0, buf_text(&body));
    buf_fini(&body);
    count(exchange, SHARED_LISTS);
    return SIMULATED_ANSWERED;
}

static bool asks(const struct exchange *exchange, const char *method)
{
    return strcmp(exchange->method, method) == 0;
}

/* --- without sessions --- */

static enum simulated_answer listen_stateless(const struct exchange *exchange)
{
    struct simulated *server = exchange->server;
    memcpy(server->subscription, exchange->id, sizeof(server->subscription));
    char event[512];
    snprintf(event, sizeof(event),
             "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\","
             "\"params\":{\"notifications\":{\"toolsListChanged\":true},\"_meta\":{\"" META
             "subscriptionId\":%s}}}\n\n",
             server->subscription);
    append(exchange->out, STREAM_HEAD);
    put_chunk(exchange->out, event);
    return SIMULATED_STREAM;
}

static enum simulated_answer answer_stateless(const struct exchange *exchange)
{
    if (exchange->request->method != REQUEST_POST) {
        respond(exchange->out, "405 Method Not Allowed", 0, 0, "");
    } else if (exchange->id[0] == '\0') {
        respond(exchange->out, "202 Accepted", 0, 0, "");
    } else if (asks(exchange, "subscriptions/listen")) {
        return listen_stateless(exchange);
    } else if (asks(exchange, "tools/list")) {
        return list(exchange);
    } else if (asks(exchange, "server/discover")) {
        count(exchange, SHARED_DISCOVERS);
        respond_result(exchange, 0,
                       "\"resultType\":\"complete\",\"supportedVersions\":[\"" VERSION "\"],\"capabilities\":"
                       "{\"tools\":{\"listChanged\":true}}," IDENTITY);
    } else if (asks(exchange, "initialize")) {
        respond_error(exchange, "400 Bad Request",
                      "\"code\":-32022,\"message\":\"Unsupported protocol version\",\"data\":{\"supported\":[\"" VERSION
                      "\"]}");
    } else {
        respond_error(exchange, "404 Not Found", "\"code\":-32601,\"message\":\"Method not found\"");
    }
    return SIMULATED_ANSWERED;
}

/* --- with sessions --- */

static bool is_session_known(const struct exchange *exchange)
{
    char known[REQUEST_SESSION_SIZE];
    snprintf(known, sizeof(known), "%" PRIu32 "-%" PRIu32, exchange->server->number, exchange->server->session);
    return exchange->server->session != 0 && strcmp(exchange->request->session, known) == 0;
}

static enum simulated_answer initialize(const struct exchange *exchange)
{
    static uint32_t last_session;
    struct simulated *server = exchange->server;
    server->session = ++last_session;
    count(exchange, SHARED_INITIALIZES);
    respond_result(exchange, server->session,
                   "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{\"listChanged\":true}},"
                   "\"serverInfo\":{\"name\":\"fleet\",\"version\":\"1\"}");
    return SIMULATED_ANSWERED;
}

static enum simulated_answer open_stream(const struct exchange *exchange)
{
    if (exchange->server->stream) {
        count(exchange, SHARED_CONFLICTS);
        respond_error(exchange, "409 Conflict",
                      "\"code\":-32000,\"message\":\"Conflict: Only one SSE stream is allowed per session\"");
        return SIMULATED_ANSWERED;
    }
    append(exchange->out, STREAM_HEAD);
    return SIMULATED_STREAM;
}

static enum simulated_answer answer_session(const struct exchange *exchange)
{
    if (asks(exchange, "initialize"))
        return initialize(exchange);
    if (!is_session_known(exchange)) {
        bool is_named = exchange->request->session[0] != '\0';
        if (is_named)
            count(exchange, SHARED_UNKNOWN_SESSIONS);
        respond_error(exchange, is_named ? "404 Not Found" : "400 Bad Request",
                      is_named ? "\"code\":-32001,\"message\":\"Session not found\""
                               : "\"code\":-32000,\"message\":\"Bad Request: Server not initialized\"");
    } else if (exchange->request->method == REQUEST_GET) {
        return open_stream(exchange);
    } else if (exchange->request->method == REQUEST_DELETE) {
        exchange->server->session = 0;
        count(exchange, SHARED_DELETES);
        respond(exchange->out, "200 OK", 0, 0, "");
    } else if (exchange->id[0] == '\0' || exchange->method[0] == '\0') {
        respond(exchange->out, "202 Accepted", 0, 0, "");
    } else if (asks(exchange, "tools/list")) {
        return list(exchange);
    } else if (asks(exchange, "ping")) {
        respond_result(exchange, 0, "");
    } else {
        respond_error(exchange, "200 OK", "\"code\":-32601,\"message\":\"Method not found\"");
    }
    return SIMULATED_ANSWERED;
}

/* --- both --- */

/* False when the body is no JSON object. */
static bool read_message(struct exchange *exchange, const json_t *message)
{
    if (!json_is_object(message))
        return false;
    const json_t *method = json_object_get(message, "method");
    const json_t *id = json_object_get(message, "id");
    if (json_is_string(method))
        exchange->method = json_string_value(method);
    if (id && json_dumpb(id, exchange->id, sizeof(exchange->id) - 1, JSON_ENCODE_ANY) >= sizeof(exchange->id))
        return false;
    return true;
}

enum simulated_answer simulated_answer(struct simulated *server, const struct request *request, unsigned tools,
                                       struct buf *out, _Atomic uint64_t counters[SHARED_COUNTERS])
{
    struct exchange exchange = {
        .server = server, .request = request, .out = out, .counters = counters, .tools = tools, .method = ""};
    enum simulated_answer answer = SIMULATED_ANSWERED;
    if (server->stalls)
        return SIMULATED_SILENT;
    json_t *message = request->body_size > 0 ? json_loadb(request->body, request->body_size, 0, NULL) : NULL;
    if (server->refuses) {
        count(&exchange, SHARED_REFUSALS);
        respond(out, "503 Service Unavailable", 0, 0, "");
    } else if (request->method == REQUEST_POST && !read_message(&exchange, message)) {
        count(&exchange, SHARED_BAD_REQUESTS);
        respond_error(&exchange, "400 Bad Request", "\"code\":-32700,\"message\":\"Parse error\"");
    } else {
        answer = server->is_stateless ? answer_stateless(&exchange) : answer_session(&exchange);
    }
    json_decref(message);
    return answer;
}

void simulated_notify(const struct simulated *server, uint64_t now_us, struct buf *out)
{
    char event[256];
    int size = snprintf(event, sizeof(event),
                        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":"
                        "{\"_meta\":{\"sentAt\":%" PRIu64,
                        now_us);
    if (server->is_stateless)
        snprintf(event + size, sizeof(event) - (size_t)size, ",\"" META "subscriptionId\":%s}}}\n\n",
                 server->subscription);
    else
        snprintf(event + size, sizeof(event) - (size_t)size, "}}}\n\n");
    put_chunk(out, event);
}
