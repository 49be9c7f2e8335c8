/* SPDX-License-Identifier: MIT */
/* A broker that dies while it is greeted, again and again: nng's dialler may then give up, the library must not. Here no
 * file of the bus with a loop is linked, whose wrapper of sendmsg() would hide that. */
#include "broker/client/mcp-broker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 3, LIMIT_MS = 20000, QUESTION_MS = 4000 };

static char run_dir[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(run_dir, sizeof run_dir, "/tmp/mcp-broker-redial-XXXXXX");
    return mkdtemp(run_dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(run_dir);
}

static int listen_at(const char *name, struct sockaddr_un *address)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", run_dir, name);
    assert_int_equal(bind(listener, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(listener, 1), 0);
    return listener;
}

/* How many connections come while each is closed at once; up to ROUNDS. */
static int turn_away(int listener)
{
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    int rounds = 0;
    while (rounds < ROUNDS && poll(&wait, 1, LIMIT_MS) == 1) {
        close(accept(listener, NULL, NULL));
        rounds++;
    }
    return rounds;
}

static void test_subscription(void **state)
{
    (void)state;
    struct sockaddr_un address;
    struct mcp_broker_subscription *subscription;
    int listener = listen_at("events.sock", &address);
    assert_int_equal(mcp_broker_subscribe(run_dir, NULL, &subscription), 0);
    assert_int_equal(turn_away(listener), ROUNDS);
    mcp_broker_unsubscribe(subscription);
    close(listener);
    unlink(address.sun_path);
}

static void *turn_all_away(void *listener)
{
    return (void *)(intptr_t)turn_away((int)(intptr_t)listener);
}

static void test_question(void **state)
{
    (void)state;
    struct sockaddr_un address;
    struct mcp_broker_answer *answer;
    pthread_t thread;
    void *rounds;
    int listener = listen_at("diag.sock", &address);
    assert_int_equal(pthread_create(&thread, NULL, turn_all_away, (void *)(intptr_t)listener), 0);
    assert_int_equal(mcp_broker_ask(run_dir, "ping", NULL, QUESTION_MS, &answer), -ETIMEDOUT);
    assert_int_equal(pthread_join(thread, &rounds), 0);
    assert_int_equal((int)(intptr_t)rounds, ROUNDS);
    close(listener);
    unlink(address.sun_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_subscription, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_question, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
