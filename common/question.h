/* SPDX-License-Identifier: MIT */
/* The diagnostics socket: nng REP on <run-dir>/diag.sock; a msgpack map {v:1, cmd, args} is answered by
 * {v:1, ok:true, data} or {v:1, ok:false, error:{code, message}}. Both ends of the wire are made here.
 *
 *   cmd         args                                         data
 *   ping        {}                                           {"pid","version","instance","startedAt"}
 *   status      {}                                           {"version","instance","startedAt","total",
 *                                                             "servers":{state: n,…},"unpublished",
 *                                                             "workers":{"running","configured"},
 *                                                             "redis":{"state","error",…},
 *                                                             "serversFile":{"path","readAt","error"},
 *                                                             "configuration":{"readAt","path","error",
 *                                                             "waiting":[…],"settings":{…}}}
 *   workers     {}                                           {"hub":{…},"workers":[{…}]}   (slot_view)
 *   states      {"worker","workspaceId","state","text",      {"servers":[…],"next","matching"}  (row_view)
 *                "sort","after","limit"}
 *   show        {"serverId"}                                 one server in detail          (row_view)
 *   connect     {"serverId","server":{…},"waitMs"}           as `show`, once there is a verdict
 *   disconnect  {"serverId"}                                 {"serverId"}
 *   reconnect   {"serverId"}                                 {"serverId","state"}
 *   touch       {"serverId"}                                 {"serverId","state"}
 *   scale       {"workers"}                                  {}
 *   reload      {}                                           {}
 *   roll        {}                                           {}
 *   log-level   {"level"}                                    {}   (until the next reload)
 *
 * The answer to `states` has at most `limit` servers: without `sort` those behind `after` in the order of the table, and
 * `next` is the `after` of the next page, or null at the end; with it the first ones of that order (row_pick.h), and how
 * many there are in all.
 *
 * Whoever may open the socket (0660) may ask; only the broker's own user and root may change anything. */
#ifndef COMMON_QUESTION_H
#define COMMON_QUESTION_H

#include "common/buf.h"
#include "common/compiler.h"

#include <jansson.h>

enum {
    QUESTION_VERSION = 1,
    QUESTION_BYTES_MAX = 1024 * 1024,
    QUESTION_ANSWER_MAX = 16 * 1024 * 1024,
    QUESTION_PAGE = 1000,
    QUESTION_WAIT_MAX_MS = 600000 /* `waitMs`; left out: the time for one attempt to connect, and a little more */
};

/* QUESTION_ERROR(symbol, "code", "meaning") */
#define QUESTION_ERRORS(X)                                                                                             \
    X(BAD_REQUEST, "bad_request", "no question, or of another version")                                                \
    X(UNKNOWN_COMMAND, "unknown_command", "no such command")                                                           \
    X(INVALID, "invalid", "an argument or a definition is wrong")                                                      \
    X(FORBIDDEN, "forbidden", "only the broker's user and root may change anything")                                   \
    X(NOT_FOUND, "not_found", "no such server")                                                                        \
    X(CONFLICT, "conflict", "the id belongs to the servers file")                                                      \
    X(STOPPING, "stopping", "the broker is stopping")                                                                  \
    X(LIMIT, "limit", "a limit is reached: connections, table, descriptors")                                           \
    X(FAILED, "failed", "the server can't be reached or speaks no MCP")                                                \
    X(UNAUTHORIZED, "unauthorized", "the server wants credentials that were not given")                                \
    X(UNSUPPORTED, "unsupported", "the server offers no change notifications")                                         \
    X(REFUSED, "refused", "policy forbids the address or scheme, or the server the host name")                         \
    X(TIMED_OUT, "timed_out", "no verdict within the time given; the broker goes on trying")                           \
    X(INTERNAL, "internal", "the broker could not do it: storage, memory")

enum question_error {
    QUESTION_OK,
#define X(symbol, code, meaning) QUESTION_##symbol,
    QUESTION_ERRORS(X)
#undef X
};
const char *question_error_code(enum question_error error);

/* The asker's side. `args` is borrowed; NULL: none. 0 or an enum buf_outcome. */
MUST_CHECK int question_write(struct buf *out, const char *cmd, json_t *args);
/* The answer: 0 with *data, the msgpack value among `bytes`; 1 with *code and *message (new references to text) when the
 * broker said no; 2 when it is no answer. */
MUST_CHECK int question_read_answer(const void *bytes, size_t size, const void **data, size_t *data_size, json_t **code,
                                    json_t **message);

/* The hub's side. 0 with new references, `args` being an object; or 1 when it is no question. `data` is borrowed. */
MUST_CHECK int question_read(const void *bytes, size_t size, json_t **cmd, json_t **args);
MUST_CHECK int question_write_data(struct buf *out, json_t *data);
MUST_CHECK int question_write_error(struct buf *out, enum question_error error, const char *message);

#endif
