/* SPDX-License-Identifier: MIT */
/* Birth, watch and death of a child process: the hands of the supervisor, with no will of their own. process_fsm says
 * what follows from what, restart_policy when a dead child comes back; here is the fork and exec (uv_spawn), the link,
 * one timer, and the signals. move() is the only place that changes the state: it logs, arms the state's timer, carries
 * out the action and tells the owner.
 *
 * Silence is counted in ticks of the timer, not by the clock: after this process itself was stopped for a while the
 * timer fires once, then what the children said meanwhile is read, and nobody is killed for it.
 *
 * Each process is a session of its own, so that ^C in a terminal reaches the supervisor only, which then stops everybody
 * in order. A spawn that fails is a death like any other. */
#include "broker/supervisor/child.h"

#include "broker/supervisor/restart_policy.h"
#include "common/clock.h"
#include "common/link.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    START_TIMEOUT_MS = 20000, /* to become ready */
    TICK_MS = 1000,
    SILENT_TICKS = 10,   /* without a message: it hangs */
    TERMINATE_MS = 2000, /* between SIGTERM and SIGKILL */
    REAP_MS = 5000,      /* a killed one that can't be reaped is killed, and logged, again */
    NAME_SIZE = 32,
    PHRASE_SIZE = 64,
};

struct child {
    struct child_options options;
    char name[NAME_SIZE];
    enum process_state state;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_process_t *process; /* NULL without one; on the heap, since libuv needs it beyond its death */
    struct link *link;     /* NULL without a process, or when the process has closed its end */
    unsigned silent_ticks;
    uint64_t start_count;
    int pid;
    uint64_t started_ms;
    uint64_t ready_ms; /* 0: not since it was started */
    int exit_code, exit_signal, spawn_error;
    struct restart_history history;
    struct restart_decision decision; /* upon the last death */
};

static void move(struct child *child, enum process_event event);

/* --- death --- */

static void describe_decision(const struct child *child, enum process_state next, char text[PHRASE_SIZE])
{
    uint64_t delay_ms = child->decision.delay_ms;
    if (next == PROCESS_STOPPED)
        snprintf(text, PHRASE_SIZE, "stays stopped");
    else if (next == PROCESS_STARTING)
        snprintf(text, PHRASE_SIZE, "restart now");
    else if (next == PROCESS_BACKING_OFF)
        snprintf(text, PHRASE_SIZE, "restart in %" PRIu64 "ms", delay_ms);
    else if (delay_ms > 0)
        snprintf(text, PHRASE_SIZE, "out of service, tried again in %" PRIu64 "s", delay_ms / 1000);
    else
        snprintf(text, PHRASE_SIZE, "out of service until configuration is reloaded");
}

static const char *signal_name(int signal)
{
    const char *name = sigabbrev_np(signal);
    return name != NULL ? name : "?";
}

static void describe_cause(const struct child *child, char text[PHRASE_SIZE])
{
    if (child->spawn_error != 0)
        snprintf(text, PHRASE_SIZE, "not started: %s", strerror(-child->spawn_error));
    else if (child->exit_signal != 0)
        snprintf(text, PHRASE_SIZE, "signal %d (SIG%s)", child->exit_signal, signal_name(child->exit_signal));
    else
        snprintf(text, PHRASE_SIZE, "exit code %d", child->exit_code);
}

/* One line says all that is known of a life. */
static void write_obituary(const struct child *child, enum process_state next, uint64_t now_ms)
{
    bool in_order = next == PROCESS_STOPPED && child->exit_code == 0 && child->exit_signal == 0;
    enum log_level level = next == PROCESS_FAILED ? LOG_LEVEL_ERROR : in_order ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
    char cause[PHRASE_SIZE], decision[PHRASE_SIZE];
    describe_cause(child, cause);
    describe_decision(child, next, decision);
    log_write(level, "child.died", LOG_TEXT("child", child->name), LOG_I64("child_pid", child->pid),
              LOG_TEXT("cause", cause), LOG_U64("start_count", child->start_count),
              LOG_U64("uptime_ms", now_ms - child->started_ms), LOG_TEXT("ready", child->ready_ms != 0 ? "yes" : "no"),
              LOG_TEXT("state", process_state_name(child->state)), LOG_TEXT("decision", decision), LOG_END);
}

static enum process_event decide(struct child *child, uint64_t now_ms)
{
    static const enum process_event events[] = {[RESTART_NOW] = PROCESS_ON_EXIT_NOW,
                                                [RESTART_LATER] = PROCESS_ON_EXIT_LATER,
                                                [RESTART_FAIL] = PROCESS_ON_EXIT_FAIL};
    uint32_t dice = 0;
    if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) != sizeof(dice))
        dice = (uint32_t)now_ms;
    struct death death = {.at_ms = now_ms,
                          .was_ready = child->ready_ms != 0,
                          .bad_configuration = child->exit_signal == 0 && child->exit_code == EX_CONFIG};
    child->decision = restart_decide(&child->history, &death, child->options.retry_ms, dice);
    return events[child->decision.restart];
}

static bool was_told_to_leave(enum process_state state)
{
    return state == PROCESS_DRAINING || state == PROCESS_TERMINATING || state == PROCESS_KILLING;
}

static void free_process(uv_handle_t *handle)
{
    free(handle);
}

/* There is no process any more, or never was. */
static void bury(struct child *child)
{
    uint64_t now_ms = clock_mono_ms();
    if (child->process != NULL)
        uv_close((uv_handle_t *)child->process, free_process);
    child->process = NULL;
    link_close(child->link);
    child->link = NULL;
    /* A death on the way out is no failure: the policy does not hear of it. */
    enum process_event event = was_told_to_leave(child->state) ? PROCESS_ON_EXIT_NOW : decide(child, now_ms);
    write_obituary(child, process_step(child->state, event).next, now_ms);
    move(child, event);
}

static void on_process_exit(uv_process_t *process, int64_t status, int term_signal)
{
    struct child *child = process->data;
    child->exit_code = (int)status;
    child->exit_signal = term_signal;
    bury(child);
}

/* --- birth --- */

static void on_message(void *user, const char *word, const char *argument)
{
    struct child *child = user;
    child->silent_ticks = 0;
    if (strcmp(word, "ready") == 0)
        move(child, PROCESS_ON_READY);
    else if (strcmp(word, "alive") != 0)
        child->options.handlers->on_message(child->options.user, child, word, argument);
}

/* Its death will be told by the kernel; if it lives on without its link, it is silent, and is killed for that. */
static void on_gone(void *user)
{
    struct child *child = user;
    link_close(child->link);
    child->link = NULL;
}

static int start_process(struct child *child, int their_end)
{
    char *arguments[] = {child->name, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [LINK_FD] = {.flags = UV_INHERIT_FD, .data.fd = their_end},
    };
    uv_process_options_t options = {.exit_cb = on_process_exit,
                                    .file = child->options.program,
                                    .args = arguments,
                                    .env = child->options.environment,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = ARRAY_LENGTH(stdio)};
    child->process = malloc(sizeof(*child->process));
    if (child->process == NULL)
        return -ENOMEM;
    child->process->data = child;
    return uv_spawn(child->loop, child->process, &options);
}

/* Opens the link and starts the process at its other end. 0 or a negative errno, bury() then cleans up. */
static int start_linked(struct child *child)
{
    static const struct link_handlers handlers = {.on_message = on_message, .on_gone = on_gone};
    int ours, theirs;
    int result = link_pair(&ours, &theirs);
    if (result != 0)
        return result;
    result = link_open(child->loop, ours, &handlers, child, &child->link);
    if (result == 0)
        result = start_process(child, theirs);
    close(theirs);
    return result;
}

static void spawn(struct child *child)
{
    child->start_count++;
    child->started_ms = clock_mono_ms();
    child->ready_ms = 0;
    child->pid = child->exit_code = child->exit_signal = 0;
    child->spawn_error = start_linked(child);
    if (child->spawn_error != 0) {
        bury(child);
        return;
    }
    child->pid = child->process->pid;
    log_info("child.started", LOG_TEXT("child", child->name), LOG_I64("child_pid", child->pid),
             LOG_U64("start_count", child->start_count));
    child->options.handlers->on_spawned(child->options.user, child);
}

/* --- life --- */

static void send_signal(struct child *child, int signal, const char *reason)
{
    log_warn("child.signalled", LOG_TEXT("child", child->name), LOG_I64("child_pid", child->pid),
             LOG_TEXT("signal", signal_name(signal)), LOG_TEXT("reason", reason));
    int result = uv_process_kill(child->process, signal);
    if (result != 0 && result != UV_ESRCH)
        log_error("child.not_signalled", LOG_TEXT("child", child->name), LOG_TEXT("error", uv_strerror(result)));
}

static const char *reason_to_kill(enum process_state state, enum process_event event)
{
    if (event == PROCESS_ON_KILL)
        return "told to stop at once";
    if (state == PROCESS_STARTING)
        return "not ready in time";
    if (state == PROCESS_READY)
        return "silent: it hangs";
    return "did not leave in time";
}

static void on_timer(uv_timer_t *timer)
{
    struct child *child = timer->data;
    if (child->state != PROCESS_READY || ++child->silent_ticks >= SILENT_TICKS)
        move(child, PROCESS_ON_TIMEOUT);
}

/* Each state has its time; 0 is none. */
static void arm(struct child *child)
{
    uint64_t timeouts_ms[PROCESS_STATE_COUNT] = {
        [PROCESS_STARTING] = START_TIMEOUT_MS,
        [PROCESS_READY] = TICK_MS,
        [PROCESS_STUCK] = REAP_MS,
        [PROCESS_DRAINING] = child->options.stop_ms,
        [PROCESS_TERMINATING] = TERMINATE_MS,
        [PROCESS_KILLING] = REAP_MS,
        [PROCESS_BACKING_OFF] = child->decision.delay_ms,
        [PROCESS_FAILED] = child->decision.delay_ms,
    };
    uint64_t timeout_ms = timeouts_ms[child->state];
    uv_timer_stop(&child->timer);
    if (timeout_ms > 0)
        uv_timer_start(&child->timer, on_timer, timeout_ms, child->state == PROCESS_READY ? TICK_MS : 0);
}

static void act(struct child *child, enum process_action action, const char *reason)
{
    switch (action) {
    case PROCESS_DO_NOTHING:
    case PROCESS_IMPOSSIBLE:
        break;
    case PROCESS_DO_SPAWN:
        spawn(child);
        break;
    case PROCESS_DO_ASK:
        log_info("child.stopping", LOG_TEXT("child", child->name), LOG_I64("child_pid", child->pid));
        child_send(child, "stop", NULL);
        break;
    case PROCESS_DO_TERMINATE:
        send_signal(child, SIGTERM, reason);
        break;
    case PROCESS_DO_KILL:
        send_signal(child, SIGKILL, reason);
        break;
    }
}

static void move(struct child *child, enum process_event event)
{
    enum process_state from = child->state;
    struct process_step step = process_step(from, event);
    assert(step.action != PROCESS_IMPOSSIBLE);
    if (step.next == from && step.action == PROCESS_DO_NOTHING)
        return;
    log_debug("child.state", LOG_TEXT("child", child->name), LOG_TEXT("from", process_state_name(from)),
              LOG_TEXT("to", process_state_name(step.next)), LOG_TEXT("on", process_event_name(event)));
    child->state = step.next;
    if (step.next == PROCESS_READY) {
        child->ready_ms = clock_mono_ms();
        child->silent_ticks = 0;
        log_info("child.ready", LOG_TEXT("child", child->name), LOG_I64("child_pid", child->pid),
                 LOG_U64("after_ms", child->ready_ms - child->started_ms));
    }
    arm(child);
    act(child, step.action, reason_to_kill(from, event));
    child->options.handlers->on_state(child->options.user, child);
}

struct child *child_open(uv_loop_t *loop, const struct child_options *options)
{
    struct child *child = calloc(1, sizeof(*child));
    if (child == NULL)
        return NULL;
    child->options = *options;
    child->loop = loop;
    if (options->slot < 0)
        snprintf(child->name, sizeof(child->name), "hub");
    else
        snprintf(child->name, sizeof(child->name), "worker-%d", options->slot);
    uv_timer_init(loop, &child->timer);
    child->timer.data = child;
    return child;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void child_close(struct child *child)
{
    assert(child->state == PROCESS_STOPPED);
    uv_close((uv_handle_t *)&child->timer, on_timer_closed);
}

void child_start(struct child *child)
{
    move(child, PROCESS_ON_START);
}

void child_stop(struct child *child)
{
    move(child, PROCESS_ON_STOP);
}

void child_kill(struct child *child)
{
    move(child, PROCESS_ON_KILL);
}

void child_send(struct child *child, const char *word, const char *argument)
{
    if (child->link == NULL)
        return;
    int result = link_send(child->link, word, argument);
    if (result != 0)
        log_warn("child.not_told", LOG_TEXT("child", child->name), LOG_TEXT("word", word),
                 LOG_TEXT("error", strerror(-result)));
}

enum process_state child_state(const struct child *child)
{
    return child->state;
}

int child_slot(const struct child *child)
{
    return child->options.slot;
}

const char *child_name(const struct child *child)
{
    return child->name;
}

uint64_t child_start_count(const struct child *child)
{
    return child->start_count;
}
