/* SPDX-License-Identifier: MIT */
/* The words of the protocol, all revisions in one place: whoever wants to know what goes over the wire reads this
 * file. Requests are made with exactly the members that the revision asks for, because servers validate them; of what
 * comes back only what a listener needs is read, and each member is checked for its type before it is used.
 *
 * A listener declares no client capabilities but the way in which it gets its tokens: whatever a server asks of a
 * client is refused, but `ping`. */
#include "worker/peer/mcp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define META "io.modelcontextprotocol/"

static const char *const LEGACY_VERSIONS[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

static const char *const LIST_METHODS[KIND_COUNT] = {
    [KIND_TOOLS] = "tools/list", [KIND_PROMPTS] = "prompts/list", [KIND_RESOURCES] = "resources/list"};

static const char *const CHANGED_METHODS[KIND_COUNT] = {
    [KIND_TOOLS] = "notifications/tools/list_changed",
    [KIND_PROMPTS] = "notifications/prompts/list_changed",
    [KIND_RESOURCES] = "notifications/resources/list_changed",
};

static const char *const FILTER_KEYS[KIND_COUNT] = {[KIND_TOOLS] = "toolsListChanged",
                                                    [KIND_PROMPTS] = "promptsListChanged",
                                                    [KIND_RESOURCES] = "resourcesListChanged"};

const char MCP_CALL_TOOL[] = "tools/call";
const char MCP_ACKNOWLEDGED[] = "notifications/subscriptions/acknowledged";

const char *mcp_list_method(enum kind kind)
{
    return LIST_METHODS[kind];
}

/* --- bodies --- */

/* They are written as text, for all but the values is known: a tree for each of them would cost more than reading the
 * answer. What is not ours (a cursor) is put through the writer of JSON. */

#define CLIENT_INFO "{\"name\":\"mcp-broker\",\"version\":\"" MCP_BROKER_VERSION "\"}"

/* NULL without memory. */
static char *write_text(const char *format, ...) PRINTF_LIKE(1, 2);

static char *write_text(const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    return size < 0 ? NULL : text;
}

/* `params` NULL: none. */
static char *write_request(uint32_t id, const char *method, const char *params)
{
    return write_text("{\"jsonrpc\":\"2.0\",\"id\":%" PRIu32 ",\"method\":\"%s\"%s%s}", id, method,
                      params != NULL ? ",\"params\":" : "", params != NULL ? params : "");
}

/* The same, and frees `params`, where NULL means that there was no memory. */
static char *write_request_of(uint32_t id, const char *method, char *params)
{
    char *text = params != NULL ? write_request(id, method, params) : NULL;
    free(params);
    return text;
}

static const char *capabilities(const struct server_def *def)
{
    const char *auth_type = json_string_value(json_object_get(def->extras->auth, "type"));
    bool has_credentials = auth_type != NULL && strcmp(auth_type, "client_credentials") == 0;
    return has_credentials ? "{\"extensions\":{\"" META "oauth-client-credentials\":{}}}" : "{}";
}

/* The params of a stateless request: the envelope that each carries, then `more`, which begins with a comma or is "". */
static char *stateless_params(const struct server_def *def, const char *more)
{
    return write_text("{\"_meta\":{\"" META "protocolVersion\":\"" MCP_STATELESS_VERSION "\",\"" META
                      "clientInfo\":" CLIENT_INFO ",\"" META "clientCapabilities\":%s}%s}",
                      capabilities(def), more);
}

char *mcp_discover(uint32_t id, const struct server_def *def)
{
    return write_request_of(id, "server/discover", stateless_params(def, ""));
}

char *mcp_listen(uint32_t id, const struct server_def *def)
{
    char filter[160] = ",\"notifications\":{";
    const char *comma = "";
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        size_t at = strlen(filter);
        if ((def->events & (1U << kind)) == 0)
            continue;
        snprintf(filter + at, sizeof(filter) - at, "%s\"%s\":true", comma, FILTER_KEYS[kind]);
        comma = ",";
    }
    size_t at = strlen(filter);
    snprintf(filter + at, sizeof(filter) - at, "}");
    return write_request_of(id, "subscriptions/listen", stateless_params(def, filter));
}

char *mcp_initialize(uint32_t id, const struct server_def *def)
{
    char *params = write_text("{\"protocolVersion\":\"" MCP_SESSION_VERSION
                              "\",\"capabilities\":%s,\"clientInfo\":" CLIENT_INFO "}",
                              capabilities(def));
    return write_request_of(id, "initialize", params);
}

char *mcp_initialized(void)
{
    return write_text("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

/* A member `cursor` with its comma; NULL without memory. */
static char *write_cursor(const char *cursor)
{
    json_t *value = json_string(cursor);
    char *quoted = value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    char *member = quoted != NULL ? write_text(",\"cursor\":%s", quoted) : NULL;
    free(quoted);
    json_decref(value);
    return member;
}

char *mcp_list(uint32_t id, enum kind kind, const char *cursor, enum era era, const struct server_def *def)
{
    if (era != ERA_STATELESS && cursor == NULL)
        return write_request(id, LIST_METHODS[kind], NULL);
    char *member = cursor != NULL ? write_cursor(cursor) : NULL;
    if (cursor != NULL && member == NULL)
        return NULL;
    char *params =
        era == ERA_STATELESS ? stateless_params(def, member != NULL ? member : "") : write_text("{%s}", member + 1);
    free(member);
    return write_request_of(id, LIST_METHODS[kind], params);
}

char *mcp_ping(uint32_t id)
{
    return write_request(id, "ping", NULL);
}

char *mcp_cancelled(uint32_t id, const char *reason)
{
    return write_text("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%" PRIu32
                      ",\"reason\":\"%s\"}}",
                      id, reason);
}

/* Takes `message`, which may be NULL. */
static char *to_text(json_t *message)
{
    char *text = message == NULL ? NULL : json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(message);
    return text;
}

char *mcp_call_tool(uint32_t id, const char *name, json_t *arguments, enum era era, const struct server_def *def)
{
    char *call = to_text(json_pack("{s:s, s:O}", "name", name, "arguments", arguments));
    if (call == NULL)
        return NULL;
    char *params = call;
    if (era == ERA_STATELESS) {
        call[0] = ','; /* its members follow the envelope */
        call[strlen(call) - 1] = '\0';
        params = stateless_params(def, call);
        free(call);
    }
    return write_request_of(id, MCP_CALL_TOOL, params);
}

char *mcp_answer(const struct jsonrpc_message *request)
{
    json_t *id = json_deep_copy(request->id);
    if (strcmp(request->method, "ping") == 0)
        return to_text(json_pack("{s:s, s:o, s:{}}", "jsonrpc", "2.0", "id", id, "result"));
    return to_text(json_pack("{s:s, s:o, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id, "error", "code",
                             JSONRPC_METHOD_NOT_FOUND, "message", "Method not found"));
}

/* --- headers --- */

static int add_line(struct buf *text, const char *name, const char *value)
{
    if (value == NULL)
        return 0;
    int outcome = buf_append_text(text, name);
    if (outcome == 0)
        outcome = buf_append_text(text, ": ");
    return outcome != 0 ? outcome : buf_append(text, value, strlen(value) + 1);
}

static int add_lines(struct buf *text, const struct server_def *def, const struct mcp_header_values *values)
{
    bool is_post = strcmp(values->http_method, "POST") == 0;
    bool is_get = strcmp(values->http_method, "GET") == 0;
    const struct server_pair ours[] = {
        {"Content-Type", is_post ? "application/json" : NULL},
        {"Accept", is_post  ? "application/json, text/event-stream"
                   : is_get ? "text/event-stream"
                            : NULL},
        {"MCP-Protocol-Version", values->version},
        {"Mcp-Session-Id", values->session_id},
        {"Mcp-Method", values->rpc_method},
        {"Mcp-Name", values->rpc_name},
        {"Last-Event-ID", values->last_event_id},
    };
    int outcome = 0;
    for (size_t i = 0; i < def->extras->header_count && outcome == 0; i++)
        outcome = add_line(text, def->extras->headers[i].name, def->extras->headers[i].value);
    for (size_t i = 0; i < ARRAY_LENGTH(ours) && outcome == 0; i++)
        outcome = add_line(text, ours[i].name, ours[i].value);
    return outcome;
}

int mcp_headers_init(struct mcp_headers *headers, const struct server_def *def, const struct mcp_header_values *values)
{
    struct buf text;
    buf_init(&text, (size_t)MCP_HEADERS_MAX * 2 * SERVER_DEF_TEXT_MAX);
    if (add_lines(&text, def, values) != 0) {
        buf_fini(&text);
        return -ENOMEM;
    }
    *headers = (struct mcp_headers){.count = 0};
    size_t size = text.size;
    headers->text = (char *)buf_take(&text);
    for (size_t at = 0; at < size && headers->count < MCP_HEADERS_MAX; at += strlen(headers->text + at) + 1)
        headers->lines[headers->count++] = headers->text + at;
    return 0;
}

void mcp_headers_fini(struct mcp_headers *headers)
{
    free(headers->text);
    *headers = (struct mcp_headers){.count = 0};
}

/* --- results --- */

/* Ours of the same name, or NULL. */
static const char *find_legacy(const char *version)
{
    for (size_t i = 0; i < ARRAY_LENGTH(LEGACY_VERSIONS); i++) {
        if (strcmp(version, LEGACY_VERSIONS[i]) == 0)
            return LEGACY_VERSIONS[i];
    }
    return NULL;
}

static enum mcp_versions judge_versions(const json_t *versions)
{
    if (!json_is_array(versions))
        return MCP_VERSIONS_UNTOLD;
    enum mcp_versions verdict = MCP_VERSIONS_FOREIGN;
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const char *version = json_string_value(json_array_get(versions, i));
        if (version == NULL)
            return MCP_VERSIONS_UNTOLD;
        if (strcmp(version, MCP_STATELESS_VERSION) == 0)
            return MCP_VERSIONS_COMMON;
        if (find_legacy(version) != NULL)
            verdict = MCP_VERSIONS_LEGACY;
    }
    return verdict;
}

/* Appends what is printable of `text`; returns where it ends. */
static char *append_printable(char *at, const char *end, const char *text)
{
    for (; *text != '\0' && at < end; text++)
        *at++ = *text >= ' ' && *text <= '~' ? *text : '?';
    *at = '\0';
    return at;
}

static void read_server_info(const json_t *info, char out[ROW_SERVER_INFO_SIZE])
{
    const char *name = json_string_value(json_object_get(info, "name"));
    const char *version = json_string_value(json_object_get(info, "version"));
    const char *end = out + ROW_SERVER_INFO_SIZE - 1;
    char *at = append_printable(out, end, name != NULL ? name : "");
    if (version != NULL && *version != '\0') {
        at = append_printable(at, end, "/");
        append_printable(at, end, version);
    }
}

static void read_capabilities(const json_t *capabilities, struct mcp_hello *hello)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        const json_t *capability = json_object_get(capabilities, kind_name(kind));
        if (!json_is_object(capability))
            continue;
        hello->has |= (uint8_t)(1U << kind);
        if (json_is_true(json_object_get(capability, "listChanged")))
            hello->advertised |= (uint8_t)(1U << kind);
    }
}

static const json_t *meta_of(const json_t *object, const char *key)
{
    return json_object_get(json_object_get(object, "_meta"), key);
}

enum mcp_versions mcp_read_discover(const json_t *result, struct mcp_hello *hello)
{
    const json_t *capabilities = json_object_get(result, "capabilities");
    if (!mcp_is_complete(result) || !json_is_object(capabilities))
        return MCP_VERSIONS_UNTOLD;
    enum mcp_versions verdict = judge_versions(json_object_get(result, "supportedVersions"));
    if (verdict != MCP_VERSIONS_COMMON)
        return verdict;
    *hello = (struct mcp_hello){.version = MCP_STATELESS_VERSION};
    if (!mcp_read_server_info(result, hello->server_info))
        read_server_info(json_object_get(result, "serverInfo"), hello->server_info);
    read_capabilities(capabilities, hello);
    return MCP_VERSIONS_COMMON;
}

enum mcp_versions mcp_read_supported(const json_t *data)
{
    return judge_versions(json_object_get(data, "supported"));
}

enum mcp_versions mcp_read_initialize(const json_t *result, struct mcp_hello *hello)
{
    const char *version = json_string_value(json_object_get(result, "protocolVersion"));
    if (version == NULL)
        return MCP_VERSIONS_UNTOLD;
    *hello = (struct mcp_hello){.version = find_legacy(version)};
    if (hello->version == NULL)
        return MCP_VERSIONS_FOREIGN;
    read_server_info(json_object_get(result, "serverInfo"), hello->server_info);
    read_capabilities(json_object_get(result, "capabilities"), hello);
    return MCP_VERSIONS_COMMON;
}

bool mcp_read_server_info(const json_t *result, char out[ROW_SERVER_INFO_SIZE])
{
    const json_t *info = meta_of(result, META "serverInfo");
    read_server_info(info, out);
    return info != NULL;
}

bool mcp_is_complete(const json_t *result)
{
    const json_t *type = json_object_get(result, "resultType");
    return type == NULL || (json_is_string(type) && strcmp(json_string_value(type), "complete") == 0);
}

/* --- notifications --- */

static bool is_notification(const struct jsonrpc_message *message, const char *method)
{
    return message->type == JSONRPC_NOTIFICATION && strcmp(message->method, method) == 0;
}

bool mcp_is_list_changed(const struct jsonrpc_message *message, enum kind *kind)
{
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        if (is_notification(message, CHANGED_METHODS[i])) {
            *kind = (enum kind)i;
            return true;
        }
    }
    return false;
}

bool mcp_is_acknowledgement(const struct jsonrpc_message *message, uint8_t *kinds)
{
    if (!is_notification(message, MCP_ACKNOWLEDGED))
        return false;
    const json_t *filter = json_object_get(message->params, "notifications");
    *kinds = message->honoured;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (json_is_true(json_object_get(filter, FILTER_KEYS[kind])))
            *kinds |= (uint8_t)(1U << kind);
    }
    return true;
}

bool mcp_is_cancelled(const struct jsonrpc_message *message, uint32_t id)
{
    return is_notification(message, "notifications/cancelled") &&
           jsonrpc_is_id(id, json_object_get(message->params, "requestId"));
}

bool mcp_is_of(const struct jsonrpc_message *message, uint32_t id)
{
    if (message->params == NULL)
        return id != 0 && message->subscription == id;
    return jsonrpc_is_id(id, meta_of(message->params, MCP_META_SUBSCRIPTION));
}

const char *mcp_changed_method(enum kind kind)
{
    return CHANGED_METHODS[kind];
}

const char *mcp_filter_key(enum kind kind)
{
    return FILTER_KEYS[kind];
}
