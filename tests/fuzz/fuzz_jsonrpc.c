/* SPDX-License-Identifier: MIT */
/* Fuzz target of the readers of messages. Whatever the bytes are: a message has the members of its type, a document
 * that is written and read again has the same messages, and what is understood at a glance is what parsing makes of it. */
#include "worker/peer/glance.h"
#include "worker/peer/mcp.h"

#include <stdlib.h>
#include <string.h>

static const struct limits_json LIMITS = {.depth = 64, .values = 100000, .batch = 1000};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check(const struct jsonrpc_message *message)
{
    switch (message->type) {
    case JSONRPC_INVALID:
        require(message->id == NULL && message->method == NULL && message->result == NULL);
        break;
    case JSONRPC_REQUEST:
        require(message->id != NULL && message->method != NULL);
        break;
    case JSONRPC_NOTIFICATION:
        require(message->id == NULL && message->method != NULL);
        break;
    case JSONRPC_RESULT:
        require(message->id != NULL && message->result != NULL);
        break;
    case JSONRPC_ERROR:
        require(message->method == NULL && message->result == NULL);
        break;
    }
    require(!jsonrpc_is_id(0, message->id));
    require(message->params == NULL || json_is_object(message->params) || json_is_array(message->params));
}

static void check_same(const struct jsonrpc_message *a, const struct jsonrpc_message *b)
{
    require(a->type == b->type && a->code == b->code);
    require((a->id == NULL) == (b->id == NULL) && (a->id == NULL || json_equal(a->id, b->id)));
    require((a->method == NULL) == (b->method == NULL) && (a->method == NULL || strcmp(a->method, b->method) == 0));
}

/* `document` NULL: it could not be parsed. */
static void check_glance(const uint8_t *bytes, size_t size, const json_t *document)
{
    struct jsonrpc_message glanced;
    if (!glance((const char *)bytes, size, &LIMITS, &glanced))
        return;
    require(document != NULL && jsonrpc_count(document) == 1);
    struct jsonrpc_message parsed = jsonrpc_get(document, 0);
    check_same(&glanced, &parsed);
    const json_t *subscription = json_object_get(json_object_get(parsed.params, "_meta"), MCP_META_SUBSCRIPTION);
    require(glanced.subscription == (uint32_t)json_integer_value(subscription));
    require(mcp_is_of(&parsed, glanced.subscription) == (glanced.subscription != 0));
    uint8_t honoured = 0, kinds = 0;
    require(mcp_is_acknowledgement(&glanced, &honoured) == mcp_is_acknowledgement(&parsed, &kinds) &&
            honoured == kinds);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    json_t *document = NULL, *again;
    int outcome = jsonrpc_parse(bytes, size, &LIMITS, &document);
    check_glance(bytes, size, document);
    if (outcome != 0)
        return 0;
    char *text = json_dumps(document, 0);
    require(text != NULL && jsonrpc_parse(text, strlen(text), &LIMITS, &again) == 0);
    size_t count = jsonrpc_count(document);
    require(count <= LIMITS.batch && count == jsonrpc_count(again));
    for (size_t i = 0; i < count; i++) {
        struct jsonrpc_message message = jsonrpc_get(document, i), same = jsonrpc_get(again, i);
        check(&message);
        check_same(&message, &same);
    }
    json_decref(again);
    json_decref(document);
    free(text);
    return 0;
}
