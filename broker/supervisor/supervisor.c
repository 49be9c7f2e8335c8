/* SPDX-License-Identifier: MIT */
/* Which processes there should be, and the doing of it. Everything here is level-triggered: signals, an operator's words
 * and deaths only change what is wanted or what is, then reconcile() looks at every child and starts or stops what
 * differs. So no order of events (a death while scaling, a stop while rolling) needs a case of its own.
 *
 * Order matters in three places. The hub starts first and stops last, since it publishes what the workers leave behind.
 * A slot that is going out of service is taken off the hub's list before its worker is stopped, so that its servers have
 * somewhere to go. And workers are replaced one at a time, each only when the one before is ready again.
 *
 * No data passes through here: no nng, no connection row. What must survive everything must depend on nothing. */
#include "broker/supervisor/supervisor.h"

#include "broker/supervisor/child.h"
#include "broker/supervisor/notify.h"
#include "broker/supervisor/opened_files.h"
#include "broker/supervisor/orders.h"
#include "broker/supervisor/reload.h"
#include "broker/supervisor/watchdog.h"
#include "common/buf.h"
#include "common/file_watch.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    HUB_SLOT = -1,
    NOT_ROLLING = -1,
    WORKER_STOP_MS = 7000,
    HUB_STOP_MS = 5000,
    WORKER_RETRY_MS = 60000,
    HUB_RETRY_MS = 30000, /* sooner: without it nothing is told to anybody */
};

enum phase { PHASE_RUNNING, PHASE_STOPPING, PHASE_KILLING, PHASE_OVER };

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGTTIN, SIGTTOU, SIGUSR2};

struct supervisor {
    const struct supervisor_options *options;
    uv_loop_t loop;
    uv_signal_t signals[ARRAY_LENGTH(signals)];
    struct watchdog *watchdog;
    json_t *report;                 /* of the readings of the configuration, for `status` */
    struct file_watch *config_file; /* NULL: no --config */
    struct opened_files *files;     /* of the workers; NULL: they are not locked in */
    struct child *hub;
    struct child **workers; /* NULL where none was ever wanted */
    unsigned workers_wanted;
    enum phase phase;
    bool killed;            /* somebody did not stop by itself when all were to */
    bool announced;         /* everything was ready once */
    int rolling;            /* slot of the worker that is being replaced */
    uint64_t rolling_count; /* its starts before that */
    struct buf slots;       /* what the hub knows of the slots in service */
    bool reconciling, again;
};

static void reconcile(struct supervisor *supervisor);

/* --- what children are told --- */

static void send_config(struct supervisor *supervisor, struct child *child, const char *word, const char *head)
{
    orders_send_config(child, word, head, supervisor->options->config);
}

/* Tells the hub when the list has changed, or in any case. While all stop, the list stays: nothing is to move. */
static void send_slots(struct supervisor *supervisor, bool in_any_case)
{
    if (supervisor->phase == PHASE_RUNNING)
        orders_send_slots(supervisor->hub, supervisor->workers, supervisor->workers_wanted, in_any_case,
                          &supervisor->slots);
}

static void send_configured(struct supervisor *supervisor)
{
    orders_send_report(supervisor->hub, supervisor->report);
}

static void on_spawned(void *user, struct child *child)
{
    struct supervisor *supervisor = user;
    char head[64];
    snprintf(head, sizeof(head), "%d %" PRIu64, child_slot(child), child_start_count(child));
    if (child != supervisor->hub && supervisor->files != NULL)
        child_send(child, "files", opened_files_named(supervisor->files));
    send_config(supervisor, child, "start", head);
    if (child == supervisor->hub) {
        send_configured(supervisor);
        send_slots(supervisor, true);
    }
    if (child == supervisor->hub && supervisor->phase != PHASE_RUNNING)
        child_send(supervisor->hub, "leaving", NULL);
}

/* --- the number of workers --- */

static const struct child_handlers child_handlers;

/* True when every wanted worker has its child. */
static bool open_workers(struct supervisor *supervisor, unsigned count)
{
    for (unsigned slot = 0; slot < count; slot++) {
        struct child_options options = {.program = supervisor->options->programs->worker,
                                        .environment = supervisor->options->programs->worker_environment,
                                        .handlers = &child_handlers,
                                        .user = supervisor,
                                        .slot = (int)slot,
                                        .stop_ms = WORKER_STOP_MS,
                                        .retry_ms = WORKER_RETRY_MS};
        if (supervisor->workers[slot] == NULL)
            supervisor->workers[slot] = child_open(&supervisor->loop, &options);
        if (supervisor->workers[slot] == NULL)
            return false;
    }
    return true;
}

static void scale(struct supervisor *supervisor, unsigned workers)
{
    if (supervisor->phase != PHASE_RUNNING || workers == supervisor->workers_wanted)
        return;
    if (workers < 1 || workers > supervisor->options->workers_max || !open_workers(supervisor, workers)) {
        log_warn("workers.not_scaled", LOG_U64("wanted", workers), LOG_U64("max", supervisor->options->workers_max));
        return;
    }
    log_info("workers.scaled", LOG_U64("from", supervisor->workers_wanted), LOG_U64("to", workers));
    supervisor->workers_wanted = workers;
    reconcile(supervisor);
}

/* --- replacing them one after another --- */

static void roll_next(struct supervisor *supervisor)
{
    supervisor->rolling++;
    if (supervisor->phase != PHASE_RUNNING || (unsigned)supervisor->rolling >= supervisor->workers_wanted) {
        log_info("roll.done", LOG_I64("workers", supervisor->rolling));
        supervisor->rolling = NOT_ROLLING;
        return;
    }
    struct child *worker = supervisor->workers[supervisor->rolling];
    supervisor->rolling_count = child_start_count(worker);
    child_stop(worker);
}

static void roll(struct supervisor *supervisor)
{
    if (supervisor->phase != PHASE_RUNNING || supervisor->rolling != NOT_ROLLING)
        return;
    log_info("roll.started", LOG_U64("workers", supervisor->workers_wanted));
    roll_next(supervisor);
}

/* A roll that is under way may have replaced some before: there must be another one. */
static bool on_stale_files(void *user)
{
    struct supervisor *supervisor = user;
    if (supervisor->rolling != NOT_ROLLING)
        return false;
    roll(supervisor);
    return true;
}

/* Goes on when the replacement is ready. One that can't start ends it: the others still work, and shall go on to. */
static void roll_on_state(struct supervisor *supervisor, const struct child *child)
{
    if (supervisor->rolling == NOT_ROLLING || child_slot(child) != supervisor->rolling)
        return;
    enum process_state state = child_state(child);
    bool removed = (unsigned)supervisor->rolling >= supervisor->workers_wanted;
    bool replaced = child_start_count(child) > supervisor->rolling_count;
    if (removed || (replaced && state == PROCESS_READY)) {
        roll_next(supervisor);
    } else if (replaced && (state == PROCESS_BACKING_OFF || state == PROCESS_FAILED)) {
        log_error("roll.abandoned", LOG_TEXT("child", child_name(child)),
                  LOG_TEXT("reason", "its replacement does not start; the others were left alone"));
        supervisor->rolling = NOT_ROLLING;
    }
}

/* --- reloading --- */

/* A child that was out of service may be well with other settings. */
static void retry_failed(struct child *child)
{
    if (child_state(child) == PROCESS_FAILED || child_state(child) == PROCESS_BACKING_OFF)
        child_start(child);
}

static void send_config_to_all(struct supervisor *supervisor)
{
    send_config(supervisor, supervisor->hub, "config", "");
    for (unsigned slot = 0; slot < supervisor->workers_wanted; slot++)
        send_config(supervisor, supervisor->workers[slot], "config", "");
}

/* Also for children that are started later, until the configuration is read again. */
static void change_log_level(struct supervisor *supervisor, const char *name)
{
    enum log_level level;
    if (log_level_from_name(name, &level) != 0) {
        log_warn("log.level_unknown", LOG_TEXT("level", name));
        return;
    }
    supervisor->options->config->log_level = (unsigned)level;
    log_set_level(level);
    send_config_to_all(supervisor);
    log_info("log.level", LOG_TEXT("level", name));
}

static void reload(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;
    uint64_t workers = options->config->workers;
    if (supervisor->phase != PHASE_RUNNING)
        return;
    if (supervisor->announced)
        notify_reloading();
    if (reload_config(options->config, options->argc, options->argv, supervisor->report) == 0) {
        log_set_level((enum log_level)options->config->log_level);
        send_config_to_all(supervisor);
        retry_failed(supervisor->hub);
        for (unsigned slot = 0; slot < supervisor->workers_wanted; slot++)
            retry_failed(supervisor->workers[slot]);
        /* Only a changed setting takes back what an operator has scaled. */
        if (options->config->workers != workers)
            scale(supervisor, (unsigned)options->config->workers);
    }
    send_configured(supervisor);
    child_send(supervisor->hub, "reload", NULL);
    if (supervisor->announced)
        notify_ready();
}

static void on_config_file(void *user)
{
    log_info("config.changed");
    reload(user);
}

/* --- stopping --- */

static void stop(struct supervisor *supervisor, const char *signal_name)
{
    if (supervisor->phase == PHASE_OVER)
        return;
    supervisor->phase = supervisor->phase == PHASE_RUNNING ? PHASE_STOPPING : PHASE_KILLING;
    log_info(supervisor->phase == PHASE_STOPPING ? "broker.stopping" : "broker.killing",
             LOG_TEXT("signal", signal_name));
    notify_stopping();
    child_send(supervisor->hub, "leaving", NULL); /* it goes last, but takes nothing on while the workers stop */
    reconcile(supervisor);
}

static bool all_workers_are(const struct supervisor *supervisor, unsigned count, enum process_state state)
{
    for (unsigned slot = 0; slot < count; slot++)
        if (supervisor->workers[slot] != NULL && child_state(supervisor->workers[slot]) != state)
            return false;
    return true;
}

static void close_handles(struct supervisor *supervisor)
{
    supervisor->phase = PHASE_OVER;
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
        uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    watchdog_close(supervisor->watchdog);
    file_watch_close(supervisor->config_file);
    opened_files_close(supervisor->files);
    if (supervisor->hub != NULL)
        child_close(supervisor->hub);
    for (unsigned slot = 0; slot < supervisor->options->workers_max; slot++)
        if (supervisor->workers[slot] != NULL)
            child_close(supervisor->workers[slot]);
}

/* --- what is, and what should be --- */

static bool is_wanted(const struct supervisor *supervisor, const struct child *child)
{
    if (child == supervisor->hub)
        return supervisor->phase == PHASE_RUNNING ||
               (supervisor->phase == PHASE_STOPPING &&
                !all_workers_are(supervisor, supervisor->options->workers_max, PROCESS_STOPPED));
    return supervisor->phase == PHASE_RUNNING && (unsigned)child_slot(child) < supervisor->workers_wanted;
}

static void apply(struct supervisor *supervisor, struct child *child)
{
    if (child == NULL)
        return;
    if (is_wanted(supervisor, child)) {
        if (child_state(child) == PROCESS_STOPPED)
            child_start(child);
    } else if (supervisor->phase == PHASE_KILLING) {
        child_kill(child);
    } else {
        child_stop(child);
    }
}

/* Every wanted worker is ready or out of service, and not all of them are out of it. */
static bool workers_are_settled(const struct supervisor *supervisor)
{
    unsigned ready = 0, failed = 0;
    for (unsigned slot = 0; slot < supervisor->workers_wanted; slot++) {
        enum process_state state = child_state(supervisor->workers[slot]);
        ready += state == PROCESS_READY ? 1 : 0;
        failed += state == PROCESS_FAILED ? 1 : 0;
    }
    return ready > 0 && ready + failed == supervisor->workers_wanted;
}

static void announce(struct supervisor *supervisor)
{
    if (supervisor->announced || supervisor->phase != PHASE_RUNNING || child_state(supervisor->hub) != PROCESS_READY ||
        !workers_are_settled(supervisor))
        return;
    supervisor->announced = true;
    notify_ready();
    log_info("broker.ready", LOG_U64("workers", supervisor->workers_wanted),
             LOG_TEXT("run_dir", supervisor->options->config->run_dir));
}

/* Starting and stopping changes states, which calls this again: those calls are turned into another round. */
static void reconcile(struct supervisor *supervisor)
{
    supervisor->again = true;
    if (supervisor->reconciling)
        return;
    supervisor->reconciling = true;
    while (supervisor->again && supervisor->phase != PHASE_OVER) {
        supervisor->again = false;
        send_slots(supervisor, false);
        apply(supervisor, supervisor->hub);
        for (unsigned slot = 0; slot < supervisor->options->workers_max; slot++)
            apply(supervisor, supervisor->workers[slot]);
        announce(supervisor);
        if (supervisor->phase != PHASE_RUNNING && child_state(supervisor->hub) == PROCESS_STOPPED &&
            all_workers_are(supervisor, supervisor->options->workers_max, PROCESS_STOPPED))
            close_handles(supervisor);
    }
    supervisor->reconciling = false;
}

static void on_state(void *user, struct child *child)
{
    struct supervisor *supervisor = user;
    if (supervisor->phase != PHASE_RUNNING && child_state(child) == PROCESS_KILLING)
        supervisor->killed = true;
    roll_on_state(supervisor, child);
    reconcile(supervisor);
}

/* --- what the hub and signals say --- */

static void on_message(void *user, struct child *child, const char *word, const char *argument)
{
    struct supervisor *supervisor = user;
    if (child != supervisor->hub) {
        log_warn("child.unknown_word", LOG_TEXT("child", child_name(child)), LOG_TEXT("word", word));
    } else if (strcmp(word, "scale") == 0) {
        char *end;
        errno = 0;
        unsigned long workers = strtoul(argument, &end, 10);
        bool whole = argument[0] >= '0' && argument[0] <= '9' && *end == '\0' && errno == 0;
        scale(supervisor, whole && workers <= UINT_MAX ? (unsigned)workers : 0);
    } else if (strcmp(word, "roll") == 0) {
        roll(supervisor);
    } else if (strcmp(word, "reload") == 0) {
        reload(supervisor);
    } else if (strcmp(word, "files") == 0) {
        if (supervisor->files != NULL)
            opened_files_name(supervisor->files, argument);
    } else if (strcmp(word, "log-level") == 0) {
        change_log_level(supervisor, argument);
    } else {
        log_warn("child.unknown_word", LOG_TEXT("child", child_name(child)), LOG_TEXT("word", word));
    }
}

static const struct child_handlers child_handlers = {
    .on_spawned = on_spawned, .on_state = on_state, .on_message = on_message};

static void on_signal(uv_signal_t *handle, int number)
{
    struct supervisor *supervisor = handle->data;
    if (number == SIGTERM || number == SIGINT)
        stop(supervisor, sigabbrev_np(number));
    else if (number == SIGHUP)
        reload(supervisor);
    else if (number == SIGUSR2)
        roll(supervisor);
    else if (number == SIGTTIN)
        scale(supervisor, supervisor->workers_wanted + 1);
    else
        scale(supervisor, supervisor->workers_wanted - 1);
}

/* --- begin and end --- */

/* A hub that is silent is not ready for long: it is killed and replaced. Only one that does not come back is left to the
 * service manager. While all stop, that has a limit of its own. */
static bool is_well(void *user)
{
    const struct supervisor *supervisor = user;
    return supervisor->phase != PHASE_RUNNING || child_state(supervisor->hub) == PROCESS_READY;
}

static void start(struct supervisor *supervisor)
{
    struct child_options hub = {.program = supervisor->options->programs->hub,
                                .environment = supervisor->options->programs->hub_environment,
                                .handlers = &child_handlers,
                                .user = supervisor,
                                .slot = HUB_SLOT,
                                .stop_ms = HUB_STOP_MS,
                                .retry_ms = HUB_RETRY_MS};
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
        uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
        supervisor->signals[i].data = supervisor;
        uv_signal_start(&supervisor->signals[i], on_signal, signals[i]);
    }
    supervisor->workers_wanted = (unsigned)supervisor->options->config->workers;
    supervisor->hub = child_open(&supervisor->loop, &hub);
    const char *path = config_file(supervisor->options->argc, supervisor->options->argv);
    bool watched = path == NULL ||
                   file_watch_open(&supervisor->loop, path, on_config_file, supervisor, &supervisor->config_file) == 0;
    supervisor->watchdog = watchdog_open(&supervisor->loop, is_well, supervisor);
    if (supervisor->options->config->sandbox == CONFIG_SANDBOX_ON)
        supervisor->files =
            opened_files_open(&supervisor->loop, supervisor->options->files, on_stale_files, supervisor);
    if (watched && supervisor->hub != NULL && supervisor->watchdog != NULL &&
        open_workers(supervisor, supervisor->workers_wanted)) {
        reconcile(supervisor);
    } else {
        log_error("broker.not_started", LOG_TEXT("error", strerror(ENOMEM)));
        supervisor->killed = true;
        close_handles(supervisor);
    }
}

int supervisor_run(const struct supervisor_options *options)
{
    assert(options->config->workers >= 1 && options->config->workers <= options->workers_max);
    struct supervisor supervisor = {
        .options = options, .rolling = NOT_ROLLING, .report = reload_report(options->argc, options->argv)};
    int result = 1;
    supervisor.workers = calloc(options->workers_max, sizeof(*supervisor.workers));
    if (supervisor.workers == NULL || uv_loop_init(&supervisor.loop) != 0) {
        log_error("broker.not_started", LOG_TEXT("error", strerror(errno)));
        goto free_workers;
    }
    buf_init(&supervisor.slots, ORDERS_SLOTS_MAX);
    start(&supervisor);
    uv_run(&supervisor.loop, UV_RUN_DEFAULT);
    result = supervisor.killed ? 1 : 0;
    log_info("broker.stopped", LOG_I64("exit_code", result));
    buf_fini(&supervisor.slots);
    uv_loop_close(&supervisor.loop);
free_workers:
    json_decref(supervisor.report);
    free(supervisor.workers);
    return result;
}
