/* SPDX-License-Identifier: MIT */
/* libmcp-broker: hear of changes, ask the broker, and have it watch servers, from a program on the broker's machine.
 *
 * Broker:   `run_dir` is the broker's run directory (MCP_BROKER_RUN_DIR for the system's service). Who may open the
 *           sockets in it may subscribe and ask; only the broker's own user and root may change anything.
 * Results:  0 is done. Negative is the errno of a fault: -ECONNREFUSED when no broker is there, -ENAMETOOLONG when the
 *           run directory is too long for a socket, -ENOMEM, … Positive is an enum mcp_broker_outcome.
 * Memory:   what a call gives through its last argument is the caller's, until the function named there has freed it;
 *           all texts in it live as long. Freeing NULL does nothing. What a call takes is copied. On a fault nothing is
 *           given. Texts are UTF-8.
 * Time:     durations are milliseconds; times are milliseconds since 1970.
 * Threads:  any number of threads may ask at once. A subscription is used by one thread at a time, but for its descriptor,
 *           which any may poll. The library has threads of its own (nng's), which take no signals and call nothing of
 *           the caller's. After fork() it works in the parent only, until the child has called exec. */
#ifndef MCP_BROKER_H
#define MCP_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined __GNUC__
#define MCP_BROKER_API __attribute__((visibility("default")))
#else
#define MCP_BROKER_API
#endif

#define MCP_BROKER_RUN_DIR "/run/mcp-broker"

enum mcp_broker_outcome {
    MCP_BROKER_REFUSED = 1, /* the broker said no; the answer says why */
    MCP_BROKER_NOTHING = 2, /* nothing came in the time given */
};

/* ---- events ---- */

enum mcp_broker_kind {
    /* From the broker; these can be chosen, joined with |. */
    MCP_BROKER_TOOLS = 1,     /* a server's list of tools has changed */
    MCP_BROKER_PROMPTS = 2,   /* its list of prompts */
    MCP_BROKER_RESOURCES = 4, /* its list of resources */
    MCP_BROKER_STATUS = 8,    /* the state of the connection to it (told only by a broker that was told to) */
    /* Of the subscription itself; these always come. */
    MCP_BROKER_ONLINE = 16,  /* the broker is there: from here on events are heard. Before the second and later ones any
                              * number of events may have been missed */
    MCP_BROKER_OFFLINE = 32, /* it is gone, and being looked for */
    MCP_BROKER_MISSED = 64,  /* events were lost since this program did not keep up */
};

/* Texts are never NULL: "" is what is not known or does not apply. Later versions may append members. */
struct mcp_broker_event {
    enum mcp_broker_kind kind;
    uint64_t missed; /* MISSED: how many, chosen ones or not; else 0 */
    const char *server_id, *server_name, *workspace_id;
    uint64_t timestamp_ms;
    /* TOOLS, PROMPTS, RESOURCES */
    const char *reason;    /* "notification", "reconnect", "verify", "poll" */
    uint64_t generation;   /* of this list of this server; grows with each change, 0: not known */
    const char *list_hash; /* 32 hexadecimal digits, when the list was fetched before the event was sent */
    int64_t list_count;    /* of items, or -1 */
    /* STATUS */
    const char *state;
    bool connected;
    const char *last_error;
    /* All fields there are, as a msgpack map for mcp_broker_json or a decoder of your own; NULL where the subscription
     * itself speaks. `sequence` in it counts the broker's events. */
    const void *data;
    size_t size;
};

struct mcp_broker_filter {
    unsigned kinds;        /* of enum mcp_broker_kind; 0: all lists, no states */
    const char *workspace; /* NULL: all */
    size_t queue;          /* events kept for a program that is busy, more are missed; 0: 10000 */
};

struct mcp_broker_subscription;

/* Begins to listen; `filter` may be NULL. No broker needs to be there yet: it is looked for, and looked for again whenever
 * it goes. `*subscription` is freed with mcp_broker_unsubscribe. -EINVAL: no such kind. */
MCP_BROKER_API int mcp_broker_subscribe(const char *run_dir, const struct mcp_broker_filter *filter,
                                        struct mcp_broker_subscription **subscription);

/* Takes the next event, or waits for it for `timeout_ms` (0: not at all; negative: without end). 0 with `*event`, freed
 * with mcp_broker_event_free; MCP_BROKER_NOTHING; -EINTR after a signal. ONLINE, OFFLINE and MISSED may come before events
 * that were heard earlier, never after those that were heard later. */
MCP_BROKER_API int mcp_broker_receive(struct mcp_broker_subscription *subscription, int timeout_ms,
                                      struct mcp_broker_event **event);

/* A descriptor to poll for reading: readable while there is something to receive. It stays the subscription's: neither
 * read nor close it. */
MCP_BROKER_API int mcp_broker_descriptor(const struct mcp_broker_subscription *subscription);

MCP_BROKER_API void mcp_broker_event_free(struct mcp_broker_event *event);
MCP_BROKER_API void mcp_broker_unsubscribe(struct mcp_broker_subscription *subscription);

/* ---- questions ---- */

struct mcp_broker_answer {
    /* What was asked for, as a msgpack value; NULL when the broker said no. */
    const void *data;
    size_t size;
    /* Why it said no, else NULL: a word ("not_found", "forbidden", …) and a sentence. */
    const char *error;
    const char *message;
};

/* Asks what mcp-brokerctl asks ("status", "states", "show", "workers", …), and waits for at most `timeout_ms`.
 * `arguments` is a JSON object as text, NULL: none. 0 or MCP_BROKER_REFUSED, both with `*answer`, freed with
 * mcp_broker_answer_free; -ETIMEDOUT; -EINVAL: the arguments are no JSON object; -E2BIG: more than 1 MiB of them; -EPROTO:
 * what answers is no broker of this version. */
MCP_BROKER_API int mcp_broker_ask(const char *run_dir, const char *command, const char *arguments, unsigned timeout_ms,
                                  struct mcp_broker_answer **answer);

/* Has a server watched from now on, over restarts. `definition` is a JSON object with the keys of the servers file. The
 * broker answers once it has a verdict, after `wait_ms` at the latest (refused as "timed_out", and it goes on trying).
 * Results as of mcp_broker_ask; the data is the server as "show" gives it. */
MCP_BROKER_API int mcp_broker_connect(const char *run_dir, const char *server_id, const char *definition,
                                      unsigned wait_ms, struct mcp_broker_answer **answer);

/* No longer watches a server that was connected at run time. Results of these three as of mcp_broker_ask. */
MCP_BROKER_API int mcp_broker_disconnect(const char *run_dir, const char *server_id, unsigned timeout_ms,
                                         struct mcp_broker_answer **answer);

/* Tries again now, whatever its state. */
MCP_BROKER_API int mcp_broker_reconnect(const char *run_dir, const char *server_id, unsigned timeout_ms,
                                        struct mcp_broker_answer **answer);

/* Says that somebody needs it: what was connected at run time and is not asked for is closed after a while. */
MCP_BROKER_API int mcp_broker_touch(const char *run_dir, const char *server_id, unsigned timeout_ms,
                                    struct mcp_broker_answer **answer);

MCP_BROKER_API void mcp_broker_answer_free(struct mcp_broker_answer *answer);

/* The JSON text of `data`; free() it. NULL without memory, or when it is none. */
MCP_BROKER_API char *mcp_broker_json(const void *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
