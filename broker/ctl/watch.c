/* SPDX-License-Identifier: MIT */
/* `watch` is an ordinary local subscriber, by the library (broker/client): it chooses kind and workspace there, one server
 * here, and writes a line for each event, flushed at once, since most often a program reads it. That it is subscribed,
 * that it missed something, and that the broker went away or came back, is told on standard error: the lines on standard
 * output are events only. INT and TERM are read from a descriptor beside the subscription's. */
#include "broker/ctl/watch.h"

#include "broker/client/mcp-broker.h"
#include "broker/ctl/client.h"
#include "broker/ctl/screen.h"
#include "broker/ctl/view.h"
#include "common/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum mcp_broker_kind kind;
} kinds[] = {
    {"tools", MCP_BROKER_TOOLS},
    {"prompts", MCP_BROKER_PROMPTS},
    {"resources", MCP_BROKER_RESOURCES},
    {"status", MCP_BROKER_STATUS},
};

struct watch {
    const struct options *options;
    struct mcp_broker_subscription *subscription;
    int signals;
    bool was_there;     /* the broker, at any time */
    unsigned long left; /* events until the end; ULONG_MAX: no end */
};

/* --- events --- */

static const char *kind_name_of(enum mcp_broker_kind kind)
{
    size_t i = 0;

    while (i < ARRAY_LENGTH(kinds) - 1 && kinds[i].kind != kind)
        i++;
    return kinds[i].name;
}

static void print_event(const struct watch *watch, const struct mcp_broker_event *event)
{
    const char *kind = kind_name_of(event->kind);
    json_t *fields = pack_read(event->data, event->size);

    /* Which of the broker's events it is concerns the library. */
    (void)json_object_del(fields, "sequence");
    if (!options_has(watch->options, OPTION_JSON))
        view_event(stdout, kind, fields);
    else if (json_object_set_new(fields, "kind", json_string(kind)) == 0)
        screen_json_line(fields);
    json_decref(fields);
}

/* Whether there is to be more. */
static bool take_event(struct watch *watch, const struct mcp_broker_event *event)
{
    const char *server = watch->options->value[OPTION_SERVER];

    if (server != NULL && strcmp(server, event->server_id) != 0)
        return true;
    print_event(watch, event);
    if (watch->left != ULONG_MAX)
        watch->left--;
    return fflush(stdout) == 0 && watch->left > 0;
}

static void tell_online(struct watch *watch)
{
    if (watch->was_there)
        fprintf(stderr, "mcp-brokerctl: the broker is back; events in between are not told here\n");
    else
        fprintf(stderr, "mcp-brokerctl: watching\n");
    watch->was_there = true;
}

static bool take_one(struct watch *watch, const struct mcp_broker_event *event)
{
    if (event->kind == MCP_BROKER_ONLINE)
        tell_online(watch);
    else if (event->kind == MCP_BROKER_OFFLINE)
        fprintf(stderr, "mcp-brokerctl: the broker in %s is gone; waiting for it\n", watch->options->run_dir);
    else if (event->kind == MCP_BROKER_MISSED)
        fprintf(stderr, "mcp-brokerctl: missed up to %" PRIu64 " events: they came faster than they were taken\n",
                event->missed);
    else
        return take_event(watch, event);
    return true;
}

/* Whether there is to be more. */
static bool take_all(struct watch *watch)
{
    struct mcp_broker_event *event;
    bool more = true;

    while (more && mcp_broker_receive(watch->subscription, 0, &event) == 0) {
        more = take_one(watch, event);
        mcp_broker_event_free(event);
    }
    return more;
}

/* --- setting up --- */

static void watch_loop(struct watch *watch)
{
    struct pollfd wait[] = {{.fd = mcp_broker_descriptor(watch->subscription), .events = POLLIN},
                            {.fd = watch->signals, .events = POLLIN}};

    while (take_all(watch) && (poll(wait, ARRAY_LENGTH(wait), -1) >= 0 || errno == EINTR) && wait[1].revents == 0)
        continue;
}

/* Sets `signals` to a descriptor for INT and TERM; without one they do as usual. */
static void open_signals(struct watch *watch)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    watch->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (watch->signals >= 0)
        sigprocmask(SIG_BLOCK, &set, NULL);
}

static enum exit_code run(struct watch *watch, unsigned kind)
{
    const struct mcp_broker_filter filter = {.kinds = kind, .workspace = watch->options->value[OPTION_WORKSPACE]};

    int fault = mcp_broker_subscribe(watch->options->run_dir, &filter, &watch->subscription);
    if (fault != 0) {
        fprintf(stderr, "mcp-brokerctl: events can't be subscribed to: %s\n", strerror(-fault));
        return EXIT_CODE_REFUSED;
    }
    open_signals(watch);
    watch_loop(watch);
    mcp_broker_unsubscribe(watch->subscription);
    if (watch->signals >= 0)
        close(watch->signals);
    return EXIT_CODE_DONE;
}

static bool check_options(const struct options *options, unsigned *kind, unsigned long *left)
{
    const char *name = options->value[OPTION_KIND];
    size_t i = 0;
    long count;

    *kind = 0;
    while (name != NULL && i < ARRAY_LENGTH(kinds) && strcmp(name, kinds[i].name) != 0)
        i++;
    if (i == ARRAY_LENGTH(kinds)) {
        fprintf(stderr, "mcp-brokerctl: --kind must be tools, prompts, resources or status\n");
        return false;
    }
    if (name != NULL)
        *kind = kinds[i].kind;
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
    unsigned kind;
    json_t *data;

    if (!check_options(options, &kind, &watch.left))
        return EXIT_CODE_USAGE;
    enum exit_code code = client_ask(options->run_dir, "ping", NULL, CLIENT_TIMEOUT_MS, &data);
    if (code != EXIT_CODE_DONE)
        return code;
    json_decref(data);
    return run(&watch, kind);
}
