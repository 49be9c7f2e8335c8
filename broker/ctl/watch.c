/* SPDX-License-Identifier: MIT */
/* `watch` is an ordinary local subscriber: a subscription to the events socket, a filter, and a line for each event,
 * flushed at once, since most often a program reads it. That it is subscribed, and that the broker went away or came
 * back, is told on standard error: the lines on standard output are events only. */
#include "broker/ctl/watch.h"

#include "broker/ctl/client.h"
#include "broker/ctl/screen.h"
#include "broker/ctl/view.h"
#include "common/bus.h"
#include "common/event.h"
#include "common/paths.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

enum { QUEUE = 10000, PATH_SIZE = sizeof((struct sockaddr_un *)0)->sun_path };

struct watch {
    const struct options *options;
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    struct bus_sub *sub;
    bool was_there;     /* the broker, at any time */
    unsigned long left; /* events until the end; ULONG_MAX: no end */
};

/* Makes the loop run out. Called once. */
static void stop(struct watch *watch)
{
    bus_sub_close(watch->sub);
    watch->sub = NULL;
    uv_close((uv_handle_t *)&watch->interrupt, NULL);
    uv_close((uv_handle_t *)&watch->terminate, NULL);
}

/* --- events --- */

static const char *kind_of(unsigned type)
{
    return type == EVENT_STATUS ? "status" : kind_name(type);
}

static bool is_wanted(const struct watch *watch, unsigned type, const json_t *fields)
{
    static const struct {
        enum option_id option;
        const char *field;
    } filters[] = {{OPTION_WORKSPACE, "workspaceId"}, {OPTION_SERVER, "serverId"}};
    const char *kind = watch->options->value[OPTION_KIND];

    if (kind == NULL ? type == EVENT_STATUS : strcmp(kind, kind_of(type)) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(filters); i++) {
        const char *wanted = watch->options->value[filters[i].option];
        const char *value = json_string_value(json_object_get(fields, filters[i].field));
        if (wanted != NULL && (value == NULL || strcmp(wanted, value) != 0))
            return false;
    }
    return true;
}

static void print_event(const struct watch *watch, unsigned type, json_t *fields)
{
    if (!options_has(watch->options, OPTION_JSON))
        view_event(stdout, kind_of(type), fields);
    else if (json_object_set_new(fields, "kind", json_string(kind_of(type))) == 0)
        screen_json_line(fields);
}

static void on_event(void *user, const void *bytes, size_t size)
{
    struct watch *watch = user;
    json_t *fields;
    unsigned type;

    if (event_read_local(bytes, size, &type, &fields) != 0)
        return;
    bool wanted = is_wanted(watch, type, fields);
    if (wanted)
        print_event(watch, type, fields);
    json_decref(fields);
    if (!wanted)
        return;
    if (watch->left != ULONG_MAX)
        watch->left--;
    if (fflush(stdout) != 0 || watch->left == 0)
        stop(watch);
}

static void on_presence(void *user, bool present)
{
    struct watch *watch = user;

    if (!present)
        fprintf(stderr, "mcp-brokerctl: the broker in %s is gone; waiting for it\n", watch->options->run_dir);
    else if (watch->was_there)
        fprintf(stderr, "mcp-brokerctl: the broker is back; events in between are not told here\n");
    else
        fprintf(stderr, "mcp-brokerctl: watching\n");
    watch->was_there = true;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

/* --- setting up --- */

/* The longest topic that all wanted events begin with. A kind comes before the workspace in it. */
static void write_topic(const struct options *options, char *topic, size_t size)
{
    const char *kind = options->value[OPTION_KIND], *workspace = options->value[OPTION_WORKSPACE];

    if (kind == NULL)
        snprintf(topic, size, "%s", "");
    else if (workspace == NULL)
        snprintf(topic, size, "%s/", kind);
    else
        snprintf(topic, size, "%s/%s/", kind, workspace);
}

static int open_bus(struct watch *watch)
{
    char events[PATH_SIZE], topic[ROW_SCOPE_SIZE + 16];
    const struct bus_sub_options options = {.path = events,
                                            .end = BUS_DIAL,
                                            .topic = topic,
                                            .max = EVENT_BYTES_MAX,
                                            .queue = QUEUE,
                                            .on_presence = on_presence};

    write_topic(watch->options, topic, sizeof topic);
    int fault = paths_join(events, sizeof events, watch->options->run_dir, PATHS_EVENTS);
    return fault != 0 ? fault : bus_sub_open(&watch->loop, &options, on_event, watch, &watch->sub);
}

/* The loop's own handles can't fail to start but for signals, whose handlers then are the usual ones. */
static void start_handles(struct watch *watch)
{
    uv_signal_init(&watch->loop, &watch->interrupt);
    uv_signal_init(&watch->loop, &watch->terminate);
    watch->interrupt.data = watch->terminate.data = watch;
    uv_signal_start(&watch->interrupt, on_signal, SIGINT);
    uv_signal_start(&watch->terminate, on_signal, SIGTERM);
}

static enum exit_code watch_loop(struct watch *watch)
{
    enum exit_code code = EXIT_CODE_DONE;

    if (uv_loop_init(&watch->loop) != 0)
        return client_no_memory();
    start_handles(watch);
    int fault = open_bus(watch);
    if (fault != 0) {
        fprintf(stderr, "mcp-brokerctl: events can't be subscribed to: %s\n", strerror(-fault));
        code = EXIT_CODE_REFUSED;
        stop(watch);
    }
    uv_run(&watch->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&watch->loop);
    return code;
}

static bool check_options(const struct options *options, unsigned long *left)
{
    const char *kind = options->value[OPTION_KIND];
    enum kind known;
    long count;

    if (kind != NULL && strcmp(kind, "status") != 0 && !kind_from_name(kind, &known)) {
        fprintf(stderr, "mcp-brokerctl: --kind must be tools, prompts, resources or status\n");
        return false;
    }
    *left = ULONG_MAX;
    if (!options_has(options, OPTION_COUNT_EVENTS))
        return true;
    if (!options_number(options->value[OPTION_COUNT_EVENTS], "--count", 1, LONG_MAX, &count))
        return false;
    *left = (unsigned long)count;
    return true;
}

enum exit_code watch_run(const struct options *options)
{
    struct watch watch = {.options = options};
    json_t *data;

    if (!check_options(options, &watch.left))
        return EXIT_CODE_USAGE;
    enum exit_code code = client_ask(options->run_dir, "ping", NULL, CLIENT_TIMEOUT_MS, &data);
    if (code != EXIT_CODE_DONE)
        return code;
    json_decref(data);

    return watch_loop(&watch);
}
