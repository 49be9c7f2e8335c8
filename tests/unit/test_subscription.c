/* SPDX-License-Identifier: MIT */
/* The library's subscription against a publisher of the test's own: what is chosen, what is told of the broker's coming and
 * going, and of what was missed. */
#include "broker/client/mcp-broker.h"
#include "common/bus.h"
#include "common/event.h"
#include "common/paths.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 20000, QUEUE = 100, BEAT_MS = 20, BURST = 50 };

static char run_dir[64], events[128];
static struct bus_pub *pub;
static struct mcp_broker_subscription *subscription;
static struct mcp_broker_event *event;
static uint64_t sequence;

static int set_up(void **state)
{
    (void)state;
    snprintf(run_dir, sizeof run_dir, "/tmp/mcp-broker-subscription-XXXXXX");
    sequence = 0;
    return mkdtemp(run_dir) != NULL ? paths_join(events, sizeof events, run_dir, PATHS_EVENTS) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mcp_broker_event_free(event);
    event = NULL;
    mcp_broker_unsubscribe(subscription);
    subscription = NULL;
    bus_pub_close(pub);
    pub = NULL;
    unlink(events);
    return rmdir(run_dir);
}

static void open_pub(void)
{
    const struct bus_pub_options options = {.path = events, .end = BUS_LISTEN, .mode = 0600, .queue = QUEUE};
    assert_int_equal(bus_pub_open(&options, &pub), 0);
}

static void publish(unsigned type, const char *id, const char *workspace)
{
    const struct event value = {.type = type,
                                .server_id = id,
                                .server_name = "Name",
                                .workspace_id = workspace,
                                .timestamp_ms = 5,
                                .reason = REASON_VERIFY,
                                .generation = 7,
                                .list_known = true,
                                .count = 3,
                                .state = STATE_BACKOFF,
                                .last_error = "gone"};
    struct buf out;
    buf_init(&out, EVENT_BYTES_MAX);
    assert_int_equal(event_write_local(&out, &value, ++sequence), 0);
    assert_int_equal(bus_pub_send(pub, out.bytes, out.size), 0);
    buf_fini(&out);
}

static void beat(void)
{
    struct buf out;
    buf_init(&out, EVENT_BYTES_MAX);
    assert_int_equal(event_write_beat(&out, sequence), 0);
    assert_int_equal(bus_pub_send(pub, out.bytes, out.size), 0);
    buf_fini(&out);
}

/* The publisher's end of a connection may be open later than the other: it is beaten until it is heard. */
static void receive_online(void)
{
    mcp_broker_event_free(event);
    event = NULL;
    int result = MCP_BROKER_NOTHING;
    for (int ms = 0; result == MCP_BROKER_NOTHING && ms < LIMIT_MS; ms += BEAT_MS) {
        beat();
        result = mcp_broker_receive(subscription, BEAT_MS, &event);
    }
    assert_int_equal(result, 0);
    assert_int_equal(event->kind, MCP_BROKER_ONLINE);
}

static void receive(enum mcp_broker_kind kind)
{
    mcp_broker_event_free(event);
    event = NULL;
    assert_int_equal(mcp_broker_receive(subscription, LIMIT_MS, &event), 0);
    assert_int_equal(event->kind, kind);
}

static bool is_readable(void)
{
    struct pollfd descriptor = {.fd = mcp_broker_descriptor(subscription), .events = POLLIN};
    return poll(&descriptor, 1, 0) == 1;
}

static void subscribe(const struct mcp_broker_filter *filter)
{
    assert_int_equal(mcp_broker_subscribe(run_dir, filter, &subscription), 0);
}

static void test_events(void **state)
{
    (void)state;
    subscribe(NULL);
    assert_int_equal(mcp_broker_receive(subscription, 10, &event), MCP_BROKER_NOTHING);
    open_pub();
    receive_online();
    publish(EVENT_STATUS, "s", "w"); /* not asked for */
    publish(KIND_PROMPTS, "s", "w/1");
    receive(MCP_BROKER_PROMPTS);
    assert_string_equal(event->server_id, "s");
    assert_string_equal(event->server_name, "Name");
    assert_string_equal(event->workspace_id, "w/1");
    assert_string_equal(event->reason, "verify");
    assert_string_equal(event->list_hash, "00000000000000000000000000000000");
    assert_string_equal(event->state, "");
    assert_true(event->timestamp_ms == 5 && event->generation == 7 && event->list_count == 3 && event->missed == 0);
    char *text = mcp_broker_json(event->data, event->size);
    assert_non_null(strstr(text, "\"serverId\":\"s\""));
    assert_non_null(strstr(text, "\"sequence\":2"));
    free(text);
    assert_int_equal(mcp_broker_receive(subscription, 0, &event), MCP_BROKER_NOTHING);
    assert_false(is_readable());
}

static void test_chosen(void **state)
{
    (void)state;
    open_pub();
    subscribe(&(struct mcp_broker_filter){.kinds = MCP_BROKER_TOOLS | MCP_BROKER_STATUS, .workspace = "w"});
    receive_online();
    publish(KIND_TOOLS, "other", "w2");
    publish(KIND_TOOLS, "other", "");
    publish(KIND_TOOLS, "other", "w/w");
    publish(KIND_PROMPTS, "other", "w");
    publish(EVENT_STATUS, "state", "w");
    publish(KIND_TOOLS, "mine", "w");
    receive(MCP_BROKER_STATUS);
    assert_string_equal(event->server_id, "state");
    assert_string_equal(event->state, "backoff");
    assert_string_equal(event->last_error, "gone");
    assert_false(event->connected);
    assert_int_equal(event->list_count, -1);
    receive(MCP_BROKER_TOOLS);
    assert_string_equal(event->server_id, "mine");
    assert_int_equal(mcp_broker_subscribe(run_dir, &(struct mcp_broker_filter){.kinds = MCP_BROKER_MISSED}, NULL),
                     -EINVAL);
}

/* Publishes faster than is received, until the queue of two did not do; each event is then received or missed. */
static void overflow(void)
{
    uint64_t told = 0, received = 0, missed = 0;
    while (missed == 0) {
        for (int i = 0; i < BURST; i++, told++)
            publish(KIND_TOOLS, "c", "w");
        for (; received + missed < told; missed += event->missed) {
            mcp_broker_event_free(event);
            event = NULL;
            assert_int_equal(mcp_broker_receive(subscription, LIMIT_MS, &event), 0);
            received += event->kind == MCP_BROKER_TOOLS;
        }
    }
    assert_int_equal(received + missed, told);
}

static void test_what_was_missed(void **state)
{
    (void)state;
    open_pub();
    sequence = 40; /* told before anybody listened */
    subscribe(&(struct mcp_broker_filter){.queue = 2});
    receive_online();
    publish(KIND_TOOLS, "a", "w");
    receive(MCP_BROKER_TOOLS);
    sequence += 3; /* lost on the way */
    publish(KIND_TOOLS, "b", "w");
    receive(MCP_BROKER_MISSED);
    assert_int_equal(event->missed, 3);
    receive(MCP_BROKER_TOOLS);
    assert_string_equal(event->server_id, "b");

    sequence++; /* lost, and nothing follows but the beat */
    beat();
    receive(MCP_BROKER_MISSED);
    assert_int_equal(event->missed, 1);
    overflow();
    assert_int_equal(mcp_broker_receive(subscription, 0, &event), MCP_BROKER_NOTHING);
}

static void test_the_broker_goes_and_comes(void **state)
{
    (void)state;
    open_pub();
    subscribe(NULL);
    receive_online();
    publish(KIND_TOOLS, "a", "w");
    receive(MCP_BROKER_TOOLS);
    bus_pub_close(pub);
    receive(MCP_BROKER_OFFLINE);
    assert_string_equal(event->server_id, "");
    assert_null(event->data);
    sequence = 0; /* another process counts anew */
    open_pub();
    receive_online();
    publish(KIND_TOOLS, "b", "w");
    receive(MCP_BROKER_TOOLS);
    assert_string_equal(event->server_id, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chosen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_broker_goes_and_comes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
