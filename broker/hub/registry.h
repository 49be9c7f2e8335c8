/* SPDX-License-Identifier: MIT */
/* What must outlive every process and the machine's memory: the servers that were connected at run time, and, for all
 * servers, the last known state of their lists, so that a change made while everything was down is found.
 *
 * One file, readable by the broker's user alone (definitions carry credentials): the hub's, and nobody else's. Servers
 * are durable when the call returns; levels and memories are written between registry_begin and registry_commit, and a
 * power failure may take the last batches of them (an unknown level counts as changed).
 *
 * Functions return 0, a negative errno (-ENOSPC, -EIO, -EBUSY, …; logged here when it is seen first, and again only
 * after a success), or a positive outcome where one is named. They block for as long as the disk does. Not thread-safe. */
#ifndef BROKER_HUB_REGISTRY_H
#define BROKER_HUB_REGISTRY_H

#include "common/compiler.h"
#include "common/names.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

enum { REGISTRY_ERROR_SIZE = 512, REGISTRY_VERSION_SIZE = ROW_VERSION_SIZE, REGISTRY_NOTE_SIZE = 128 };
enum registry_outcome { REGISTRY_NONE = 1 /* nothing is known of it */ };

struct registry;

/* A server's list of one kind, as in the table. */
struct registry_level {
    uint64_t generation;
    uint64_t published;
    uint64_t seen_ms; /* when it was stored; 0: the list was never seen */
    struct fingerprint fingerprint;
    uint32_t count;
    bool known; /* fingerprint and count are of the list after its last change */
};

/* How a server was last spoken to: where the next attempt begins. */
struct registry_memory {
    enum era era;
    char protocol_version[REGISTRY_VERSION_SIZE];
};

/* Opens or makes the registry in `state_dir`. A damaged one is renamed aside, which is logged, and a new one begun. That
 * of a newer version, or a database that is no registry, is left alone: a negative errno. `error` says what is wrong on
 * any outcome but 0. */
MUST_CHECK int registry_open(const char *state_dir, struct registry **out, char error[REGISTRY_ERROR_SIZE]);

/* A batch that was not committed is lost. NULL: nothing. */
void registry_close(struct registry *registry);

/* Gives up what is cached of the file. Costs nothing when that is nothing; what is wanted again is read again. */
void registry_rest(struct registry *registry);

/* 32 hexadecimal digits: which broker this is, from the first start for as long as the file lives. */
const char *registry_instance(const struct registry *registry);

/* A short text under a name, of the hub's own. REGISTRY_NONE when there is none. */
MUST_CHECK int registry_load_note(struct registry *registry, const char *key, char out[REGISTRY_NOTE_SIZE]);
/* The same for one of any length; the caller frees *out. */
MUST_CHECK int registry_load_long_note(struct registry *registry, const char *key, char **out);
/* `durably`: it is on the disk when this returns. Not within a batch then. */
MUST_CHECK int registry_store_note(struct registry *registry, const char *key, const char *text, bool durably);
/* 0 also when there was none. */
MUST_CHECK int registry_remove_note(struct registry *registry, const char *key);

/* --- servers connected at run time --- */

/* Adds or replaces; `definition` is JSON text. Durable. Not within a batch. */
MUST_CHECK int registry_put_server(struct registry *registry, const char *id, const char *definition);

/* Durable; 0 also when there was none. Not within a batch. */
MUST_CHECK int registry_remove_server(struct registry *registry, const char *id);

/* In the order they were added. `id` and `definition` are borrowed for the call; `on_server` must not call the registry. */
MUST_CHECK int registry_each_server(struct registry *registry,
                                    void (*on_server)(void *user, const char *id, const char *definition), void *user);

/* --- refresh tokens that replaced those of definitions --- */

/* Adds or replaces; durable. Not within a batch. `chain`: common/token_lease.h. */
MUST_CHECK int registry_put_token(struct registry *registry, const char *chain, const char *refresh_token);
/* One that is not there is no fault. */
MUST_CHECK int registry_remove_token(struct registry *registry, const char *chain);
/* As registry_each_server. */
MUST_CHECK int registry_each_token(struct registry *registry,
                                   void (*on_token)(void *user, const char *chain, const char *refresh_token),
                                   void *user);

/* --- what is known of any server --- */

/* 0, or REGISTRY_NONE with *out zeroed. */
MUST_CHECK int registry_load_level(struct registry *registry, const char *id, enum kind kind,
                                   struct registry_level *out);
MUST_CHECK int registry_load_memory(struct registry *registry, const char *id, struct registry_memory *out);

/* Each server of which something is known, with its highest generation. Borrowed for the call; `on_known` must not call
 * the registry. */
MUST_CHECK int registry_each_known(struct registry *registry,
                                   void (*on_known)(void *user, const char *id, uint64_t generation), void *user);

/* A batch: begin, any number of stores and forgets, commit. A fault in one of them ends it, and nothing of it was stored:
 * what follows returns the same fault, up to the commit, which may then be left out. The caller tries all of it again,
 * later. */
MUST_CHECK int registry_begin(struct registry *registry);
MUST_CHECK int registry_store_level(struct registry *registry, const char *id, enum kind kind,
                                    const struct registry_level *level);
MUST_CHECK int registry_store_memory(struct registry *registry, const char *id, const struct registry_memory *memory);

/* Levels and memory of a server that is gone for good. */
MUST_CHECK int registry_forget(struct registry *registry, const char *id);
MUST_CHECK int registry_commit(struct registry *registry);

#endif
