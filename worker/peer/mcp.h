/* SPDX-License-Identifier: MIT */
/* What is said in MCP, and how an answer is read: bodies and headers of requests in each era, and checks of the
 * results. What to say when is the peers' business. Pure. */
#ifndef WORKER_MCP_H
#define WORKER_MCP_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/names.h"
#include "common/server_def.h"
#include "common/table.h"
#include "worker/peer/jsonrpc.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define MCP_STATELESS_VERSION "2026-07-28"
#define MCP_SESSION_VERSION   "2025-11-25" /* the latest that is offered with `initialize` */

/* --- bodies: JSON text, the caller frees it; NULL without memory --- */

/* `def` is asked for the capabilities that a client has with it. */
MUST_CHECK char *mcp_discover(uint32_t id, const struct server_def *def);
MUST_CHECK char *mcp_listen(uint32_t id, const struct server_def *def);
MUST_CHECK char *mcp_initialize(uint32_t id, const struct server_def *def);
MUST_CHECK char *mcp_initialized(void);
/* `cursor` NULL: the first page. */
MUST_CHECK char *mcp_list(uint32_t id, enum kind kind, const char *cursor, enum era era, const struct server_def *def);
MUST_CHECK char *mcp_ping(uint32_t id);
/* `arguments` is an object. */
MUST_CHECK char *mcp_call_tool(uint32_t id, const char *name, json_t *arguments, enum era era,
                               const struct server_def *def);
/* `reason` is for the server's log. */
MUST_CHECK char *mcp_cancelled(uint32_t id, const char *reason);
/* The answer to a request of the server: a ping gets a result, anything else is refused. */
MUST_CHECK char *mcp_answer(const struct jsonrpc_message *request);

const char *mcp_list_method(enum kind kind); /* "tools/list" */
extern const char MCP_CALL_TOOL[];           /* "tools/call" */

/* --- headers --- */

struct mcp_header_values {
    const char *http_method;   /* GET, POST, DELETE */
    const char *version;       /* MCP-Protocol-Version; NULL: none, as for all that follow */
    const char *session_id;    /* Mcp-Session-Id */
    const char *rpc_method;    /* Mcp-Method */
    const char *rpc_name;      /* Mcp-Name */
    const char *last_event_id; /* Last-Event-ID */
};

enum { MCP_HEADERS_MAX = SERVER_DEF_HEADERS_MAX + 7 };

/* "Name: value" lines, as http.h takes them: those of the definition, then ours. */
struct mcp_headers {
    const char *lines[MCP_HEADERS_MAX];
    size_t count;
    char *text;
};

/* 0 or -ENOMEM. */
MUST_CHECK int mcp_headers_init(struct mcp_headers *headers, const struct server_def *def,
                                const struct mcp_header_values *values);
void mcp_headers_fini(struct mcp_headers *headers);

/* --- results --- */

/* What a server says of itself when greeted. */
struct mcp_hello {
    const char *version;                    /* the one to be spoken; static */
    char server_info[ROW_SERVER_INFO_SIZE]; /* "name/version", printable ASCII, cut */
    uint8_t advertised;                     /* bit a kind: listChanged */
    uint8_t has;                            /* bit a kind: the capability is there */
};

/* What a server's answer says about versions. */
enum mcp_versions {
    MCP_VERSIONS_COMMON,  /* one that we speak */
    MCP_VERSIONS_LEGACY,  /* only ones that are begun with `initialize` */
    MCP_VERSIONS_FOREIGN, /* none that we speak */
    MCP_VERSIONS_UNTOLD,  /* not of the right shape: nothing is said */
};

/* A DiscoverResult. *hello is written when COMMON. */
enum mcp_versions mcp_read_discover(const json_t *result, struct mcp_hello *hello);
/* The `data` of an error -32022. */
enum mcp_versions mcp_read_supported(const json_t *data);
/* An InitializeResult: COMMON, FOREIGN or UNTOLD. *hello is written when COMMON. */
enum mcp_versions mcp_read_initialize(const json_t *result, struct mcp_hello *hello);
/* Who answers, which a stateless server says with every result; as mcp_hello has it. False: it does not say so. */
bool mcp_read_server_info(const json_t *result, char out[ROW_SERVER_INFO_SIZE]);
/* False when a stateless result says that it is not the whole answer. */
bool mcp_is_complete(const json_t *result);

/* --- notifications --- */

bool mcp_is_list_changed(const struct jsonrpc_message *message, enum kind *kind);
/* True when it acknowledges a listen; *kinds are those honoured. */
bool mcp_is_acknowledgement(const struct jsonrpc_message *message, uint8_t *kinds);
/* True when it cancels the request `id`. */
bool mcp_is_cancelled(const struct jsonrpc_message *message, uint32_t id);
/* True when it belongs to the subscription that the request `id` began. */
bool mcp_is_of(const struct jsonrpc_message *message, uint32_t id);

const char *mcp_changed_method(enum kind kind); /* "notifications/tools/list_changed" */
const char *mcp_filter_key(enum kind kind);     /* "toolsListChanged", in a listen and in its acknowledgement */
extern const char MCP_ACKNOWLEDGED[];           /* "notifications/subscriptions/acknowledged" */
#define MCP_META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

#endif
