/* SPDX-License-Identifier: MIT */
/* The link, both ends on one loop: words and arguments, hostile messages, a reader that does not read, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct link *link;
    unsigned messages, gone;
    char word[64];
    char argument[LINK_MESSAGE_MAX];
    bool close_on_message;
};

static uv_loop_t loop;
static struct end end;
static int raw; /* the other side, as a descriptor */

static void on_message(void *user, const char *word, const char *argument)
{
    struct end *to = user;
    assert_int_equal(to->gone, 0);
    to->messages++;
    snprintf(to->word, sizeof(to->word), "%s", word);
    snprintf(to->argument, sizeof(to->argument), "%s", argument);
    if (to->close_on_message) {
        link_close(to->link);
        to->link = NULL;
    }
}

static void on_gone(void *user)
{
    struct end *to = user;
    to->gone++;
    link_close(to->link);
    to->link = NULL;
}

static const struct link_handlers handlers = {.on_message = on_message, .on_gone = on_gone};

static int set_up(void **state)
{
    (void)state;
    int ours;
    end = (struct end){0};
    uv_loop_init(&loop);
    return link_pair(&ours, &raw) == 0 && link_open(&loop, ours, &handlers, &end, &end.link) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    link_close(end.link);
    if (raw >= 0)
        close(raw);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void expect(const char *sent, size_t size, const char *word, const char *argument)
{
    unsigned before = end.messages;
    assert_int_equal(send(raw, sent, size, 0), size);
    while (end.messages == before && end.gone == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(end.messages, before + 1);
    assert_string_equal(end.word, word);
    assert_string_equal(end.argument, argument);
}

static void test_words_and_arguments(void **state)
{
    (void)state;
    expect("ready", 5, "ready", "");
    expect("scale 3", 7, "scale", "3");
    expect("slots 0 1 2", 11, "slots", "0 1 2");
    expect("config\nworkers=1\nx=y z\n", 23, "config", "workers=1\nx=y z\n");
    expect("start 0 3\nworkers=1", 19, "start", "0 3\nworkers=1");
    expect("stop ", 5, "stop", "");
}

static void test_sends(void **state)
{
    (void)state;
    static const struct {
        const char *word, *argument, *message;
    } samples[] = {
        {"stop", NULL, "stop"}, {"slots", "", "slots"}, {"scale", "4", "scale 4"}, {"config", "\na=b", "config\na=b"}};
    char message[64];
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        assert_int_equal(link_send(end.link, samples[i].word, samples[i].argument), 0);
        ssize_t size = recv(raw, message, sizeof(message), 0);
        assert_int_equal(size, strlen(samples[i].message));
        assert_memory_equal(message, samples[i].message, (size_t)size);
    }
}

static void test_longest_message(void **state)
{
    (void)state;
    char *argument = malloc(LINK_MESSAGE_MAX + 1);
    assert_non_null(argument);
    memset(argument, 'x', LINK_MESSAGE_MAX);
    argument[LINK_MESSAGE_MAX] = '\0';
    assert_int_equal(link_send(end.link, "w", argument), -EMSGSIZE);
    argument[LINK_MESSAGE_MAX - 2] = '\0';
    assert_int_equal(link_send(end.link, "w", argument), 0);
    memcpy(argument, "w ", 2);
    expect(argument, LINK_MESSAGE_MAX - 2, "w", argument + 2);
    free(argument);
}

static void run_until_gone(void)
{
    while (end.gone == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(end.messages, 0);
}

static void test_no_message_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } samples[] = {{"", 0}, {" stop", 5}, {"\nstop", 5}, {"st\0op", 5}};
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        assert_int_equal(send(raw, samples[i].bytes, samples[i].size, 0), samples[i].size);
        run_until_gone();
        tear_down(NULL);
        assert_int_equal(set_up(NULL), 0);
    }
    char *too_long = calloc(1, LINK_MESSAGE_MAX + 1);
    assert_non_null(too_long);
    memset(too_long, 'x', LINK_MESSAGE_MAX + 1);
    assert_int_equal(send(raw, too_long, LINK_MESSAGE_MAX + 1, 0), LINK_MESSAGE_MAX + 1);
    free(too_long);
    run_until_gone();
}

static void test_end_of_file(void **state)
{
    (void)state;
    close(raw);
    raw = -1;
    run_until_gone();
    assert_int_equal(end.gone, 1);
}

/* What was said before the end is still heard. */
static void test_last_words(void **state)
{
    (void)state;
    assert_int_equal(send(raw, "ready", 5, 0), 5);
    close(raw);
    raw = -1;
    while (end.gone == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(end.messages, 1);
}

static void test_closed_within_a_message(void **state)
{
    (void)state;
    end.close_on_message = true;
    assert_int_equal(send(raw, "one", 3, 0), 3);
    assert_int_equal(send(raw, "two", 3, 0), 3);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(end.messages, 1);
    assert_int_equal(end.gone, 0);
}

static void test_other_side_does_not_read(void **state)
{
    (void)state;
    int result = 0;
    for (unsigned i = 0; i < 100000 && result == 0; i++)
        result = link_send(end.link, "alive", NULL);
    assert_int_equal(result, -EAGAIN);
}

static void test_keeps_alive(void **state)
{
    (void)state;
    char message[16];
    link_keep_alive(end.link);
    for (unsigned beats = 0; beats < 2;) {
        uv_run(&loop, UV_RUN_ONCE);
        if (recv(raw, message, sizeof(message), MSG_DONTWAIT) != 5)
            continue;
        assert_memory_equal(message, "alive", 5);
        beats++;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words_and_arguments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_longest_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_message_ends_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_of_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_last_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_within_a_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_side_does_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keeps_alive, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
