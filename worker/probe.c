/* SPDX-License-Identifier: MIT */
/* Does once, for one server, what a worker does for all of its own: the same peer finds the era, shakes hands, listens
 * and fetches the lists, and the same table of states says what the broker would show. What is missing is everything
 * that makes it last: no row, no limits, no second attempt.
 *
 *   standard input -> server_def -> peer -> [listening: lists, and what comes in the time] -> report -> standard output
 *
 * Only here a tool can be called, if that is wanted: for people who want to see a server answer, and for the tests.
 *
 * The guard is not asked: who may run this may open sockets without it. The sandbox is that of a worker, always. Tokens
 * are fetched over an engine of their own, so that what is told of the last response is of the server's. */
#include "worker/probe.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/named_files.h"
#include "common/program.h"
#include "common/sandbox.h"
#include "worker/conn/verdict.h"
#include "worker/http/delay.h"
#include "worker/probe_report.h"
#include "worker/stdio/spawner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1024 * 1024 };

struct probe {
    uv_loop_t loop;
    struct http *http;       /* to the server */
    struct http *token_http; /* to those who give tokens */
    struct limits limits;
    struct peer_env env;
    struct server_def *def;
    struct peer *peer;
    struct delay *wait;
    uint64_t wait_ms;
    json_t *call; /* {"name", "arguments"}, or NULL */
    bool calling;
    bool fetching[KIND_COUNT], again[KIND_COUNT];
    bool ended;    /* nothing more is heard, but lists may come */
    bool finished; /* of the time to hear the stream, or there is no stream */
    struct probe_report report;
};

/* --- what the peer tells --- */

static void feed(struct probe *probe, enum conn_event event, const char *text)
{
    probe->report.state = conn_fsm_next(probe->report.state, event).next;
    snprintf(probe->report.error, sizeof(probe->report.error), "%s", text);
}

static void fetch(struct probe *probe, enum kind kind)
{
    if (!(probe->def->events & probe->report.facts.has & 1U << kind))
        return;
    if (probe->fetching[kind])
        probe->again[kind] = true;
    probe->fetching[kind] = peer_list(probe->peer, kind) == 0;
}

static void on_called(void *user, const json_t *result, const char *error)
{
    struct probe *probe = user;
    probe->calling = false;
    probe->report.call_result = json_deep_copy(result);
    snprintf(probe->report.call_error, sizeof(probe->report.call_error), "%s", error ? error : "");
}

/* After the lists: a client is to know what it calls. */
static void call_tool(struct probe *probe)
{
    json_t *call = probe->call;
    probe->call = NULL;
    if (!call)
        return;
    probe->calling = true;
    int result = peer_call_tool(probe->peer, json_string_value(json_object_get(call, "name")),
                                json_object_get(call, "arguments"));
    if (result != 0)
        on_called(probe, NULL, uv_strerror(result));
    json_decref(call);
}

/* When the peer can be asked for them. */
static void fetch_all(struct probe *probe)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        fetch(probe, kind);
    if (!probe->fetching[KIND_TOOLS])
        call_tool(probe);
}

static void on_waited(void *user)
{
    struct probe *probe = user;
    probe->wait = NULL;
    probe->finished = true;
}

static void learn(struct probe *probe, const struct peer_facts *facts)
{
    struct probe_report *report = &probe->report;
    const char *version = facts->protocol_version ? facts->protocol_version : report->facts.protocol_version;
    report->facts = *facts;
    report->facts.protocol_version = version;
    report->facts.server_info = NULL;
    if (facts->server_info)
        table_text(report->server_info, sizeof(report->server_info), facts->server_info);
}

static void on_listening(void *user, const struct peer_facts *facts)
{
    struct probe *probe = user;
    learn(probe, facts);
    probe->report.opened_ms = clock_mono_ms();
    feed(probe, CONN_EVENT_LISTENING, "");
    fetch_all(probe);
    if (delay_start(&probe->loop, probe->wait_ms, on_waited, probe, &probe->wait) != 0)
        probe->finished = true;
}

static void on_resumed(void *user)
{
    struct probe *probe = user;
    probe->report.resumed++;
    fetch_all(probe);
}

static void on_changed(void *user, enum kind kind)
{
    struct probe *probe = user;
    probe->report.lists[kind].changes++;
    fetch(probe, kind);
}

static void on_heard(void *user)
{
    struct probe *probe = user;
    probe->report.heard = true;
}

static void on_list(void *user, enum kind kind, const struct peer_fetched *fetched)
{
    struct probe *probe = user;
    const struct catalog *catalog = fetched->list;
    struct probe_list *list = &probe->report.lists[kind];
    probe->fetching[kind] = probe->again[kind];
    probe->again[kind] = false;
    list->failed = catalog == NULL;
    if (catalog) {
        json_decref(list->items);
        list->items = json_incref(catalog_items(catalog));
        list->known = true;
        list->count = catalog_count(catalog);
        list->fingerprint = catalog_fingerprint(catalog);
    } else if (probe->report.state == STATE_POLLING) {
        feed(probe, CONN_EVENT_ATTEMPT_FAILED, fetched->error);
    } else {
        snprintf(probe->report.error, sizeof(probe->report.error), "%s/list: %s", kind_name(kind), fetched->error);
    }
    if (kind == KIND_TOOLS && !probe->fetching[kind])
        call_tool(probe);
}

static void on_end(void *user, const struct peer_end *end, const struct peer_facts *facts)
{
    struct probe *probe = user;
    enum conn_event event = verdict_of_end(probe->report.state, end->reason, probe->def->poll_ms > 0);
    learn(probe, facts);
    if (state_is_connected(probe->report.state))
        probe->report.closed_ms = clock_mono_ms();
    probe->ended = probe->finished = true;
    memset(probe->fetching, 0, sizeof(probe->fetching));
    if (probe->calling)
        on_called(probe, NULL, end->text);
    feed(probe, event, event == CONN_EVENT_POLLABLE ? "" : end->text);
    if (end->reason == PEER_UNSUPPORTED)
        fetch_all(probe);
}

static const struct peer_handlers HANDLERS = {
    .on_listening = on_listening,
    .on_resumed = on_resumed,
    .on_changed = on_changed,
    .on_heard = on_heard,
    .on_list = on_list,
    .on_called = on_called,
    .on_end = on_end,
};

/* --- from beginning to end --- */

static bool is_over(const struct probe *probe)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        if (probe->fetching[kind])
            return false;
    return probe->finished && !probe->calling;
}

static void look(struct probe *probe)
{
    probe->report.state = STATE_CONNECTING;
    probe->report.started_ms = clock_mono_ms();
    int result = peer_start(&probe->env, probe->def, ERA_UNKNOWN, probe, &probe->peer);
    if (result == 0) {
        while (!is_over(probe))
            uv_run(&probe->loop, UV_RUN_ONCE);
    } else {
        const char *text;
        enum conn_event event = verdict_of_start(result, &text);
        feed(probe, event, text);
    }
    if (probe->report.closed_ms == 0)
        probe->report.closed_ms = clock_mono_ms();
    probe->report.http_version = http_last_version(probe->http);
    probe->report.tls = http_last_tls(probe->http);
    delay_cancel(&probe->wait);
    peer_close(probe->peer);
    while (peer_farewells() > 0)
        uv_run(&probe->loop, UV_RUN_ONCE);
}

/* 0 or a negative errno. */
static int look_with_engines(struct probe *probe)
{
    struct config config;
    config_init(&config);
    limits_set(&probe->limits, &config);
    probe->env.loop = &probe->loop;
    probe->env.limits = &probe->limits;
    probe->env.handlers = &HANDLERS;
    probe->env.connect_timeout_ms = config.connect_timeout;
    config_fini(&config);

    int result = http_create(&probe->loop, &probe->http);
    if (result)
        return result;
    result = http_create(&probe->loop, &probe->token_http);
    if (result)
        goto destroy_http;
    result = oauth_create(&probe->loop, probe->token_http, &probe->env.oauth);
    if (result)
        goto destroy_token_http;
    probe->env.http = probe->http;
    look(probe);
    oauth_destroy(probe->env.oauth);
destroy_token_http:
    http_destroy(probe->token_http);
destroy_http:
    http_destroy(probe->http);
    uv_run(&probe->loop, UV_RUN_DEFAULT);
    return result;
}

/* --- in and out --- */

static void tell_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id;
    fprintf(stderr, PROGRAM_WORKER ": %s%s%s\n", key, key[0] != '\0' ? ": " : "", message);
}

/* NULL when there is none. */
static json_t *read_input(void)
{
    char chunk[4096];
    size_t got;
    struct buf input;
    int outcome = 0;
    buf_init(&input, INPUT_MAX);
    while (outcome == 0 && (got = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
        outcome = buf_append(&input, chunk, got);
    json_t *object = outcome == 0 ? json_loadb(buf_text(&input), input.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    buf_fini(&input);
    return object;
}

/* False when it is no order, or its definition none, which was told. */
static bool take_order(struct probe *probe)
{
    json_t *order = read_input();
    json_t *definition = json_object_get(order, "definition"), *call = json_object_get(order, "call");
    bool is_call = json_is_string(json_object_get(call, "name")) && json_is_object(json_object_get(call, "arguments"));
    bool is_order = json_is_object(definition) && (is_call || json_is_null(call));
    if (is_order)
        probe->def = server_def_from_json("probe", definition, SOURCE_FILE, tell_problem, NULL);
    else
        tell_problem(NULL, "", "", "standard input is no order to probe");
    probe->call = is_call ? json_incref(call) : NULL;
    probe->report.called = json_incref(json_object_get(probe->call, "name"));
    snprintf(probe->report.call_error, sizeof(probe->report.call_error), "it did not come to that");
    probe->env.discovers = true;
    probe->env.keeps_items = json_is_true(json_object_get(order, "lists"));
    json_decref(order);
    return probe->def != NULL;
}

static int write_report(const struct probe *probe)
{
    json_t *report = probe_report_view(&probe->report, probe->def);
    bool written = report && json_dumpf(report, stdout, JSON_COMPACT) == 0 && fflush(stdout) == 0;
    json_decref(report);
    if (!written)
        return PROGRAM_PROBE_FAULT;
    return probe_report_is_good(&probe->report) ? PROGRAM_PROBE_GOOD : PROGRAM_PROBE_BAD;
}

/* The server has its keeper by then, or is told as one that cannot be started. */
static void on_spawner_gone(void *user)
{
    (void)user;
}

/* As a worker is. 0, or 1 when it can't be, which was told. */
static int lock_in(const struct server_def *def)
{
    char error[SANDBOX_ERROR_SIZE] = "no memory";
    struct buf files;
    buf_init(&files, NAMED_FILES_MAX);
    int result = named_files_add(&files, def);
    if (result == 0)
        result = sandbox_enter(&(struct sandbox_options){.role = SANDBOX_WORKER, .files = buf_text(&files)}, error);
    buf_fini(&files);
    if (result != 0)
        tell_problem(NULL, "", "", error);
    return result == 0 ? 0 : 1;
}

int probe_run(const char *wait)
{
    char *end;
    struct probe probe = {.wait_ms = strtoull(wait, &end, 10)};
    if (*end != '\0' || uv_loop_init(&probe.loop) != 0)
        return PROGRAM_PROBE_FAULT;
    signal(SIGPIPE, SIG_IGN);
    log_open("probe", LOG_LEVEL_WARN, LOG_FORMAT_AUTO);
    int code = PROGRAM_PROBE_FAULT;
    bool is_order = take_order(&probe);
    if (is_order && probe.def->extras->command && spawner_open(&probe.loop, on_spawner_gone, NULL) != 0)
        goto destroy_def;
    if (is_order && lock_in(probe.def) == 0 && look_with_engines(&probe) == 0)
        code = write_report(&probe);
    spawner_close();
    uv_run(&probe.loop, UV_RUN_DEFAULT);
destroy_def:
    server_def_destroy(probe.def);
    json_decref(probe.call);
    probe_report_fini(&probe.report);
    uv_loop_close(&probe.loop);
    return code;
}
