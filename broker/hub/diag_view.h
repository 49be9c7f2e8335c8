/* SPDX-License-Identifier: MIT */
/* What the hub answers to those who ask: JSON from table and roster, as common/question.h draws it. Changes nothing, does
 * no I/O. Each function gives a new reference, or NULL without memory. */
#ifndef HUB_DIAG_VIEW_H
#define HUB_DIAG_VIEW_H

#include "broker/hub/assign.h"
#include "broker/hub/roster.h"
#include "common/compiler.h"
#include "common/config.h"
#include "common/question.h"
#include "common/row_pick.h"
#include "common/table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What `status` and `ping` tell beside table and roster. Texts are borrowed; NULL or "": none. */
struct diag_facts {
    const char *instance;
    uint64_t started_ms;
    const struct config *config;
    json_t *configured; /* what the supervisor says of reading the configuration; borrowed; NULL: not known */
    uint64_t workers_configured;
    const int *out_of_service; /* slots whose workers do not live; their servers are with the others */
    size_t out_of_service_count;
    const char *redis_state; /* "off", "up", "connecting", "down" */
    const char *redis_error;
    const char *file_path; /* NULL: no servers file */
    uint64_t file_read_ms; /* 0: never */
    const char *file_error;
    uint64_t file_left_out;
    const char *sandbox; /* sandbox_text() */
};

json_t *diag_view_ping(const struct diag_facts *facts);
json_t *diag_view_status(const struct diag_facts *facts, const struct table *table);
/* The hub, and the workers that are in service, still alive, or out of service. */
json_t *diag_view_workers(const struct diag_facts *facts, const struct table *table, const struct assign *assign);

/* Which servers a question wants; its texts are those of `args`. NULL, or which argument is wrong. */
const char *diag_view_read_states(const struct table *table, const json_t *args, struct row_pick_options *out);
/* Those servers. */
json_t *diag_view_states(const struct table *table, const struct row_pick_options *wanted, struct row_pick *pick);

/* One server in detail. */
json_t *diag_view_show(const struct table *table, uint32_t row);

/* {"serverId","state"} */
json_t *diag_view_brief(const struct table *table, const struct roster *roster, uint32_t row);

/* True when the state of a server is an answer to who wanted it connected; *error is then QUESTION_OK or why not. */
bool diag_view_verdict(const struct row *row, enum question_error *error);

#endif
