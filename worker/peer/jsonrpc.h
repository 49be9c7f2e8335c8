/* SPDX-License-Identifier: MIT */
/* JSON-RPC 2.0 as it comes from a server: bytes to messages. A document is one message or a batch of them (an array);
 * each is told apart by its members and checked for its shape, and nothing in it is trusted further. Pure. */
#ifndef WORKER_JSONRPC_H
#define WORKER_JSONRPC_H

#include "common/compiler.h"
#include "worker/limits.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Codes that mean something to a listener. */
enum {
    JSONRPC_INVALID_REQUEST = -32600,
    JSONRPC_METHOD_NOT_FOUND = -32601,
    JSONRPC_INVALID_PARAMS = -32602,
    JSONRPC_INTERNAL_ERROR = -32603,
    JSONRPC_IMPLEMENTATION_FIRST = -32000, /* down to the last: each server's own */
    JSONRPC_IMPLEMENTATION_LAST = -32019,
    JSONRPC_HEADER_MISMATCH = -32020,
    JSONRPC_MISSING_CAPABILITY = -32021,
    JSONRPC_UNSUPPORTED_VERSION = -32022,
};

enum jsonrpc_type {
    JSONRPC_INVALID, /* no message at all */
    JSONRPC_REQUEST,
    JSONRPC_NOTIFICATION,
    JSONRPC_RESULT,
    JSONRPC_ERROR,
};

/* One message; everything is borrowed from its document. Members that the type does not have are NULL or 0. */
struct jsonrpc_message {
    enum jsonrpc_type type;
    const json_t *id; /* as it came: a text or a number; NULL when absent or null */
    const char *method;
    const json_t *params;  /* object or array, or NULL */
    uint32_t subscription; /* of a message without a tree (glance.h): what its params name; 0: none */
    uint8_t honoured;      /* and, bit a kind, what they acknowledge */
    json_t *result;        /* take a reference to keep it, as with `data` */
    int code;              /* of an error; 0 only when it has no number that fits */
    json_t *data;
    bool is_large; /* set by who parsed it: so is the document, and walking over it takes time */
};

/* What parsing can come to, besides 0. */
enum jsonrpc_outcome {
    JSONRPC_MALFORMED = 1, /* no JSON, cut off, or neither object nor array */
    JSONRPC_TOO_DEEP = 2,
    JSONRPC_TOO_MANY_VALUES = 3,
    JSONRPC_TOO_MANY_MESSAGES = 4,
};

/* Parses a whole document; *document is a new reference. 0 or an enum jsonrpc_outcome. */
MUST_CHECK int jsonrpc_parse(const void *bytes, size_t size, const struct limits_json *limits, json_t **document);

/* Counts an outcome that is a bound, if it is one, and tells what is wrong: a literal. */
const char *jsonrpc_problem(int outcome, struct limits *limits);

/* Messages in a document. */
size_t jsonrpc_count(const json_t *document);

/* The message at `index`, below the count. */
struct jsonrpc_message jsonrpc_get(const json_t *document, size_t index);

/* True when an id that came is the one that was sent: a number, of the same value. 0 is no id. */
bool jsonrpc_is_id(uint32_t sent, const json_t *received);

#endif
