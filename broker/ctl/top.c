/* SPDX-License-Identifier: MIT */
/* `top`, as a process: a loop with a terminal on one side (top_view) and the broker on the other (top_feed), and between
 * them what is known and wanted (top_model). At each refresh the broker is asked for what is on the screen, and for no
 * more; when it has not answered for a while the screen says so and shows what the table says, until it answers again.
 *
 * Every way out leads through `stop` and the end of the loop, where the terminal is given back: q, the signals that end a
 * process, a terminal that is gone. */
#include "broker/ctl/top.h"

#include "broker/ctl/client.h"
#include "broker/ctl/top_feed.h"
#include "broker/ctl/top_keys.h"
#include "broker/ctl/top_view.h"
#include "common/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { INTERVAL_MS = 1000, INTERVAL_MIN_MS = 100, GONE_AFTER_MS = 2000 };

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

struct top {
    const char *run_dir;
    struct top_model model;
    struct top_feed *feed;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_poll_t keys;
    uv_signal_t resized;
    uv_signal_t ends[ARRAY_LENGTH(end_signals)];
    bool stopping;
};

static void stop(struct top *top)
{
    if (top->stopping)
        return;
    top->stopping = true;
    top_feed_close(top->feed);
    uv_close((uv_handle_t *)&top->timer, NULL);
    uv_close((uv_handle_t *)&top->keys, NULL);
    uv_close((uv_handle_t *)&top->resized, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(top->ends); i++)
        uv_close((uv_handle_t *)&top->ends[i], NULL);
}

static void draw(struct top *top)
{
    if (!top->stopping && top_view_draw(&top->model, clock_wall_ms()) != 0)
        top_model_message(&top->model, "no memory");
}

/* --- what is told --- */

static void on_answer(void *user, const char *cmd, json_t *data, const char *error)
{
    struct top *top = user;
    struct top_model *model = &top->model;

    model->gone_ms = 0;
    if (data == NULL && strcmp(cmd, "show") != 0)
        top_model_message(model, "%s: %s", cmd, error);
    else if (strcmp(cmd, "status") == 0)
        top_model_status(model, data);
    else if (strcmp(cmd, "workers") == 0)
        top_model_workers(model, data, clock_mono_ms());
    else if (strcmp(cmd, "states") == 0)
        top_model_servers(model, data);
    else if (strcmp(cmd, "show") == 0)
        top_model_server(model, data);
    else
        top_model_message(model, "%s: %s", json_string_value(json_object_get(data, "serverId")),
                          json_string_value(json_object_get(data, "state")));
    if (top_feed_waits_since(top->feed) == 0)
        draw(top);
}

static void ask(struct top *top)
{
    if (top_feed_waits_since(top->feed) != 0)
        return;
    top_feed_ask(top->feed, "status", NULL);
    top_feed_ask(top->feed, "workers", NULL);
    top_feed_ask(top->feed, "states", top_model_question(&top->model));
    if (top_model_is_open(&top->model))
        top_feed_ask(top->feed, "show", json_pack("{s:s}", "serverId", top->model.id));
}

static void on_timer(uv_timer_t *timer)
{
    struct top *top = timer->data;
    uint64_t asked_ms = top_feed_waits_since(top->feed);

    top_model_tick(&top->model);
    if (asked_ms != 0 && clock_mono_ms() >= asked_ms + GONE_AFTER_MS) {
        if (top->model.gone_ms == 0)
            top->model.gone_ms = clock_wall_ms() - (clock_mono_ms() - asked_ms);
        if (top_feed_read_table(top->run_dir, &top->model) != 0)
            top_model_message(&top->model, "the table can't be read");
    }
    ask(top);
    draw(top);
}

/* --- the terminal --- */

static void do_press(struct top *top, struct top_press press)
{
    switch (top_keys_press(&top->model, press)) {
    case TOP_QUIT:
        stop(top);
        break;
    case TOP_RECONNECT:
        top_feed_ask(top->feed, "reconnect", json_pack("{s:s}", "serverId", top->model.id));
        break;
    case TOP_ASK:
        ask(top);
        break;
    case TOP_DRAW:
        break;
    }
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
    struct top *top = poll->data;
    struct top_press press;

    if (status < 0 || (events & UV_DISCONNECT) != 0) {
        stop(top);
        return;
    }
    while (!top->stopping && top_view_press(&press))
        do_press(top, press);
    draw(top);
}

static void on_resized(uv_signal_t *handle, int number)
{
    struct top *top = handle->data;
    unsigned width, height;

    (void)number;
    top_view_resize(&width, &height);
    top_model_resize(&top->model, width, height);
    draw(top);
}

static void on_end(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

/* --- setting up --- */

/* What can't be started leaves the usual effect of a signal, or a screen without keys that a signal ends. */
static void start_handles(struct top *top, uint64_t interval_ms)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);

    uv_timer_init(&top->loop, &top->timer);
    uv_poll_init(&top->loop, &top->keys, STDIN_FILENO);
    /* libuv has made the terminal non-blocking, for the shell as well, and for what is written to it. */
    (void)fcntl(STDIN_FILENO, F_SETFL, flags);
    uv_signal_init(&top->loop, &top->resized);
    top->timer.data = top->keys.data = top->resized.data = top;
    for (size_t i = 0; i < ARRAY_LENGTH(end_signals); i++) {
        uv_signal_init(&top->loop, &top->ends[i]);
        top->ends[i].data = top;
        uv_signal_start(&top->ends[i], on_end, end_signals[i]);
    }
    uv_signal_start(&top->resized, on_resized, SIGWINCH);
    uv_poll_start(&top->keys, UV_READABLE | UV_DISCONNECT, on_keys);
    uv_timer_start(&top->timer, on_timer, 0, interval_ms);
}

static int top_loop(struct top *top, uint64_t interval_ms)
{
    int fault = uv_loop_init(&top->loop);

    if (fault != 0)
        return fault;
    fault = top_feed_open(&top->loop, top->run_dir, on_answer, top, &top->feed);
    if (fault == 0) {
        start_handles(top, interval_ms);
        on_resized(&top->resized, SIGWINCH);
    }
    uv_run(&top->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&top->loop);
    return fault;
}

/* The terminal is given back before anything else is said. */
static enum exit_code top_screen(const char *run_dir, uint64_t interval_ms)
{
    struct top top = {.run_dir = run_dir};

    if (top_view_begin() != 0) {
        fprintf(stderr, "mcp-brokerctl: top wants a terminal that it can draw on ($TERM)\n");
        return EXIT_CODE_REFUSED;
    }
    top_model_begin(&top.model);
    int fault = top_loop(&top, interval_ms);
    top_model_end(&top.model);
    top_view_end();
    if (fault == 0)
        return EXIT_CODE_DONE;
    fprintf(stderr, "mcp-brokerctl: the broker can't be asked: %s\n", strerror(-fault));
    return EXIT_CODE_REFUSED;
}

enum exit_code top_run(const struct options *options)
{
    uint64_t interval_ms;
    json_t *data;

    if (!options_duration(options, OPTION_INTERVAL, INTERVAL_MS, &interval_ms))
        return EXIT_CODE_USAGE;
    if (options_has(options, OPTION_JSON)) {
        fprintf(stderr, "mcp-brokerctl: top is for people; status, workers, states and show have --json\n");
        return EXIT_CODE_USAGE;
    }
    enum exit_code code = client_ask(options->run_dir, "ping", NULL, CLIENT_TIMEOUT_MS, &data);
    if (code != EXIT_CODE_DONE)
        return code;
    json_decref(data);
    return top_screen(options->run_dir, interval_ms < INTERVAL_MIN_MS ? INTERVAL_MIN_MS : interval_ms);
}
