/* SPDX-License-Identifier: MIT */
/* What to watch: the definition of one server, as in the servers file, and the one place that knows its keys and checks
 * them. The same JSON object stands in the servers file, the registry, a `connect` request and an assignment to a
 * worker.
 *
 *   type (http, sse, stdio; when left out, http with a url, stdio with a command)  name  workspaceId  userId
 *   enabled (or disabled)  timeout (ms)  poll ("5m")  events (["tools", "prompts", "resources"])
 *   http, sse:  url  headers {name: value}  caFile  proxy  auth {type, …}
 *   stdio:      command  args [text]  env {name: value}  cwd
 *
 * It carries secrets (URL user-info and query, headers, auth): never log or show one; server_def_origin is what may be
 * shown. Immutable once made; one allocation, but for `auth`. */
#ifndef COMMON_SERVER_DEF_H
#define COMMON_SERVER_DEF_H

#include "common/compiler.h"
#include "common/names.h"

#include <assert.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SERVER_DEF_HEADERS_MAX = 32,
    SERVER_DEF_ARGS_MAX = 64,
    SERVER_DEF_ENV_MAX = 64,
    SERVER_DEF_AUTH_MAX = 16, /* keys of `auth` */
    SERVER_DEF_TEXT_MAX = 8192,
    SERVER_DEF_TIMEOUT_MIN_MS = 100,
    SERVER_DEF_TIMEOUT_MAX_MS = 600000,
    SERVER_DEF_POLL_MIN_MS = 1000,
    SERVER_DEF_POLL_MAX_MS = 604800000,
};

/* name and value of a header, or of an environment variable of a stdio server. */
struct server_pair {
    const char *name;
    const char *value;
};

/* What most servers of the web do without. */
struct server_extras {
    const struct server_pair *headers;
    const char *ca_file; /* NULL: the system's */
    const char *proxy;   /* NULL: from the environment; "": none */
    json_t *auth;        /* object of the `auth` key, checked (server_def_auth.h): texts; owned, or NULL */
    const char *command; /* stdio, as all that follows */
    const char *const *args;
    const struct server_pair *env;
    const char *cwd;
    uint8_t header_count; /* of `headers`, … */
    uint8_t arg_count;
    uint8_t env_count;
};
extern const struct server_extras SERVER_NO_EXTRAS; /* all zero */

/* There is one for each server, here and there, so it is as small as its bounds let it be. */
struct server_def {
    uint32_t size;     /* of the allocation; private */
    uint8_t source;    /* enum source */
    uint8_t transport; /* enum transport */
    bool enabled;
    uint8_t events;                     /* bit a kind; tools when not given */
    uint32_t timeout_ms;                /* of one attempt; 0: the default */
    uint32_t poll_ms;                   /* 0: the default */
    const char *id;                     /* the labels below stand behind it */
    const char *url;                    /* http and sse; absolute, http or https, checked */
    const struct server_extras *extras; /* never NULL */
};

static_assert(SERVER_DEF_HEADERS_MAX <= UINT8_MAX && SERVER_DEF_ARGS_MAX <= UINT8_MAX &&
                  SERVER_DEF_ENV_MAX <= UINT8_MAX,
              "they are counted in a byte");
static_assert(sizeof(struct server_def) <= 40, "there is one for each server");

/* Called once for each thing that is wrong: `key` is "" for the server as a whole, "headers.Accept" for a part of one.
 * The caller knows the file and the line. */
typedef void (*server_def_on_problem)(void *user, const char *id, const char *key, const char *message);

/* Reads and checks an object. Unknown key, wrong type, out of range, bad URL, URL missing: each is told. NULL when
 * anything was. Free with server_def_destroy. `source` RUNTIME refuses stdio. No ${…} is expanded here. */
MUST_CHECK struct server_def *server_def_from_json(const char *id, json_t *object, enum source source,
                                                   server_def_on_problem on_problem, void *user);

/* Another one like it; NULL without memory. */
MUST_CHECK struct server_def *server_def_copy(const struct server_def *def);

/* The object again, without id and source, only keys that differ from their defaults; a new reference; NULL without memory. */
MUST_CHECK json_t *server_def_to_json(const struct server_def *def);

/* Its labels: the name is the id when not given, the others are "". */
const char *server_def_name(const struct server_def *def);
const char *server_def_workspace_id(const struct server_def *def);
const char *server_def_user_id(const struct server_def *def);

/* True when a connection to `a` need not be made anew for `b`: all but name, workspace and user is the same. */
bool server_def_same_connection(const struct server_def *a, const struct server_def *b);
bool server_def_equal(const struct server_def *a, const struct server_def *b);

/* scheme://host[:port] of the URL, or the command's name: what may be shown. Returns `out`. */
const char *server_def_origin(const struct server_def *def, char *out, size_t size);

void server_def_destroy(struct server_def *def);

#endif
