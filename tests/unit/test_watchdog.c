/* SPDX-License-Identifier: MIT */
/* The test is the service manager: a datagram socket in $NOTIFY_SOCKET hears what the watchdog says. Nothing is waited
 * for by the clock: a test ends when the timer has asked often enough. */
#include "broker/supervisor/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ASKED_ENOUGH = 3 };

struct manager {
    uv_loop_t loop;
    struct watchdog *watchdog;
    int socket;
    char folder[64];
    struct sockaddr_un address;
    bool well;
    int asked;
};

static bool is_well(void *user)
{
    struct manager *manager = user;
    if (++manager->asked == ASKED_ENOUGH)
        watchdog_close(manager->watchdog);
    return manager->well;
}

/* How many times the manager heard from us; each message must be the right one. */
static int count_heard(const struct manager *manager)
{
    char message[64];
    int heard = 0;
    ssize_t size;
    while ((size = recv(manager->socket, message, sizeof(message) - 1, MSG_DONTWAIT)) >= 0) {
        message[size] = '\0';
        assert_string_equal(message, "WATCHDOG=1");
        heard++;
    }
    return heard;
}

static void run(struct manager *manager, bool well)
{
    manager->well = well;
    manager->watchdog = watchdog_open(&manager->loop, is_well, manager);
    assert_non_null(manager->watchdog);
    uv_run(&manager->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
    struct manager *manager = calloc(1, sizeof(*manager));
    assert_non_null(manager);
    assert_int_equal(uv_loop_init(&manager->loop), 0);
    strcpy(manager->folder, "/tmp/test-watchdog-XXXXXX");
    assert_non_null(mkdtemp(manager->folder));
    manager->address.sun_family = AF_UNIX;
    snprintf(manager->address.sun_path, sizeof(manager->address.sun_path), "%s/notify", manager->folder);
    manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager->socket >= 0);
    assert_int_equal(bind(manager->socket, (const struct sockaddr *)&manager->address, sizeof(manager->address)), 0);
    setenv("NOTIFY_SOCKET", manager->address.sun_path, 1);
    setenv("WATCHDOG_USEC", "20000", 1);
    unsetenv("WATCHDOG_PID");
    *state = manager;
    return 0;
}

static int teardown(void **state)
{
    struct manager *manager = *state;
    assert_int_equal(uv_loop_close(&manager->loop), 0);
    close(manager->socket);
    unlink(manager->address.sun_path);
    rmdir(manager->folder);
    free(manager);
    return 0;
}

static void test_tells_each_time_while_well(void **state)
{
    struct manager *manager = *state;
    run(manager, true);
    assert_int_equal(manager->asked, ASKED_ENOUGH);
    assert_int_equal(count_heard(manager), ASKED_ENOUGH);
}

static void test_says_nothing_while_not_well(void **state)
{
    struct manager *manager = *state;
    run(manager, false);
    assert_int_equal(manager->asked, ASKED_ENOUGH);
    assert_int_equal(count_heard(manager), 0);
}

/* With no timer the loop has nothing to run for, and ends at once. */
static void check_is_quiet(struct manager *manager)
{
    run(manager, true);
    assert_int_equal(manager->asked, 0);
    watchdog_close(manager->watchdog);
    uv_run(&manager->loop, UV_RUN_DEFAULT);
}

static void test_asks_nothing_without_a_watchdog(void **state)
{
    static const char *const values[] = {"", "0", "-5", "x", "20000x", "99999999999999999999999"};
    unsetenv("WATCHDOG_USEC");
    check_is_quiet(*state);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        setenv("WATCHDOG_USEC", values[i], 1);
        check_is_quiet(*state);
    }
}

static void test_asks_nothing_when_another_process_is_meant(void **state)
{
    setenv("WATCHDOG_PID", "1", 1);
    check_is_quiet(*state);
}

static void test_tells_when_this_process_is_meant(void **state)
{
    struct manager *manager = *state;
    char pid[24];
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    run(manager, true);
    assert_int_equal(count_heard(manager), ASKED_ENOUGH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tells_each_time_while_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_says_nothing_while_not_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asks_nothing_without_a_watchdog, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asks_nothing_when_another_process_is_meant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_when_this_process_is_meant, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
