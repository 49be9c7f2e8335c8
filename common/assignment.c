/* SPDX-License-Identifier: MIT */
/* The two parts of an assignment message that have a form of their own: the worker's question, and one entry of `put`.
 * The hub puts answers together around entries that it may have written before; the worker takes them apart.
 *
 * Both ends are ours, but of two processes that may be of two builds for a moment: what does not fit is an outcome, not
 * an assertion, and a definition is checked here exactly as it was when it came in from outside. */
#include "common/assignment.h"

#include <string.h>

json_t *assignment_question_write(const struct assignment_question *question)
{
    return json_pack("{s:i, s:I, s:I, s:I}", "slot", question->slot, "start", (json_int_t)question->start_count,
                     "epoch", (json_int_t)question->epoch, "since", (json_int_t)question->since);
}

/* A number from 0 to `max`, which fits in a json_int_t. */
static bool read_number(const json_t *object, const char *key, uint64_t max, uint64_t *number)
{
    const json_t *value = json_object_get(object, key);
    json_int_t got = json_integer_value(value);

    if (!json_is_integer(value) || got < 0 || (uint64_t)got > max)
        return false;
    *number = (uint64_t)got;
    return true;
}

int assignment_question_read(const json_t *message, struct assignment_question *question)
{
    struct assignment_question got = {.slot = 0};
    uint64_t slot;

    if (!read_number(message, "slot", INT32_MAX, &slot) ||
        !read_number(message, "start", INT64_MAX, &got.start_count) ||
        !read_number(message, "epoch", INT64_MAX, &got.epoch) || !read_number(message, "since", INT64_MAX, &got.since))
        return 1;
    got.slot = (int)slot;
    *question = got;
    return 0;
}

json_t *assignment_put_write(uint32_t row, uint32_t incarnation, const struct server_def *def)
{
    json_t *server = server_def_to_json(def);

    if (server == NULL)
        return NULL;
    /* `o` takes the reference, also when it fails. */
    return json_pack("{s:I, s:I, s:s, s:s, s:o}", "row", (json_int_t)row, "incarnation", (json_int_t)incarnation,
                     "serverId", def->id, "source", source_name(def->source), "server", server);
}

static bool read_source(const json_t *entry, enum source *source)
{
    const char *name = json_string_value(json_object_get(entry, "source"));

    for (unsigned i = 0; name != NULL && i < SOURCE_COUNT; i++) {
        if (strcmp(name, source_name(i)) == 0) {
            *source = (enum source)i;
            return true;
        }
    }
    return false;
}

/* The hub has told whoever gave the definition; here there is nobody to tell. */
static void ignore_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id, (void)key, (void)message;
}

int assignment_put_read(const json_t *entry, struct assignment_put *put)
{
    const char *id = json_string_value(json_object_get(entry, "serverId"));
    uint64_t row, incarnation;
    enum source source;

    if (id == NULL || !read_source(entry, &source) || !read_number(entry, "row", UINT32_MAX, &row) ||
        !read_number(entry, "incarnation", UINT32_MAX, &incarnation))
        return 1;
    struct server_def *def = server_def_from_json(id, json_object_get(entry, "server"), source, ignore_problem, NULL);
    if (def == NULL)
        return 1;
    *put = (struct assignment_put){.row = (uint32_t)row, .incarnation = (uint32_t)incarnation, .def = def};
    return 0;
}
