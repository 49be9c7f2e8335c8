/* SPDX-License-Identifier: MIT */
/* Fuzz target of the diagnostics socket: the input is a question of one who may change things, and goes through the
 * hub's own diag.c, with a table and a roster of a few servers in every state. The bus, the supervisor and the list of
 * what is watched are fakes. Each question gets one answer, which the command line can read; a definition that gets
 * through is accepted again when it is written as JSON, as the same. */
#include "broker/hub/diag.h"

#include "common/bus.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/question.h"
#include "frame.h"
#include "run_dir.h"

#include <string.h>
#include <unistd.h>

enum { CAPACITY = 64, WALK = 10 /* turns of the loop that a walk over them takes at most */ };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* --- fakes --- */

struct bus_question {
    unsigned answers;
};

static struct {
    void (*on_question)(void *user, struct bus_question *question, const void *bytes, size_t size);
    void *user;
} bus;

static struct table *table;
static struct roster *roster;
static struct assign *assign;
static struct config config;
static uv_loop_t loop;

int bus_rep_open(uv_loop_t *at, const struct bus_rep_options *options,
                 void (*on_question)(void *user, struct bus_question *question, const void *bytes, size_t size),
                 void *user, struct bus_rep **out)
{
    (void)at, (void)options;
    bus.on_question = on_question;
    bus.user = user;
    *out = NULL;
    return 0;
}

uint64_t bus_rep_refused(const struct bus_rep *rep)
{
    (void)rep;
    return 0;
}

void bus_rep_close(struct bus_rep *rep)
{
    (void)rep;
}

int bus_question_peer(const struct bus_question *question, struct bus_peer *peer)
{
    (void)question;
    *peer = (struct bus_peer){.uid = geteuid(), .pid = getpid()};
    return 0;
}

void bus_question_answer(struct bus_question *question, const void *bytes, size_t size)
{
    json_t *code = NULL, *message = NULL;
    const void *data;
    size_t data_size;
    int result = question_read_answer(bytes, size, &data, &data_size, &code, &message);
    json_t *value = result == 0 ? pack_read(data, data_size) : NULL;
    if (size > QUESTION_ANSWER_MAX || result > 1 || (result == 0 && value == NULL))
        abort();
    json_decref(value);
    json_decref(code);
    json_decref(message);
    question->answers++;
}

void bus_question_drop(struct bus_question *question)
{
    question->answers++;
}

static void on_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id;
    fprintf(stderr, "%s: %s\n", key, message);
}

int watchlist_connect(struct watchlist *watchlist, struct server_def *def, struct watchlist_connected *out)
{
    (void)watchlist;
    json_t *object = server_def_to_json(def);
    struct server_def *again = server_def_from_json(def->id, object, SOURCE_RUNTIME, on_problem, NULL);
    if (again == NULL || !server_def_equal(def, again) || def->transport == TRANSPORT_STDIO)
        abort();
    server_def_destroy(again);
    json_decref(object);
    *out = (struct watchlist_connected){.row = roster_find(roster, def->id), .same_connection = !def->enabled};
    server_def_destroy(def);
    return out->row == ROSTER_NO_ROW ? WATCHLIST_FULL : 0;
}

int watchlist_disconnect(struct watchlist *watchlist, const char *id)
{
    (void)watchlist;
    return roster_find(roster, id) == ROSTER_NO_ROW ? WATCHLIST_UNKNOWN : WATCHLIST_CONFLICT;
}

struct assign *watchlist_assign(struct watchlist *watchlist)
{
    (void)watchlist;
    return assign;
}

static void get_facts(void *user, struct diag_facts *out)
{
    (void)user;
    *out = (struct diag_facts){.instance = "fuzz", .config = &config, .redis_state = "off"};
}

static int ask_supervisor(void *user, const char *word, const char *argument)
{
    (void)user;
    return strlen(word) + strlen(argument) < 64 ? 0 : -1;
}

/* --- the target --- */

/* A server called after its state. */
static void add_server(enum state state)
{
    uint32_t row;
    struct row value = {.state = (uint8_t)state, .last_error = "why"};
    json_t *object = json_pack("{s:s, s:s}", "url", "http://127.0.0.1:1/mcp", "workspaceId", "w");
    struct server_def *def = server_def_from_json(state_name(state), object, SOURCE_RUNTIME, on_problem, NULL);
    json_decref(object);
    if (def == NULL || roster_add(roster, def, &row) != 0 || table_row_reserve(table, row) != 0)
        abort();
    table_text(value.server_id, sizeof(value.server_id), def->id);
    table_text(value.workspace_id, sizeof(value.workspace_id), server_def_workspace_id(def));
    table_row_write(table, row, &value);
    table_row_set_listed(table, row, true);
}

static void on_free(void *user, uint32_t row)
{
    (void)user, (void)row;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    bool taken_over;
    char error[TABLE_ERROR_SIZE];
    log_open("fuzz", LOG_LEVEL_AUDIT, LOG_FORMAT_TEXT);
    config_init(&config);
    config.audit = AUDIT_NONE;
    config.max_questions = UINT64_MAX;
    run_dir_make();
    if (uv_loop_init(&loop) != 0 || table_create(run_dir, CAPACITY, &table, &taken_over, error) != 0 ||
        roster_create(CAPACITY, &roster) != 0 || assign_create(table, roster, on_free, NULL, &assign) != 0)
        abort();
    for (unsigned state = STATE_NONE + 1; state < STATE_COUNT; state++)
        add_server((enum state)state);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct diag_options options = {.run_dir = run_dir,
                                         .table = table,
                                         .roster = roster,
                                         .get_facts = get_facts,
                                         .config = &config,
                                         .ask_supervisor = ask_supervisor};
    struct bus_question question = {.answers = 0};
    struct buf message;
    struct diag *diag;

    frame_init(&message, bytes, size);
    if (diag_open(&loop, &options, &diag) != 0)
        abort();
    bus.on_question(bus.user, &question, message.bytes, message.size);
    for (unsigned i = 0; i < WALK && question.answers == 0; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    diag_stop(diag);
    if (question.answers != 1)
        abort();
    diag_close(diag);
    uv_run(&loop, UV_RUN_DEFAULT);
    buf_fini(&message);
    return 0;
}
