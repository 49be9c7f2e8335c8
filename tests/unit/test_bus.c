/* SPDX-License-Identifier: MIT */
/* Real sockets in a folder of their own. Where another process is needed (to be killed, stopped, or asked without a
 * loop), the test starts itself again: test_bus <what to do with a question> <path>. */
#include "common/bus.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 20000, TICK_MS = 2, MESSAGE_MAX = 1000 };

static uv_loop_t loop;
static uv_timer_t tick;
static void (*on_each_tick)(void);
static char folder[] = "/tmp/test_bus.XXXXXX";
static char path[128];

/* Turns the loop until the condition holds; fails when it takes too long. */
#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        uint64_t deadline_ms = clock_mono_ms() + LIMIT_MS;                                                             \
        while (!(condition)) {                                                                                         \
            assert_true(clock_mono_ms() < deadline_ms);                                                                \
            uv_run(&loop, UV_RUN_ONCE);                                                                                \
        }                                                                                                              \
    } while (0)

/* The same while the loop is busy. */
#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        uint64_t deadline_ms = clock_mono_ms() + LIMIT_MS;                                                             \
        while (!(condition)) {                                                                                         \
            assert_true(clock_mono_ms() < deadline_ms);                                                                \
            usleep(500);                                                                                               \
        }                                                                                                              \
    } while (0)

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    if (on_each_tick)
        on_each_tick();
}

static int setup(void **state)
{
    (void)state;
    on_each_tick = NULL;
    snprintf(path, sizeof(path), "%s/socket", folder);
    uv_loop_init(&loop);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

/* Everything must have been closed, so that the loop ends. */
static int teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&tick, NULL);
    for (int turn = 0; turn < 1000 && uv_run(&loop, UV_RUN_NOWAIT) != 0; turn++)
        usleep(1000);
    unlink(path);
    return uv_loop_close(&loop);
}

/* --- pub and sub --- */

struct inbox {
    int texts;
    char last[MESSAGE_MAX];
    int wrong; /* numbers that came out of order */
    unsigned next;
};

static void on_message(void *user, const void *bytes, size_t size)
{
    struct inbox *inbox = user;
    assert_true(size < sizeof(inbox->last));
    memcpy(inbox->last, bytes, size);
    inbox->last[size] = '\0';
    inbox->texts++;
    unsigned number;
    if (sscanf(inbox->last, "number/%u", &number) == 1 && number != inbox->next++)
        inbox->wrong++;
}

static struct bus_pub *talker;
static unsigned hellos;

static void say_hello(void)
{
    char text[32];
    snprintf(text, sizeof(text), "hello/%u", ++hellos);
    assert_int_equal(bus_pub_send(talker, text, strlen(text)), 0);
}

/* Number of the hello heard last; 0 when it was none. */
static unsigned heard(const struct inbox *inbox)
{
    unsigned number;
    return sscanf(inbox->last, "hello/%u", &number) == 1 ? number : 0;
}

/* Until the two have found each other and nothing is under way any more. Only a new hello counts: an old one may still
 * be on its way from a publisher that is closed. */
static void connect_pub(struct bus_pub *pub, const struct inbox *inbox)
{
    unsigned before = hellos;
    talker = pub;
    on_each_tick = say_hello;
    RUN_UNTIL(heard(inbox) > before);
    on_each_tick = NULL;
    RUN_UNTIL(heard(inbox) == hellos);
}

static struct bus_sub *open_sub(enum bus_end end, const char *topic, size_t max, size_t queue, struct inbox *inbox)
{
    const struct bus_sub_options options = {
        .path = path, .end = end, .mode = 0600, .topic = topic, .max = max, .queue = queue};
    struct bus_sub *sub = NULL;
    assert_int_equal(bus_sub_open(&loop, &options, on_message, inbox, &sub), 0);
    return sub;
}

static struct bus_pub *open_pub(enum bus_end end)
{
    struct bus_pub *pub = NULL;
    const struct bus_pub_options options = {
        .path = path, .end = end, .mode = 0660, .queue = 1000, .is_uncached = end == BUS_DIAL /* as a worker's */};
    assert_int_equal(bus_pub_open(&options, &pub), 0);
    return pub;
}

static void test_pub_dials(void **state)
{
    (void)state;
    struct inbox inbox = {0};
    struct bus_pub *pub = open_pub(BUS_DIAL); /* before anybody listens */
    struct bus_sub *sub = open_sub(BUS_LISTEN, "", MESSAGE_MAX, 1000, &inbox);
    connect_pub(pub, &inbox);
    bus_sub_close(sub); /* the listener starts again */
    sub = open_sub(BUS_LISTEN, "", MESSAGE_MAX, 1000, &inbox);
    connect_pub(pub, &inbox);
    bus_pub_close(pub); /* the dialler starts again */
    pub = open_pub(BUS_DIAL);
    connect_pub(pub, &inbox);
    bus_pub_close(pub);
    bus_sub_close(sub);
}

static void test_sub_dials(void **state)
{
    (void)state;
    struct inbox inbox = {0}, other = {0};
    struct bus_sub *sub = open_sub(BUS_DIAL, "", MESSAGE_MAX, 1000, &inbox);
    struct bus_pub *pub = open_pub(BUS_LISTEN);
    connect_pub(pub, &inbox);
    struct bus_sub *second = open_sub(BUS_DIAL, "hello/", MESSAGE_MAX, 1000, &other);
    connect_pub(pub, &other);
    bus_pub_close(pub);
    pub = open_pub(BUS_LISTEN);
    connect_pub(pub, &inbox);
    connect_pub(pub, &other);
    bus_pub_close(pub);
    bus_sub_close(sub);
    bus_sub_close(second);
}

static void test_topic(void **state)
{
    (void)state;
    struct inbox inbox = {0};
    struct bus_pub *pub = open_pub(BUS_LISTEN);
    struct bus_sub *sub = open_sub(BUS_DIAL, "hello/", MESSAGE_MAX, 1000, &inbox);
    connect_pub(pub, &inbox);
    int before = inbox.texts;
    assert_int_equal(bus_pub_send(pub, "other/1", 7), 0);
    assert_int_equal(bus_pub_send(pub, "", 0), 0);
    assert_int_equal(bus_pub_send(pub, "hello/x", 7), 0);
    RUN_UNTIL(strcmp(inbox.last, "hello/x") == 0);
    assert_int_equal(inbox.texts, before + 1);
    bus_sub_close(sub);
    bus_pub_close(pub);
}

static void send_numbers(struct bus_pub *pub, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof(text), "number/%u", i);
        assert_int_equal(bus_pub_send(pub, text, strlen(text)), 0);
    }
}

/* A loop that is busy keeps the first ones, counts the others, and goes on. */
static void test_dropped(void **state)
{
    (void)state;
    enum { QUEUE = 10, SENT = 500 };
    struct inbox inbox = {0};
    struct bus_pub *pub = open_pub(BUS_LISTEN);
    struct bus_sub *sub = open_sub(BUS_DIAL, "", MESSAGE_MAX, QUEUE, &inbox);
    connect_pub(pub, &inbox);
    uint64_t before = bus_sub_dropped(sub);
    send_numbers(pub, SENT);
    WAIT_UNTIL(bus_sub_dropped(sub) == before + SENT - QUEUE);
    RUN_UNTIL(inbox.next == QUEUE);
    assert_int_equal(inbox.wrong, 0);
    connect_pub(pub, &inbox);
    bus_sub_close(sub);
    bus_pub_close(pub);
}

static void test_order(void **state)
{
    (void)state;
    struct inbox inbox = {0};
    struct bus_pub *pub = open_pub(BUS_LISTEN);
    struct bus_sub *sub = open_sub(BUS_DIAL, "", MESSAGE_MAX, 1000, &inbox);
    connect_pub(pub, &inbox);
    send_numbers(pub, 1000);
    RUN_UNTIL(inbox.next == 1000);
    assert_int_equal(inbox.wrong, 0);
    assert_int_equal(bus_sub_dropped(sub), 0);
    bus_sub_close(sub);
    bus_pub_close(pub);
}

static void test_oversized(void **state)
{
    (void)state;
    enum { MAX = 100 };
    struct inbox inbox = {0};
    char text[MAX + 1];
    memset(text, 'x', sizeof(text));
    struct bus_pub *pub = open_pub(BUS_DIAL);
    struct bus_sub *sub = open_sub(BUS_LISTEN, "", MAX, 1000, &inbox);
    connect_pub(pub, &inbox);
    assert_int_equal(bus_pub_send(pub, text, MAX), 0);
    RUN_UNTIL(inbox.last[0] == 'x');
    assert_int_equal(strlen(inbox.last), MAX);
    inbox.last[0] = '\0';
    assert_int_equal(bus_pub_send(pub, text, MAX + 1), 0);
    connect_pub(pub, &inbox); /* on a new connection, nothing having come of the old one */
    assert_int_equal(inbox.last[0], 'h');
    bus_sub_close(sub);
    bus_pub_close(pub);
}

/* --- req and rep --- */

struct desk {
    struct bus_rep *rep;
    struct bus_question *held[16];
    char texts[16][64];
    int count;
};

static void hold(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    struct desk *desk = user;
    assert_true(desk->count < 16 && size < 64);
    memcpy(desk->texts[desk->count], bytes, size);
    desk->texts[desk->count][size] = '\0';
    desk->held[desk->count++] = question;
}

static void echo(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    (void)user;
    bus_question_answer(question, bytes, size);
}

static void open_desk(struct desk *desk, size_t held_max)
{
    const struct bus_rep_options options = {.path = path, .mode = 0600, .max = MESSAGE_MAX, .held_max = held_max};
    *desk = (struct desk){0};
    assert_int_equal(bus_rep_open(&loop, &options, hold, desk, &desk->rep), 0);
}

struct asker {
    struct bus_req *req;
    int answers;
    bool failed;
    char last[MESSAGE_MAX];
};

static void on_answer(void *user, const void *bytes, size_t size)
{
    struct asker *asker = user;
    asker->answers++;
    asker->failed = bytes == NULL;
    assert_true(size < sizeof(asker->last));
    if (bytes)
        memcpy(asker->last, bytes, size);
    asker->last[size] = '\0';
}

static void open_asker(struct asker *asker)
{
    *asker = (struct asker){0};
    assert_int_equal(bus_req_open(&loop, path, MESSAGE_MAX, &asker->req), 0);
}

static void ask(struct asker *asker, const char *text)
{
    assert_int_equal(bus_req_ask(asker->req, text, strlen(text), on_answer, asker), 0);
}

static void answer(struct desk *desk, int number)
{
    char text[80];
    int length = snprintf(text, sizeof(text), "re %s", desk->texts[number]);
    bus_question_answer(desk->held[number], text, (size_t)length);
    desk->held[number] = NULL;
}

static void test_held_out_of_order(void **state)
{
    (void)state;
    struct desk desk;
    struct asker askers[3];
    for (int i = 0; i < 3; i++) {
        char text[8];
        open_asker(&askers[i]); /* before there is a desk */
        snprintf(text, sizeof(text), "q%d", i);
        ask(&askers[i], text);
    }
    open_desk(&desk, 3);
    RUN_UNTIL(desk.count == 3);
    for (int i = 2; i >= 0; i--) {
        int who = desk.texts[i][1] - '0';
        answer(&desk, i);
        RUN_UNTIL(askers[who].answers == 1);
        char expected[16];
        snprintf(expected, sizeof(expected), "re q%d", who);
        assert_string_equal(askers[who].last, expected);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(askers[i].answers, 1);
        bus_req_close(askers[i].req);
    }
    bus_rep_close(desk.rep);
}

static int turns;

static void count_turn(void)
{
    turns++;
}

static void test_held_max(void **state)
{
    (void)state;
    struct desk desk;
    struct asker askers[3];
    open_desk(&desk, 2);
    for (int i = 0; i < 3; i++) {
        open_asker(&askers[i]);
        ask(&askers[i], "q");
    }
    RUN_UNTIL(desk.count == 2);
    turns = 0;
    on_each_tick = count_turn;
    RUN_UNTIL(turns == 50); /* time enough for a third one, were it taken */
    assert_int_equal(desk.count, 2);
    answer(&desk, 0);
    RUN_UNTIL(desk.count == 3);
    bus_question_drop(desk.held[1]); /* its asker waits on; its place is free */
    answer(&desk, 2);
    RUN_UNTIL(askers[0].answers + askers[1].answers + askers[2].answers == 2);
    for (int i = 0; i < 3; i++)
        bus_req_close(askers[i].req);
    bus_rep_close(desk.rep);
}

static void test_many_rounds(void **state)
{
    (void)state;
    const struct bus_rep_options options = {.path = path, .mode = 0600, .max = MESSAGE_MAX, .held_max = 4};
    struct bus_rep *rep;
    assert_int_equal(bus_rep_open(&loop, &options, echo, NULL, &rep), 0);
    struct asker asker;
    open_asker(&asker);
    for (int i = 1; i <= 200; i++) {
        char text[MESSAGE_MAX];
        memset(text, 'x', sizeof(text));
        text[i] = '\0';
        ask(&asker, text);
        RUN_UNTIL(asker.answers == i);
        assert_string_equal(asker.last, text);
    }
    ask(&asker, "");
    RUN_UNTIL(asker.answers == 201);
    assert_false(asker.failed);
    bus_req_close(asker.req);
    bus_rep_close(rep);
}

static void test_peer(void **state)
{
    (void)state;
    struct desk desk;
    struct asker asker;
    struct bus_peer peer;
    open_desk(&desk, 2);
    open_asker(&asker);
    ask(&asker, "who am I");
    RUN_UNTIL(desk.count == 1);
    assert_int_equal(bus_question_peer(desk.held[0], &peer), 0);
    assert_int_equal(peer.uid, getuid());
    assert_int_equal(peer.pid, getpid());
    bus_req_close(asker.req); /* gone before it is answered, which is no error */
    answer(&desk, 0);
    open_asker(&asker);
    ask(&asker, "another");
    RUN_UNTIL(desk.count == 2);
    answer(&desk, 1);
    RUN_UNTIL(asker.answers == 1);
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

static void test_replaced(void **state)
{
    (void)state;
    struct desk desk;
    struct asker asker, old = {0};
    open_desk(&desk, 4);
    open_asker(&asker);
    /* before there is a connection, when it has been held, and when its answer is there already */
    assert_int_equal(bus_req_ask(asker.req, "a", 1, on_answer, &old), 0);
    assert_int_equal(bus_req_ask(asker.req, "b", 1, on_answer, &old), 0);
    RUN_UNTIL(desk.count > 0 && strcmp(desk.texts[desk.count - 1], "b") == 0);
    assert_int_equal(bus_req_ask(asker.req, "c", 1, on_answer, &old), 0);
    int held = desk.count;
    RUN_UNTIL(desk.count == held + 1);
    answer(&desk, held);
    usleep(20000); /* the loop does not turn meanwhile; whether it has come or not, it must not be heard */
    ask(&asker, "d");
    RUN_UNTIL(desk.count == held + 2);
    for (int i = 0; i < desk.count; i++)
        if (desk.held[i])
            answer(&desk, i);
    RUN_UNTIL(asker.answers == 1);
    assert_string_equal(asker.last, "re d");
    assert_int_equal(old.answers, 0);
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

static void test_oversized_question(void **state)
{
    (void)state;
    struct desk desk;
    struct asker asker, good;
    char text[MESSAGE_MAX + 1];
    memset(text, 'x', sizeof(text));
    open_desk(&desk, 4);
    open_asker(&asker);
    open_asker(&good);
    assert_int_equal(bus_req_ask(asker.req, text, sizeof(text), on_answer, &asker), 0);
    ask(&good, "good");
    RUN_UNTIL(desk.count == 1);
    assert_string_equal(desk.texts[0], "good");
    answer(&desk, 0);
    RUN_UNTIL(good.answers == 1);
    bus_req_close(asker.req);
    bus_req_close(good.req);
    bus_rep_close(desk.rep);
}

static int connect_raw(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Clients that speak no nng, or stop in the middle of a message. */
static void test_garbage(void **state)
{
    (void)state;
    static const char garbage[] = "GET / HTTP/1.1\r\n\r\n";
    /* the handshake of a req, then a message of 500 bytes of which one comes, one of 2^63, and one without an id */
    static const char half[] = "\0SP\0\0\x30\0\0\x01\0\0\0\0\0\0\x01\xf4x";
    static const char huge[] = "\0SP\0\0\x30\0\0\x01\x80\0\0\0\0\0\0\0x";
    static const char no_id[] = "\0SP\0\0\x30\0\0\x01\0\0\0\0\0\0\0\x02xy";
    const struct {
        const char *bytes;
        size_t size;
    } clients[] = {
        {garbage, sizeof(garbage) - 1},
        {half, sizeof(half) - 1},
        {huge, sizeof(huge) - 1},
        {no_id, sizeof(no_id) - 1},
        {garbage, 0},
    };
    struct desk desk;
    int fds[ARRAY_LENGTH(clients)];
    open_desk(&desk, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        fds[i] = connect_raw();
        assert_int_equal(send(fds[i], clients[i].bytes, clients[i].size, MSG_NOSIGNAL), clients[i].size);
    }
    struct asker asker;
    open_asker(&asker);
    ask(&asker, "q");
    RUN_UNTIL(desk.count == 1);
    assert_string_equal(desk.texts[0], "q");
    answer(&desk, 0);
    RUN_UNTIL(asker.answers == 1);
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++)
        close(fds[i]);
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

static uint64_t processor_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* As many questions are held as may be, more wait in their pipes, and all who asked hang up: nng's thread that polls must
 * not spin on sockets that it has nobody to read for. */
static void test_hanging_up_while_all_is_held(void **state)
{
    (void)state;
    static const char question[] = "\0SP\0\0\x30\0\0\x01\0\0\0\0\0\0\0\x05\x80\0\0\1q";
    struct desk desk;
    int fds[4];
    open_desk(&desk, 2);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = connect_raw();
        for (int n = 0; n < 2; n++) /* the second one without another greeting */
            assert_true(send(fds[i], question + n * 8, sizeof(question) - 1 - (size_t)n * 8, MSG_NOSIGNAL) > 0);
    }
    RUN_UNTIL(desk.count == 2);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    uint64_t before_ms = processor_ms();
    turns = 0;
    on_each_tick = count_turn;
    RUN_UNTIL(turns == 100);
    uint64_t used_ms = processor_ms() - before_ms;
    assert_true(used_ms < 100);
    bus_question_drop(desk.held[0]);
    bus_question_drop(desk.held[1]);
    struct asker asker;
    open_asker(&asker);
    ask(&asker, "x");
    for (int at = 2; asker.answers == 0;) {
        RUN_UNTIL(desk.count > at || asker.answers > 0);
        for (; at < desk.count; at++)
            answer(&desk, at);
    }
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

/* Peers that go away before they have been greeted: askers, and a desk. */
static void test_gone_at_once(void **state)
{
    (void)state;
    struct desk desk;
    struct asker asker;
    open_desk(&desk, 1);
    for (int i = 0; i < 100; i++)
        close(connect_raw());
    open_asker(&asker);
    ask(&asker, "q");
    RUN_UNTIL(desk.count == 1);
    answer(&desk, 0);
    RUN_UNTIL(asker.answers == 1);
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

static void test_desk_gone_at_once(void **state)
{
    (void)state;
    struct desk desk;
    struct asker asker;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    open_asker(&asker);
    ask(&asker, "again");
    for (int i = 0; i < 20; i++)
        close(accept(fd, NULL, NULL));
    close(fd);
    open_desk(&desk, 1);
    RUN_UNTIL(desk.count == 1);
    answer(&desk, 0);
    RUN_UNTIL(asker.answers == 1);
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

/* --- opening --- */

static void test_open(void **state)
{
    (void)state;
    struct desk desk;
    open_desk(&desk, 1);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0600);
    const struct bus_rep_options same = {.path = path, .mode = 0600, .max = 10, .held_max = 1};
    struct bus_rep *rep;
    struct bus_pub *pub;
    struct bus_sub *sub;
    assert_int_equal(bus_rep_open(&loop, &same, echo, NULL, &rep), -EADDRINUSE);
    assert_int_equal(bus_pub_open(&(struct bus_pub_options){.path = path, .mode = 0600, .queue = 10}, &pub),
                     -EADDRINUSE);
    const struct bus_sub_options options = {.path = path, .end = BUS_LISTEN, .topic = "", .max = 10, .queue = 10};
    assert_int_equal(bus_sub_open(&loop, &options, on_message, NULL, &sub), -EADDRINUSE);
    struct asker asker; /* which did the first one no harm */
    open_asker(&asker);
    ask(&asker, "q");
    RUN_UNTIL(desk.count == 1);
    answer(&desk, 0);
    RUN_UNTIL(asker.answers == 1);
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
    assert_int_equal(access(path, F_OK), -1);

    pub = open_pub(BUS_LISTEN);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0660);
    bus_pub_close(pub);

    bus_pub_close(NULL);
    bus_sub_close(NULL);
    bus_rep_close(NULL);
    bus_req_close(NULL);
}

static void test_open_refused(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'x', sizeof(text));
    text[0] = '/';
    text[108] = '\0';
    const struct bus_rep_options rep_options = {.path = text, .mode = 0600, .max = 10, .held_max = 1};
    const struct bus_sub_options sub_options = {.path = text, .end = BUS_DIAL, .topic = "", .max = 10, .queue = 10};
    struct bus_pub *pub;
    struct bus_sub *sub;
    struct bus_rep *rep;
    struct bus_req *req;
    void *bytes;
    size_t size;
    assert_int_equal(bus_pub_open(&(struct bus_pub_options){.path = text, .mode = 0600, .queue = 10}, &pub),
                     -ENAMETOOLONG);
    assert_int_equal(bus_sub_open(&loop, &sub_options, on_message, NULL, &sub), -ENAMETOOLONG);
    assert_int_equal(bus_rep_open(&loop, &rep_options, echo, NULL, &rep), -ENAMETOOLONG);
    assert_int_equal(bus_req_open(&loop, text, 10, &req), -ENAMETOOLONG);
    assert_int_equal(bus_ask(text, "q", 1, 10, 100, &bytes, &size), -ENAMETOOLONG);
    snprintf(text, sizeof(text), "%s/no such folder/socket", folder);
    assert_true(bus_rep_open(&loop, &rep_options, echo, NULL, &rep) < 0);
    /* the longest there can be */
    snprintf(text, sizeof(text), "%s/%0*d", folder, (int)(107 - strlen(folder) - 1), 0);
    assert_int_equal(strlen(text), 107);
    assert_int_equal(bus_rep_open(&loop, &rep_options, echo, NULL, &rep), 0);
    assert_int_equal(access(text, F_OK), 0);
    bus_rep_close(rep);
}

/* --- other processes --- */

struct other {
    pid_t pid;
    FILE *said;
};

static void start_other(struct other *other, const char *task)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    char program[] = "test_bus", word[16];
    snprintf(word, sizeof(word), "%s", task);
    char *const argv[] = {program, word, path, NULL};
    assert_int_equal(posix_spawn(&other->pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    other->said = fdopen(fds[0], "r");
    assert_int_equal(fgetc(other->said), 'r'); /* ready */
}

static void end_other(struct other *other)
{
    kill(other->pid, SIGKILL);
    waitpid(other->pid, NULL, 0);
    fclose(other->said);
}

static void other_on_question(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    const char *task = user;
    putchar('q');
    fflush(stdout);
    if (strcmp(task, "echo") == 0)
        bus_question_answer(question, bytes, size);
    if (strcmp(task, "die") == 0)
        _exit(0);
}

static int be_other(char *task, const char *at)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves nobody behind */
    struct bus_rep *rep;
    const struct bus_rep_options options = {.path = at, .mode = 0600, .max = MESSAGE_MAX, .held_max = 10};
    uv_loop_init(&loop);
    if (bus_rep_open(&loop, &options, other_on_question, task, &rep) != 0)
        return 1;
    putchar('r');
    fflush(stdout);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

/* Killed with a question held: the socket file stays, is taken over, and the question comes again. */
static void test_restart(void **state)
{
    (void)state;
    struct other other;
    struct asker asker;
    struct desk desk;
    start_other(&other, "hold");
    open_asker(&asker);
    ask(&asker, "again");
    RUN_UNTIL(uv_loop_alive(&loop)); /* nng sends it by itself */
    assert_int_equal(fgetc(other.said), 'q');
    end_other(&other);
    assert_int_equal(access(path, F_OK), 0);
    void *bytes;
    size_t size;
    assert_int_equal(bus_ask(path, "q", 1, 10, 1000, &bytes, &size), -ECONNREFUSED);
    open_desk(&desk, 1);
    RUN_UNTIL(desk.count == 1);
    assert_string_equal(desk.texts[0], "again");
    answer(&desk, 0);
    RUN_UNTIL(asker.answers == 1);
    assert_string_equal(asker.last, "re again");
    bus_req_close(asker.req);
    bus_rep_close(desk.rep);
}

static void test_ask(void **state)
{
    (void)state;
    struct other other;
    void *bytes = NULL;
    size_t size = 0;
    assert_int_equal(bus_ask(path, "q", 1, 10, LIMIT_MS, &bytes, &size), -ECONNREFUSED);
    start_other(&other, "echo");
    assert_int_equal(bus_ask(path, "question", 8, 8, LIMIT_MS, &bytes, &size), 0);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "question", 8);
    free(bytes);
    assert_int_equal(bus_ask(path, "", 0, 8, LIMIT_MS, &bytes, &size), 0);
    assert_int_equal(size, 0);
    free(bytes);
    assert_int_equal(bus_ask(path, "too large", 9, 8, LIMIT_MS, &bytes, &size), -ECONNRESET);
    kill(other.pid, SIGSTOP);
    uint64_t before = clock_mono_ms();
    assert_int_equal(bus_ask(path, "q", 1, 10, 100, &bytes, &size), -ETIMEDOUT);
    assert_true(clock_mono_ms() - before < LIMIT_MS / 4);
    kill(other.pid, SIGCONT);
    assert_int_equal(bus_ask(path, "q", 1, 10, LIMIT_MS, &bytes, &size), 0);
    free(bytes);
    end_other(&other);

    start_other(&other, "hold");
    assert_int_equal(bus_ask(path, "q", 1, 10, 100, &bytes, &size), -ETIMEDOUT);
    end_other(&other);
    start_other(&other, "die");
    assert_int_equal(bus_ask(path, "q", 1, 10, LIMIT_MS, &bytes, &size), -ECONNRESET);
    end_other(&other);
}

/* --- closing with things in flight --- */

static void test_close_in_flight(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct inbox inbox = {0};
        struct desk desk;
        struct asker asker, second;
        open_desk(&desk, 2);
        open_asker(&asker);
        open_asker(&second);
        ask(&asker, "q");
        ask(&second, "q");
        if (round % 2 == 0) { /* one answer on its way, one question received and not heard */
            RUN_UNTIL(desk.count == 1);
            answer(&desk, 0);
        }
        usleep((useconds_t)round * 200);
        if (round % 3 == 0)
            bus_req_close(asker.req);
        bus_rep_close(desk.rep);
        if (round % 3 != 0)
            bus_req_close(asker.req);
        bus_req_close(second.req);

        struct bus_pub *pub = open_pub(BUS_LISTEN);
        struct bus_sub *sub = open_sub(BUS_DIAL, "", MESSAGE_MAX, 100, &inbox);
        if (round % 2 == 0)
            connect_pub(pub, &inbox);
        send_numbers(pub, 500);
        usleep((useconds_t)round * 200);
        bus_sub_close(sub);
        bus_pub_close(pub);
        assert_int_equal(inbox.next, 0); /* nothing is heard after closing */
    }
}

struct closer {
    struct bus_sub *sub;
    struct bus_rep *rep;
    struct bus_req *req;
    int calls;
};

static void close_sub(void *user, const void *bytes, size_t size)
{
    (void)bytes, (void)size;
    struct closer *closer = user;
    closer->calls++;
    bus_sub_close(closer->sub);
}

static void close_rep(void *user, struct bus_question *question, const void *bytes, size_t size)
{
    struct closer *closer = user;
    closer->calls++;
    bus_question_answer(question, bytes, size);
    bus_rep_close(closer->rep);
}

static void close_req(void *user, const void *bytes, size_t size)
{
    (void)bytes, (void)size;
    struct closer *closer = user;
    closer->calls++;
    bus_req_close(closer->req);
}

static void test_close_within_handlers(void **state)
{
    (void)state;
    struct closer closer = {0};
    const struct bus_sub_options options = {.path = path, .end = BUS_DIAL, .topic = "", .max = 100, .queue = 100};
    assert_int_equal(bus_sub_open(&loop, &options, close_sub, &closer, &closer.sub), 0);
    talker = open_pub(BUS_LISTEN);
    on_each_tick = say_hello;
    RUN_UNTIL(closer.calls == 1);
    on_each_tick = NULL;
    bus_pub_close(talker);

    struct desk desk;
    struct asker asker;
    open_desk(&desk, 1);
    assert_int_equal(bus_req_open(&loop, path, 100, &closer.req), 0);
    assert_int_equal(bus_req_ask(closer.req, "q", 1, close_req, &closer), 0);
    RUN_UNTIL(desk.count == 1);
    answer(&desk, 0);
    RUN_UNTIL(closer.calls == 2);
    bus_rep_close(desk.rep);

    const struct bus_rep_options rep_options = {.path = path, .mode = 0600, .max = 100, .held_max = 4};
    assert_int_equal(bus_rep_open(&loop, &rep_options, close_rep, &closer, &closer.rep), 0);
    open_asker(&asker);
    ask(&asker, "q");
    RUN_UNTIL(closer.calls == 3);
    bus_req_close(asker.req);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* nng frees some of what it closes in a thread of its own, which may not have come to it, or never does. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libnng.so\n";
}

int main(int argc, char *argv[])
{
    if (argc == 3)
        return be_other(argv[1], argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pub_dials),
        TEST(test_sub_dials),
        TEST(test_topic),
        TEST(test_dropped),
        TEST(test_order),
        TEST(test_oversized),
        TEST(test_held_out_of_order),
        TEST(test_held_max),
        TEST(test_many_rounds),
        TEST(test_peer),
        TEST(test_replaced),
        TEST(test_oversized_question),
        TEST(test_garbage),
        TEST(test_hanging_up_while_all_is_held),
        TEST(test_gone_at_once),
        TEST(test_desk_gone_at_once),
        TEST(test_open),
        TEST(test_open_refused),
        TEST(test_restart),
        TEST(test_ask),
        TEST(test_close_in_flight),
        TEST(test_close_within_handlers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
