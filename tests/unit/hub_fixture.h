/* SPDX-License-Identifier: MIT */
/* For the tests of the hub's parts: definitions of servers, and rows as their workers write them. */
#ifndef TESTS_UNIT_HUB_FIXTURE_H
#define TESTS_UNIT_HUB_FIXTURE_H

#include "common/server_def.h"
#include "table_fixture.h"

#include <jansson.h>

static inline void on_def_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user;
    print_error("%s %s: %s\n", id, key, message);
}

/* A definition; `more` is JSON with further keys, or NULL. */
static inline struct server_def *def_called(const char *id, const char *more)
{
    json_t *object = json_pack("{s:s}", "url", "http://127.0.0.1:1/mcp");
    if (more) {
        json_t *keys = json_loads(more, 0, NULL);
        assert_non_null(keys);
        assert_int_equal(json_object_update(object, keys), 0);
        json_decref(keys);
    }
    struct server_def *def = server_def_from_json(id, object, SOURCE_FILE, on_def_problem, NULL);
    assert_non_null(def);
    json_decref(object);
    return def;
}

#endif
