/* SPDX-License-Identifier: MIT */
/* The definition of a server as a value: made of a draft (server_def_draft.c knows the keys), compared, written as JSON
 * again, freed. The hub holds one for each server it knows, a worker one for each connection, so a definition is one
 * allocation: the struct, its arrays, then all its texts.
 *
 *     | struct server_def | struct server_extras, if there are any | headers | env | args | texts … |
 *
 * Nothing changes it afterwards; whoever wants another one makes another one. */
#include "common/server_def.h"

#include "common/server_def_draft.h"
#include "common/server_url.h"
#include "common/slab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- labels --- */

static const char *next_label(const char *label)
{
    return label + strlen(label) + 1;
}

const char *server_def_name(const struct server_def *def)
{
    const char *name = next_label(def->id);
    return *name != '\0' ? name : def->id;
}

const char *server_def_workspace_id(const struct server_def *def)
{
    return next_label(next_label(def->id));
}

const char *server_def_user_id(const struct server_def *def)
{
    return next_label(server_def_workspace_id(def));
}

/* --- packing --- */

/* Where texts are copied to; with `next` NULL they are only measured. */
struct packing {
    char *next;
    size_t size;
};

static void pack_label(struct packing *packing, const char **text)
{
    size_t size = strlen(*text) + 1;

    packing->size += size;
    if (packing->next != NULL) {
        *text = memcpy(packing->next, *text, size);
        packing->next += size;
    }
}

static void pack_text(struct packing *packing, const char **text)
{
    if (*text != NULL && **text == '\0')
        *text = "";
    else if (*text != NULL)
        pack_label(packing, text);
}

static void pack_pairs(struct packing *packing, struct server_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pack_text(packing, &pairs[i].name);
        pack_text(packing, &pairs[i].value);
    }
}

/* All texts, the labels first, in the order in which next_label finds them. */
static void pack_texts(struct packing *packing, struct server_def_draft *draft)
{
    const char **const labels[] = {&draft->def.id, &draft->name, &draft->workspace_id, &draft->user_id};
    struct server_extras *extras = &draft->extras;
    const char **const texts[] = {&draft->def.url, &extras->ca_file, &extras->proxy, &extras->command, &extras->cwd};

    for (size_t i = 0; i < ARRAY_LENGTH(labels); i++)
        pack_label(packing, labels[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        pack_text(packing, texts[i]);
    pack_pairs(packing, draft->headers, extras->header_count);
    pack_pairs(packing, draft->env, extras->env_count);
    for (size_t i = 0; i < extras->arg_count; i++)
        pack_text(packing, &draft->args[i]);
}

const struct server_extras SERVER_NO_EXTRAS;

static bool has_extras(const struct server_extras *extras)
{
    return extras->header_count > 0 || extras->ca_file != NULL || extras->proxy != NULL || extras->auth != NULL ||
           extras->command != NULL || extras->arg_count > 0 || extras->env_count > 0 || extras->cwd != NULL;
}

static struct server_def *pack(struct server_def_draft *draft)
{
    size_t extras_size = has_extras(&draft->extras) ? sizeof draft->extras : 0;
    size_t headers_size = draft->extras.header_count * sizeof draft->headers[0];
    size_t env_size = draft->extras.env_count * sizeof draft->env[0];
    size_t args_size = draft->extras.arg_count * sizeof draft->args[0];
    size_t fixed_size = sizeof(struct server_def) + extras_size + headers_size + env_size + args_size;
    struct packing packing = {.next = NULL};

    pack_texts(&packing, draft);
    json_t *auth = json_deep_copy(draft->extras.auth);
    char *memory = slab_take(&slab_held, fixed_size + packing.size);
    if (memory == NULL || (auth == NULL && draft->extras.auth != NULL)) {
        slab_give(&slab_held, memory, fixed_size + packing.size);
        json_decref(auth);
        return NULL;
    }

    /* The texts of the draft become those of the copy, and then its parts are copied, too. */
    struct server_def *def = (struct server_def *)(void *)memory;
    struct server_extras *extras = (struct server_extras *)(void *)(memory + sizeof *def);
    struct server_pair *headers = (struct server_pair *)(void *)(memory + sizeof *def + extras_size);
    struct server_pair *env = (struct server_pair *)(void *)((char *)headers + headers_size);
    const char **args = (const char **)(void *)((char *)env + env_size);

    draft->def.size = (uint32_t)(fixed_size + packing.size);
    draft->def.extras = extras_size > 0 ? extras : &SERVER_NO_EXTRAS;
    packing = (struct packing){.next = memory + fixed_size};
    pack_texts(&packing, draft);
    draft->extras.headers = memcpy(headers, draft->headers, headers_size);
    draft->extras.env = memcpy(env, draft->env, env_size);
    draft->extras.args = memcpy(args, draft->args, args_size);
    draft->extras.auth = auth;
    memcpy(extras, &draft->extras, extras_size);
    memcpy(def, &draft->def, sizeof *def);
    /* cppcheck-suppress memleak ; def is memory */
    return def;
}

struct server_def *server_def_from_json(const char *id, json_t *object, enum source source,
                                        server_def_on_problem on_problem, void *user)
{
    struct server_def_draft draft;

    if (!server_def_draft_read(&draft, id, object, source, on_problem, user))
        return NULL;
    struct server_def *def = pack(&draft);
    if (def == NULL)
        on_problem(user, id, "", "no memory");
    return def;
}

struct server_def *server_def_copy(const struct server_def *def)
{
    struct server_def_draft draft = {
        .def = *def,
        .name = next_label(def->id),
        .workspace_id = server_def_workspace_id(def),
        .user_id = server_def_user_id(def),
        .extras = *def->extras,
    };

    for (size_t i = 0; i < draft.extras.header_count; i++)
        draft.headers[i] = def->extras->headers[i];
    for (size_t i = 0; i < draft.extras.env_count; i++)
        draft.env[i] = def->extras->env[i];
    for (size_t i = 0; i < draft.extras.arg_count; i++)
        draft.args[i] = def->extras->args[i];
    return pack(&draft);
}

void server_def_destroy(struct server_def *def)
{
    if (def == NULL)
        return;
    json_decref(def->extras->auth);
    slab_give(&slab_held, def, def->size);
}

/* --- JSON --- */

/* Each adds a key unless the value is the default; false without memory. json_object_set_new copes with NULL. */

static bool put_text(json_t *object, const char *key, const char *text, const char *default_text)
{
    if (text == NULL || (default_text != NULL && strcmp(text, default_text) == 0))
        return true;
    return json_object_set_new(object, key, json_string(text)) == 0;
}

static bool put_number(json_t *object, const char *key, uint64_t number)
{
    return number == 0 || json_object_set_new(object, key, json_integer((json_int_t)number)) == 0;
}

static bool put_poll(json_t *object, uint64_t ms)
{
    /* Always milliseconds: exact, and duration_parse reads it. */
    return ms == 0 || json_object_set_new(object, "poll", json_sprintf("%llums", (unsigned long long)ms)) == 0;
}

static bool put_pairs(json_t *object, const char *key, const struct server_pair *pairs, size_t count)
{
    json_t *part = json_object();
    bool ok = part != NULL;

    for (size_t i = 0; ok && i < count; i++)
        ok = json_object_set_new(part, pairs[i].name, json_string(pairs[i].value)) == 0;
    if (ok && count > 0)
        ok = json_object_set(object, key, part) == 0;
    json_decref(part);
    return ok;
}

static bool put_args(json_t *object, const struct server_def *def)
{
    json_t *part = json_array();
    bool ok = part != NULL;

    for (size_t i = 0; ok && i < def->extras->arg_count; i++)
        ok = json_array_append_new(part, json_string(def->extras->args[i])) == 0;
    if (ok && def->extras->arg_count > 0)
        ok = json_object_set(object, "args", part) == 0;
    json_decref(part);
    return ok;
}

static bool put_events(json_t *object, unsigned events)
{
    json_t *part = json_array();
    bool ok = part != NULL;

    for (unsigned kind = 0; ok && kind < KIND_COUNT; kind++)
        if ((events & 1U << kind) != 0)
            ok = json_array_append_new(part, json_string(kind_name(kind))) == 0;
    if (ok && events != 1U << KIND_TOOLS)
        ok = json_object_set(object, "events", part) == 0;
    json_decref(part);
    return ok;
}

json_t *server_def_to_json(const struct server_def *def)
{
    json_t *object = json_object();

    /* http and stdio follow from url and command. */
    bool ok =
        object != NULL && put_text(object, "type", def->transport == TRANSPORT_SSE ? "sse" : NULL, NULL) &&
        put_text(object, "url", def->url, NULL) && put_text(object, "command", def->extras->command, NULL) &&
        put_args(object, def) && put_pairs(object, "env", def->extras->env, def->extras->env_count) &&
        put_text(object, "cwd", def->extras->cwd, NULL) &&
        put_pairs(object, "headers", def->extras->headers, def->extras->header_count) &&
        put_text(object, "name", server_def_name(def), def->id) &&
        put_text(object, "workspaceId", server_def_workspace_id(def), "") &&
        put_text(object, "userId", server_def_user_id(def), "") && put_events(object, def->events) &&
        put_number(object, "timeout", def->timeout_ms) && put_poll(object, def->poll_ms) &&
        put_text(object, "caFile", def->extras->ca_file, NULL) && put_text(object, "proxy", def->extras->proxy, NULL) &&
        (def->extras->auth == NULL || json_object_set_new(object, "auth", json_deep_copy(def->extras->auth)) == 0) &&
        (def->enabled || json_object_set_new(object, "enabled", json_false()) == 0);
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

/* --- comparing and showing --- */

static bool texts_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The order counts: a change of it is a change that costs a reconnect, and nothing else. */
static bool pairs_equal(const struct server_pair *a, size_t a_count, const struct server_pair *b, size_t b_count)
{
    bool equal = a_count == b_count;

    for (size_t i = 0; equal && i < a_count; i++)
        equal = texts_equal(a[i].name, b[i].name) && texts_equal(a[i].value, b[i].value);
    return equal;
}

static bool args_equal(const struct server_def *a, const struct server_def *b)
{
    bool equal = a->extras->arg_count == b->extras->arg_count;

    for (size_t i = 0; equal && i < a->extras->arg_count; i++)
        equal = texts_equal(a->extras->args[i], b->extras->args[i]);
    return equal;
}

bool server_def_same_connection(const struct server_def *a, const struct server_def *b)
{
    return texts_equal(a->id, b->id) && a->source == b->source && a->transport == b->transport &&
           a->enabled == b->enabled && a->events == b->events && a->timeout_ms == b->timeout_ms &&
           a->poll_ms == b->poll_ms && texts_equal(a->url, b->url) &&
           pairs_equal(a->extras->headers, a->extras->header_count, b->extras->headers, b->extras->header_count) &&
           texts_equal(a->extras->ca_file, b->extras->ca_file) && texts_equal(a->extras->proxy, b->extras->proxy) &&
           texts_equal(a->extras->command, b->extras->command) && args_equal(a, b) &&
           pairs_equal(a->extras->env, a->extras->env_count, b->extras->env, b->extras->env_count) &&
           texts_equal(a->extras->cwd, b->extras->cwd) &&
           (a->extras->auth == b->extras->auth || json_equal(a->extras->auth, b->extras->auth));
}

bool server_def_equal(const struct server_def *a, const struct server_def *b)
{
    return server_def_same_connection(a, b) && texts_equal(server_def_name(a), server_def_name(b)) &&
           texts_equal(server_def_workspace_id(a), server_def_workspace_id(b)) &&
           texts_equal(server_def_user_id(a), server_def_user_id(b));
}

const char *server_def_origin(const struct server_def *def, char *out, size_t size)
{
    if (def->url != NULL)
        return server_url_origin(def->url, out, size);
    const char *command = def->extras->command != NULL ? def->extras->command : "";
    const char *slash = strrchr(command, '/');
    snprintf(out, size, "%s", slash != NULL ? slash + 1 : command);
    return out;
}
