/* SPDX-License-Identifier: MIT */
/* Places in a park, with socket pairs: bytes and ends come to whom they belong, and whoever has left hears nothing. */
#include "worker/http/park.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CARS = 5 };

struct car {
    struct park_place place;
    struct park *park;
    int peer;           /* the other end */
    struct car *evicts; /* freed, NULL included, when bytes come */
    char text[32];
    size_t size, longest; /* in all, and in one turn */
    int ends;
    int error;
};

struct lot {
    uv_loop_t loop;
    struct park *park;
    struct car *cars[CARS];
};

/* A place is the first thing of its car. */
static struct car *car_at(struct park_place *place)
{
    return (struct car *)place;
}

static void on_bytes(struct park_place *place, const uint8_t *bytes, size_t size)
{
    struct car *car = car_at(place);
    size_t room = car->size < sizeof car->text ? sizeof car->text - 1 - car->size : 0;
    memcpy(car->text + (room > 0 ? car->size : 0), bytes, size < room ? size : room);
    car->size += size;
    car->longest = size > car->longest ? size : car->longest;
    if (car->evicts) {
        struct car *evicted = car->evicts;
        car->evicts = NULL;
        park_leave(evicted->park, &evicted->place);
        memset(&evicted->place, 0xa5, sizeof evicted->place); /* as if it were freed: in no park */
    }
}

static void on_end(struct park_place *place, int error)
{
    struct car *car = car_at(place);
    car->ends++;
    car->error = error;
    park_leave(car->park, &car->place);
}

static const struct park_handlers HANDLERS = {.on_bytes = on_bytes, .on_end = on_end};

static int set_up(void **state)
{
    static struct lot lot;
    assert_int_equal(uv_loop_init(&lot.loop), 0);
    assert_int_equal(park_create(&lot.loop, &HANDLERS, &lot.park), 0);
    for (size_t i = 0; i < CARS; i++) {
        int ends[2];
        lot.cars[i] = calloc(1, sizeof *lot.cars[i]);
        assert_non_null(lot.cars[i]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        lot.cars[i]->park = lot.park;
        lot.cars[i]->peer = ends[1];
        assert_int_equal(park_enter(lot.park, &lot.cars[i]->place, ends[0], NULL), 0);
    }
    *state = &lot;
    return 0;
}

/* Nothing may be left on the loop. */
static int tear_down(void **state)
{
    struct lot *lot = *state;
    for (size_t i = 0; i < CARS; i++) {
        park_leave(lot->park, &lot->cars[i]->place);
        close(lot->cars[i]->peer);
        free(lot->cars[i]);
    }
    uv_run(&lot->loop, UV_RUN_DEFAULT); /* an empty park keeps no loop alive */
    park_destroy(lot->park);
    uv_run(&lot->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&lot->loop), 0);
    return 0;
}

static void say(const struct car *car, const char *text)
{
    assert_int_equal(send(car->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_bytes(void **state)
{
    struct lot *lot = *state;
    say(lot->cars[1], "one");
    say(lot->cars[3], "three");
    uv_run(&lot->loop, UV_RUN_ONCE);
    assert_string_equal(lot->cars[1]->text, "one");
    assert_string_equal(lot->cars[3]->text, "three");
    assert_int_equal(lot->cars[0]->size + lot->cars[2]->size + lot->cars[4]->size, 0);
    say(lot->cars[1], " more");
    uv_run(&lot->loop, UV_RUN_ONCE);
    assert_string_equal(lot->cars[1]->text, "one more");
}

/* What is left after a full buffer is told of in a later turn, after the others; and so is the end behind it. */
static void test_more_than_a_buffer(void **state)
{
    enum { SIZE = 150000 };
    struct lot *lot = *state;
    struct car *car = lot->cars[1];
    static const char BYTES[SIZE];
    assert_int_equal(setsockopt(car->peer, SOL_SOCKET, SO_SNDBUF, &(int){4 * SIZE}, sizeof(int)), 0);
    assert_int_equal(send(car->peer, BYTES, SIZE, MSG_NOSIGNAL | MSG_DONTWAIT), SIZE);
    shutdown(car->peer, SHUT_WR);
    uv_run(&lot->loop, UV_RUN_ONCE);
    assert_in_range(car->size, 1, SIZE - 1);
    say(lot->cars[2], "x");
    uv_run(&lot->loop, UV_RUN_ONCE);
    assert_int_equal(lot->cars[2]->size, 1);
    while (car->ends == 0)
        uv_run(&lot->loop, UV_RUN_ONCE);
    assert_int_equal(car->size, SIZE);
    assert_true(car->longest < SIZE / 2);
    assert_int_equal(car->error, 0);
}

static void test_end(void **state)
{
    struct lot *lot = *state;
    struct car *car = lot->cars[2];
    say(car, "last");
    shutdown(car->peer, SHUT_WR);
    while (car->ends == 0)
        uv_run(&lot->loop, UV_RUN_ONCE);
    assert_string_equal(car->text, "last");
    assert_int_equal(car->error, 0);
    char byte;
    assert_int_equal(recv(car->peer, &byte, 1, 0), 0); /* and ours is closed */
}

static void test_reset(void **state)
{
    struct lot *lot = *state;
    struct car *car = lot->cars[0];
    assert_int_equal(send(car->place.fd, "unread", 6, 0), 6);
    close(car->peer); /* with bytes unread: a reset */
    car->peer = -1;
    while (car->ends == 0)
        uv_run(&lot->loop, UV_RUN_ONCE);
    assert_int_equal(car->error, ECONNRESET);
}

/* All are readable in the same turn; the first to hear evicts each of the others in turn. */
static void test_leaving_within_a_handler(void **state)
{
    struct lot *lot = *state;
    for (size_t i = 0; i < CARS; i++) {
        lot->cars[i]->evicts = i % 2 == 0 ? lot->cars[(i + 1) % CARS] : NULL;
        say(lot->cars[i], "x");
    }
    lot->cars[4]->evicts = lot->cars[4]; /* itself */
    uv_run(&lot->loop, UV_RUN_ONCE);
    assert_int_equal(lot->cars[0]->size, 1);
    assert_int_equal(lot->cars[1]->size, 0);
    assert_int_equal(lot->cars[2]->size, 1);
    assert_int_equal(lot->cars[3]->size, 0);
    assert_int_equal(lot->cars[4]->size, 1);
}

static void test_what_cannot_be_watched(void **state)
{
    struct lot *lot = *state;
    struct park_place place = {.fd = -1};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(park_enter(lot->park, &place, fd, NULL), -EPERM);
    park_leave(lot->park, &place);
    assert_int_equal(close(fd), 0); /* it still is ours */
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    alarm(50); /* a wait that has no end */
    const struct CMUnitTest tests[] = {
        TEST(test_bytes), TEST(test_more_than_a_buffer),       TEST(test_end),
        TEST(test_reset), TEST(test_leaving_within_a_handler), TEST(test_what_cannot_be_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
