/* SPDX-License-Identifier: MIT */
/* The socket on which the broker is asked. Whoever may open it may look; whoever wants to change something must be the
 * broker's own user or root, as the kernel says of the other end. Bytes from there are input: what is no question gets an
 * error and costs nothing more.
 *
 * A command is a row of the table below: its name, whether it changes anything, and the function that makes the reply. A
 * reply is data or an error; `connect` puts its question aside until there is a verdict (verdicts.h), and `states` until
 * the table has been walked (walks.h).
 */
#include "broker/hub/diag.h"

#include "broker/hub/verdicts.h"
#include "broker/hub/walks.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/question.h"
#include "common/rate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    NUMBER_SIZE = 24,
    MODE = 0660,
    MESSAGE_SIZE = 256,
    WORKERS_MAX = 256,
    WAIT_MORE_MS = 2000,
    HELD_MAX = VERDICTS_MAX + WALKS_MAX + 1, /* and one that is refused */
    ASKERS = 64,
    KIB = 1024
};

struct diag {
    struct diag_options options;
    struct bus_rep *rep;
    struct verdicts *verdicts;
    struct walks *walks;
    struct rate rates[ASKERS]; /* of users; those of a few may be one */
    bool stopping;
};

/* What a command came to: data (owned), or an error with a message for a person. */
struct reply {
    json_t *data;
    enum question_error error;
    bool held; /* answered later */
    char message[MESSAGE_SIZE];
};

static struct reply give(json_t *data)
{
    if (data)
        return (struct reply){.data = data};
    return (struct reply){.error = QUESTION_INTERNAL, .message = "no memory"};
}

static struct reply refuse(enum question_error error, const char *message)
{
    struct reply reply = {.error = error};
    snprintf(reply.message, sizeof(reply.message), "%s", message);
    return reply;
}

static void send_reply(struct diag *diag, struct bus_question *question, struct reply *reply)
{
    struct buf out;
    buf_init(&out, QUESTION_ANSWER_MAX);
    int result = reply->error == QUESTION_OK ? question_write_data(&out, reply->data)
                                             : question_write_error(&out, reply->error, reply->message);
    json_decref(reply->data);
    reply->data = NULL;
    if (result == BUF_FULL) {
        buf_clear(&out);
        result = question_write_error(&out, QUESTION_INTERNAL, "the answer is too large: ask for less");
    }
    table_count(diag->options.table, TABLE_HUB, COUNTER_ASKED, 1);
    if (result == 0)
        bus_question_answer(question, out.bytes, out.size);
    else
        bus_question_drop(question);
    buf_fini(&out);
}

/* --- looking --- */

static struct reply run_ping(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question, (void)args;
    struct diag_facts facts;
    diag->options.get_facts(diag->options.user, &facts);
    return give(diag_view_ping(&facts));
}

static struct reply run_status(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question, (void)args;
    struct diag_facts facts;
    diag->options.get_facts(diag->options.user, &facts);
    return give(diag_view_status(&facts, diag->options.table));
}

static struct reply run_workers(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question, (void)args;
    struct diag_facts facts;
    diag->options.get_facts(diag->options.user, &facts);
    return give(diag_view_workers(&facts, diag->options.table, watchlist_assign(diag->options.watchlist)));
}

static struct reply run_states(struct diag *diag, struct bus_question *question, json_t *args)
{
    struct row_pick_options wanted;
    const char *why = diag_view_read_states(diag->options.table, args, &wanted);
    if (why)
        return refuse(QUESTION_INVALID, why);
    int result = walks_add(diag->walks, question, &wanted, args);
    if (result > 0)
        return refuse(QUESTION_LIMIT, "too many such questions at once");
    if (result < 0)
        return give(NULL);
    return (struct reply){.held = true};
}

static void on_walked(void *user, struct bus_question *question, const struct row_pick_options *wanted,
                      struct row_pick *pick)
{
    struct diag *diag = user;
    struct reply reply = give(pick ? diag_view_states(diag->options.table, wanted, pick) : NULL);
    send_reply(diag, question, &reply);
}

/* The row that args.serverId names, or ROSTER_NO_ROW with the refusal in *reply. */
static uint32_t named_row(const struct diag *diag, const json_t *args, struct reply *reply)
{
    const char *id = json_string_value(json_object_get(args, "serverId"));
    uint32_t row = id ? roster_find(diag->options.roster, id) : ROSTER_NO_ROW;
    if (!id)
        *reply = refuse(QUESTION_INVALID, "serverId: a text");
    else if (row == ROSTER_NO_ROW)
        *reply = refuse(QUESTION_NOT_FOUND, "no such server");
    return row;
}

static struct reply show(const struct diag *diag, uint32_t row)
{
    json_t *view = diag_view_show(diag->options.table, row);
    return view ? give(view) : refuse(QUESTION_INTERNAL, "its row is being written: ask again");
}

static struct reply run_show(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question;
    struct reply reply;
    uint32_t row = named_row(diag, args, &reply);
    return row == ROSTER_NO_ROW ? reply : show(diag, row);
}

/* --- servers at run time --- */

/* Nothing is changed that the registry has not taken. */
static struct reply refuse_unstored(int result)
{
    char message[MESSAGE_SIZE];
    snprintf(message, sizeof(message), "the registry could not store it: %s", strerror(-result));
    return refuse(QUESTION_INTERNAL, message);
}

static struct reply fault(int result)
{
    switch (result) {
    case WATCHLIST_UNKNOWN:
        return refuse(QUESTION_NOT_FOUND, "no such server");
    case WATCHLIST_CONFLICT:
        return refuse(QUESTION_CONFLICT, "the id belongs to the servers file: change it there");
    case WATCHLIST_FULL:
        return refuse(QUESTION_LIMIT, "the table is full: a greater --capacity");
    default:
        return refuse_unstored(result);
    }
}

/* Keeps the first problem of a definition. */
static void on_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)id;
    struct reply *reply = user;
    if (reply->error != QUESTION_OK)
        return;
    reply->error = QUESTION_INVALID;
    snprintf(reply->message, sizeof(reply->message), "server%s%s: %s", key[0] ? "." : "", key, message);
}

/* Left out, it is long enough for the first attempt to come to its end. */
static bool read_wait(const struct diag *diag, const json_t *args, const struct server_def *def, uint64_t *out)
{
    const json_t *wait = json_object_get(args, "waitMs");
    if (!wait || json_is_null(wait)) {
        uint64_t attempt_ms = diag->options.config->connect_timeout;
        *out = (def->timeout_ms ? def->timeout_ms : attempt_ms) + WAIT_MORE_MS;
        return true;
    }
    json_int_t ms = json_integer_value(wait);
    *out = (uint64_t)ms;
    return json_is_integer(wait) && ms >= 0 && ms <= QUESTION_WAIT_MAX_MS;
}

/* The definition in `args`, or NULL with the refusal in *reply. */
static struct server_def *read_definition(json_t *args, struct reply *reply)
{
    const char *id = json_string_value(json_object_get(args, "serverId"));
    json_t *object = json_object_get(args, "server");
    *reply = (struct reply){.error = QUESTION_OK};
    if (!id || !json_is_object(object)) {
        *reply = refuse(QUESTION_INVALID, id ? "server: an object" : "serverId: a text");
        return NULL;
    }
    struct server_def *def = server_def_from_json(id, object, SOURCE_RUNTIME, on_problem, reply);
    if (!def && reply->error == QUESTION_OK)
        *reply = refuse(QUESTION_INTERNAL, "no memory");
    return def;
}

/* Whoever connects what is there already asks for it (touch), and, if it is not connected, wants it tried now: also when
 * it was closed because nobody asked. True when what its row says is of the time before. */
static bool stir(struct diag *diag, uint32_t row, bool is_enabled)
{
    struct row value;
    enum question_error error;
    struct assign *assign = watchlist_assign(diag->options.watchlist);
    bool is_idle = table_row_read(diag->options.table, row, &value) == 0 && diag_view_verdict(&value, &error) &&
                   (value.state == STATE_DISABLED ? is_enabled : error != QUESTION_OK && error != QUESTION_LIMIT);
    return assign_command(assign, row, is_idle ? ASSIGN_RECONNECT : ASSIGN_TOUCH) == 0 && is_idle;
}

static struct reply run_connect(struct diag *diag, struct bus_question *question, json_t *args)
{
    struct reply reply;
    struct watchlist_connected connected;
    uint64_t wait_ms;
    struct server_def *def = read_definition(args, &reply);
    if (!def)
        return reply;
    if (!read_wait(diag, args, def, &wait_ms)) {
        server_def_destroy(def);
        return refuse(QUESTION_INVALID, "waitMs: milliseconds, at most 600000");
    }
    bool is_new = roster_find(diag->options.roster, def->id) == ROSTER_NO_ROW;
    bool is_enabled = def->enabled;
    int result = watchlist_connect(diag->options.watchlist, def, &connected);
    if (result != 0)
        return fault(result);
    bool anew = connected.same_connection ? stir(diag, connected.row, is_enabled) : !is_new && is_enabled;
    if (wait_ms == 0)
        return show(diag, connected.row);
    if (verdicts_add(diag->verdicts, question, connected.row, anew, wait_ms) != 0)
        return refuse(QUESTION_TIMED_OUT, "connecting; too many wait for a verdict: ask with show");
    return (struct reply){.held = true};
}

static void on_verdict(void *user, struct bus_question *question, uint32_t row, enum question_error error)
{
    struct diag *diag = user;
    struct row value = {0};
    struct reply reply;
    if (error == QUESTION_OK) {
        reply = show(diag, row);
    } else if (error == QUESTION_NOT_FOUND) {
        reply = refuse(error, "it was disconnected meanwhile");
    } else if (error == QUESTION_STOPPING) {
        reply = refuse(error, "the broker is stopping");
    } else {
        bool is_read = table_row_read(diag->options.table, row, &value) == 0;
        reply = refuse(error, is_read && value.last_error[0] ? value.last_error : state_name(value.state));
    }
    const struct server_def *def = roster_def(diag->options.roster, row);
    const struct audit_entry entry = {.question = question,
                                      .command = "connect",
                                      .server = def ? def->id : NULL,
                                      .outcome = question_error_code(reply.error),
                                      .changes = true};
    audit_write((enum audit)diag->options.config->audit, &entry);
    send_reply(diag, question, &reply);
}

static struct reply run_disconnect(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question;
    const char *id = json_string_value(json_object_get(args, "serverId"));
    if (!id)
        return refuse(QUESTION_INVALID, "serverId: a text");
    int result = watchlist_disconnect(diag->options.watchlist, id);
    return result == 0 ? give(json_pack("{s:s}", "serverId", id)) : fault(result);
}

static struct reply command(struct diag *diag, const json_t *args, enum assign_type type)
{
    struct reply reply;
    uint32_t row = named_row(diag, args, &reply);
    if (row == ROSTER_NO_ROW)
        return reply;
    if (assign_command(watchlist_assign(diag->options.watchlist), row, type) == ASSIGN_BUSY)
        return refuse(QUESTION_LIMIT, "too many commands wait for its worker");
    return give(diag_view_brief(diag->options.table, diag->options.roster, row));
}

static struct reply run_reconnect(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question;
    return command(diag, args, ASSIGN_RECONNECT);
}

static struct reply run_touch(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question;
    return command(diag, args, ASSIGN_TOUCH);
}

/* --- the supervisor's --- */

static struct reply pass_on(const struct diag *diag, const char *word, const char *argument)
{
    int result = diag->options.ask_supervisor(diag->options.user, word, argument);
    return result == 0 ? give(json_object()) : refuse(QUESTION_INTERNAL, "the supervisor does not listen");
}

static struct reply run_scale(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question;
    const json_t *workers = json_object_get(args, "workers");
    json_int_t count = json_integer_value(workers);
    char text[16];
    if (!json_is_integer(workers) || count < 1 || count > WORKERS_MAX)
        return refuse(QUESTION_INVALID, "workers: a number from 1 to 256");
    snprintf(text, sizeof(text), "%d", (int)count);
    return pass_on(diag, "scale", text);
}

static struct reply run_reload(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question, (void)args;
    return pass_on(diag, "reload", "");
}

static struct reply run_roll(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question, (void)args;
    return pass_on(diag, "roll", "");
}

static struct reply run_log_level(struct diag *diag, struct bus_question *question, json_t *args)
{
    (void)question;
    const char *level = json_string_value(json_object_get(args, "level"));
    enum log_level wanted;
    if (!level || log_level_from_name(level, &wanted) != 0)
        return refuse(QUESTION_INVALID, "level: error, warn, info or debug");
    return pass_on(diag, "log-level", level);
}

/* --- the loop of questions --- */

static const struct command {
    const char *name;
    bool changes;
    struct reply (*run)(struct diag *diag, struct bus_question *question, json_t *args);
} commands[] = {
    {"ping", false, run_ping},
    {"status", false, run_status},
    {"workers", false, run_workers},
    {"states", false, run_states},
    {"show", false, run_show},
    {"connect", true, run_connect},
    {"disconnect", true, run_disconnect},
    {"reconnect", true, run_reconnect},
    {"touch", true, run_touch},
    {"scale", true, run_scale},
    {"reload", true, run_reload},
    {"roll", true, run_roll},
    {"log-level", true, run_log_level},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LENGTH(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static bool may_change(const struct bus_question *question)
{
    struct bus_peer peer;
    return bus_question_peer(question, &peer) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* What the question would set: a number of workers, a level. */
static const char *value_of(const json_t *args, char number[NUMBER_SIZE])
{
    const json_t *workers = json_object_get(args, "workers");
    if (!json_is_integer(workers))
        return json_string_value(json_object_get(args, "level"));
    snprintf(number, NUMBER_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(workers));
    return number;
}

/* To touch a server changes nothing but its idle time, and platforms do it often. */
static void audit(const struct diag *diag, const struct bus_question *question, const char *name, const json_t *args,
                  const struct reply *reply)
{
    char number[NUMBER_SIZE];
    const struct command *found = find_command(name);
    const struct audit_entry entry = {
        .question = question,
        .command = found ? found->name : "unknown",
        .server = json_string_value(json_object_get(args, "serverId")),
        .value = value_of(args, number),
        .outcome = reply->held && found && found->changes ? "waits for a verdict" : question_error_code(reply->error),
        .changes = found && found->changes && found->run != run_touch,
    };
    audit_write((enum audit)diag->options.config->audit, &entry);
}

static struct reply run(struct diag *diag, struct bus_question *question, const char *name, json_t *args)
{
    const struct command *found = find_command(name);
    if (!found)
        return refuse(QUESTION_UNKNOWN_COMMAND, "no such command");
    if (found->changes && !may_change(question))
        return refuse(QUESTION_FORBIDDEN, "only the broker's user and root may change anything");
    if (found->changes && diag->stopping)
        return refuse(QUESTION_STOPPING, "the broker is stopping");
    return found->run(diag, question, args);
}

/* One user that asks in a loop does not keep the others from asking. */
static bool asks_too_often(struct diag *diag, const struct bus_question *question)
{
    struct bus_peer peer = {0};
    int result = bus_question_peer(question, &peer);
    struct rate *rate = &diag->rates[result == 0 ? peer.uid % ASKERS : 0];
    return rate_count(rate, clock_mono_ms()) > diag->options.config->max_questions;
}

static void on_question(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    struct diag *diag = user;
    json_t *name = NULL, *args = NULL;
    struct reply reply;
    if (size > diag->options.config->max_question * KIB) {
        table_count(diag->options.table, TABLE_HUB, COUNTER_LIMIT_QUESTION, 1);
        reply = refuse(QUESTION_LIMIT, "the question is larger than --max-question");
    } else if (asks_too_often(diag, question)) {
        table_count(diag->options.table, TABLE_HUB, COUNTER_LIMIT_QUESTIONS, 1);
        reply = refuse(QUESTION_LIMIT, "more questions in a minute than --max-questions");
    } else if (question_read(bytes, size, &name, &args) != 0) {
        table_count(diag->options.table, TABLE_HUB, COUNTER_ASKED_BADLY, 1);
        reply = refuse(QUESTION_BAD_REQUEST, "no question, or of another version");
    } else {
        reply = run(diag, question, json_string_value(name), args);
        audit(diag, question, json_string_value(name), args, &reply);
        json_decref(name);
        json_decref(args);
    }
    if (!reply.held)
        send_reply(diag, question, &reply);
}

int diag_open(uv_loop_t *loop, const struct diag_options *options, struct diag **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct diag *diag = calloc(1, sizeof(*diag));
    int result = diag ? paths_join(path, sizeof(path), options->run_dir, PATHS_DIAG) : -ENOMEM;
    if (result != 0)
        goto fail;
    diag->options = *options;
    result = verdicts_open(loop, options->table, options->roster, on_verdict, diag, &diag->verdicts);
    if (result == 0)
        result = walks_open(loop, options->table, on_walked, diag, &diag->walks);
    if (result != 0)
        goto fail;
    const struct bus_rep_options rep = {
        .path = path,
        .mode = MODE,
        .max = options->config->max_question * KIB * 2, /* somewhat more than allowed gets an answer that says so */
        .held_max = HELD_MAX,
        .pipes_max = (int)options->config->max_clients,
    };
    result = bus_rep_open(loop, &rep, on_question, diag, &diag->rep);
    if (result != 0)
        goto fail;
    *out = diag;
    return 0;

fail:
    log_error("diag.open", LOG_TEXT("socket", PATHS_DIAG), LOG_TEXT("error", strerror(-result)));
    verdicts_close(diag ? diag->verdicts : NULL);
    walks_close(diag ? diag->walks : NULL);
    free(diag);
    return result;
}

void diag_state_changed(struct diag *diag, uint32_t row)
{
    verdicts_look(diag->verdicts, row);
}

uint64_t diag_refused(const struct diag *diag)
{
    return bus_rep_refused(diag->rep);
}

void diag_stop(struct diag *diag)
{
    diag->stopping = true;
    verdicts_end(diag->verdicts, QUESTION_STOPPING);
}

void diag_close(struct diag *diag)
{
    if (!diag)
        return;
    verdicts_close(diag->verdicts);
    walks_close(diag->walks);
    bus_rep_close(diag->rep);
    free(diag);
}
