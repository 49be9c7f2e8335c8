/* SPDX-License-Identifier: MIT */
/* `top` without a terminal and without a broker: what keys do, which rates follow from counters, what stands on the
 * screen. */
#include "broker/ctl/top_keys.h"
#include "broker/ctl/top_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct top_model model;
static char screen[64][512];
static enum top_look looks[64];
static unsigned lines;

static int set_up(void **state)
{
    (void)state;
    top_model_begin(&model);
    top_model_resize(&model, 80, 24);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    top_model_end(&model);
    return 0;
}

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void put(void *user, unsigned line, enum top_look look, const char *text)
{
    (void)user;
    assert_true(line == lines && line < 64);
    snprintf(screen[line], sizeof screen[line], "%s", text);
    looks[line] = look;
    lines++;
}

static void draw(void)
{
    lines = 0;
    assert_int_equal(top_page_draw(&model, 100000, put, NULL), 0);
    assert_int_equal(lines, model.height);
}

/* The first line with this text, or one past the last. */
static unsigned line_with(const char *text)
{
    unsigned line = 0;
    while (line < lines && strstr(screen[line], text) == NULL)
        line++;
    return line;
}

static void expect_line(const char *text)
{
    if (line_with(text) == lines)
        fail_msg("not on the screen: %s", text);
}

static enum top_action press(enum top_key key)
{
    return top_keys_press(&model, (struct top_press){.key = key});
}

static enum top_action type(const char *text)
{
    enum top_action action = TOP_DRAW;
    for (; *text != '\0'; text++)
        action = top_keys_press(&model, (struct top_press){.key = TOP_KEY_BYTE, .byte = (unsigned char)*text});
    return action;
}

static void tell_servers(const char *text)
{
    json_t *data = parse(text);
    top_model_servers(&model, data);
    json_decref(data);
}

static void tell_workers(unsigned heard, unsigned connects, unsigned published, uint64_t mono_ms)
{
    json_t *data = json_pack("{s:{s:s, s:{s:i}}, s:[{s:i, s:i, s:i, s:i, s:{s:i, s:i}}]}", "hub", "worker", "hub",
                             "counters", "published", (int)published, "workers", "worker", 3, "pid", 77, "starts", 2,
                             "connections", 12, "counters", "notifications", (int)heard, "connects", (int)connects);
    assert_non_null(data);
    top_model_workers(&model, data, mono_ms);
    json_decref(data);
}

static const char three[] = "{\"servers\":[{\"serverId\":\"a\",\"state\":\"failed\",\"lastError\":\"refused\"},"
                            "{\"serverId\":\"b\",\"state\":\"listening\"},{\"serverId\":\"c\",\"state\":\"disabled\"}],"
                            "\"matching\":70}";
static const char other_order[] = "{\"servers\":[{\"serverId\":\"c\"},{\"serverId\":\"b\"},{\"serverId\":\"a\"}]}";

static void rates_are_differences_of_counters(void **state)
{
    (void)state;
    tell_workers(100, 10, 5, 1000);
    assert_true(model.all.notifications == 0);
    tell_workers(150, 10, 25, 3000);
    assert_true(model.all.notifications == 25 && model.all.connects == 0 && model.all.published == 10);
    assert_true(model.rates[3].notifications == 25);
    tell_workers(160, 11, 26, 3000); /* no time has passed */
    assert_true(model.all.notifications == 25);
    tell_workers(0, 0, 0, 4000); /* another table */
    assert_true(model.all.notifications == 0 && model.all.published == 0);
    draw();
    expect_line("rates    0.0 notifications/s, 0.0 events/s, 0.0 connects/s");
    expect_line("3            77          12       0.0        0.0     0.0ms        1");
}

static void keys_choose_what_is_asked_for(void **state)
{
    (void)state;
    json_t *args = top_model_question(&model);
    assert_string_equal(json_string_value(json_object_get(args, "sort")), "state");
    assert_int_equal(json_object_size(args), 2);
    json_decref(args);
    assert_int_equal(type("s"), TOP_ASK);
    assert_int_equal(type("tt"), TOP_ASK);
    assert_int_equal(type("/git"), TOP_DRAW);
    assert_int_equal(press(TOP_KEY_BACKSPACE), TOP_DRAW);
    draw();
    expect_line("only servers with: gi_");
    assert_int_equal(press(TOP_KEY_ENTER), TOP_ASK);
    args = top_model_question(&model);
    assert_string_equal(json_string_value(json_object_get(args, "sort")), "worker");
    assert_string_equal(json_string_value(json_object_get(args, "state")), "connecting");
    assert_string_equal(json_string_value(json_object_get(args, "text")), "gi");
    json_decref(args);
    draw();
    expect_line("by worker, connecting, /gi");
    assert_int_equal(press(TOP_KEY_ESCAPE), TOP_ASK);
    assert_true(model.state == -1 && model.text[0] == '\0');
    assert_int_equal(type("S"), TOP_ASK);
    assert_int_equal(model.order, ROW_ORDER_STATE);
    for (unsigned i = 1; i < ROW_ORDER_COUNT; i++)
        (void)type("s");
    assert_int_equal(model.order, ROW_ORDER_STATE);
}

static void the_selection_stays_with_its_server(void **state)
{
    (void)state;
    tell_servers(three);
    assert_string_equal(model.id, "a");
    (void)press(TOP_KEY_DOWN);
    (void)type("j");
    assert_string_equal(model.id, "c");
    (void)press(TOP_KEY_DOWN);
    assert_string_equal(model.id, "c");
    (void)type("k");
    assert_string_equal(model.id, "b");
    (void)press(TOP_KEY_END);
    tell_servers(other_order); /* c is the first one now */
    assert_string_equal(model.id, "c");
    assert_int_equal(model.selected, 0);
    tell_servers("{\"servers\":[]}");
    assert_string_equal(model.id, "");
    assert_int_equal(press(TOP_KEY_ENTER), TOP_DRAW);
    assert_int_equal(model.mode, TOP_LIST);
}

static void a_long_list_is_scrolled(void **state)
{
    (void)state;
    json_t *data = json_pack("{s:[], s:i}", "servers", "matching", 100);
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof id, "n%02d", i);
        assert_int_equal(json_array_append_new(json_object_get(data, "servers"),
                                               json_pack("{s:s, s:s}", "serverId", id, "state", "queued")),
                         0);
    }
    top_model_servers(&model, data);
    (void)press(TOP_KEY_END);
    draw();
    expect_line("n99");
    assert_int_equal(looks[line_with("n99")], TOP_SELECTED);
    assert_int_equal(line_with("n80"), lines);
    top_model_resize(&model, 80, 8); /* the selected one stays in sight */
    draw();
    expect_line("n99");
    (void)press(TOP_KEY_PAGE_UP);
    (void)press(TOP_KEY_HOME);
    draw();
    expect_line("n00");
    assert_true(top_model_wanted(&model).limit >= 100);
    json_decref(data);
}

static void only_yes_reconnects(void **state)
{
    (void)state;
    assert_int_equal(type("r"), TOP_DRAW); /* nothing is there */
    assert_int_equal(model.mode, TOP_LIST);
    tell_servers(three);
    (void)press(TOP_KEY_DOWN);
    (void)type("r");
    draw();
    expect_line("reconnect b? y/n");
    tell_servers(other_order); /* it may move meanwhile: b is meant */
    assert_string_equal(model.id, "b");
    assert_int_equal(type("y"), TOP_RECONNECT);
    (void)type("r");
    assert_int_equal(press(TOP_KEY_ENTER), TOP_DRAW);
    assert_int_equal(type("y"), TOP_DRAW);
}

static void one_server_is_opened_and_closed(void **state)
{
    (void)state;
    tell_servers(three);
    assert_int_equal(press(TOP_KEY_ENTER), TOP_ASK);
    json_t *server = parse("{\"serverId\":\"a\",\"lastError\":\"refused\\u001b[2J\\nby 127.0.0.1\","
                           "\"history\":[{\"at\":50000,\"from\":\"connecting\",\"to\":\"failed\"}]}");
    top_model_server(&model, server);
    draw();
    expect_line("refused?[2J?by 127.0.0.1");
    expect_line("connecting -> failed");
    (void)type("jjjjjjjj"); /* all of it is on the screen: nothing to scroll */
    draw();
    expect_line("connecting -> failed");
    assert_int_equal(model.scroll, 0);
    (void)type("r");
    draw();
    expect_line("connecting -> failed");
    expect_line("reconnect a? y/n");
    assert_int_equal(type("n"), TOP_DRAW);
    assert_true(top_model_is_open(&model));
    top_model_server(&model, NULL);
    draw();
    expect_line("a: no such server any more");
    assert_int_equal(type("q"), TOP_QUIT);
    json_decref(server);
}

static void trouble_is_seen(void **state)
{
    (void)state;
    json_t *status =
        parse("{\"version\":\"1.2.3\",\"startedAt\":40000,\"total\":3,\"servers\":{\"failed\":1,\"listening\":2},"
              "\"unpublished\":4,\"redis\":{\"state\":\"down\",\"error\":\"no route\\u0007\"}}");
    top_model_status(&model, status);
    tell_servers(three);
    draw();
    expect_line("mcp-broker 1.2.3, up 1m, redis down: no route?");
    assert_int_equal(looks[0], TOP_BAD);
    expect_line("servers  3: 1 failed, 2 listening");
    expect_line("4 events owed");
    expect_line("1/70 by state");
    (void)press(TOP_KEY_DOWN);
    draw();
    assert_int_equal(looks[line_with("refused")], TOP_BAD);
    model.gone_ms = 88000;
    draw();
    expect_line("the hub does not answer, for 12s now: this is what the table says");
    json_decref(status);
}

/* Whatever the size, and whatever is on it: no line is longer than the screen, and none is missing. */
static void every_size_is_filled(void **state)
{
    (void)state;
    tell_servers(three);
    tell_workers(1, 1, 1, 1000);
    for (unsigned width = 1; width <= 200; width += 13) {
        for (unsigned height = 8; height <= 60; height += 4) {
            top_model_resize(&model, width, height);
            for (int mode = TOP_LIST; mode <= TOP_HELP; mode++) {
                model.mode = (enum top_mode)mode;
                draw();
                for (unsigned i = 0; i < lines; i++) {
                    unsigned characters = 0;
                    for (const char *at = screen[i]; *at != '\0'; at++)
                        characters += (*at & 0xc0) != 0x80 ? 1 : 0;
                    assert_true(characters <= width);
                    assert_null(strpbrk(screen[i], "\n\t\033"));
                }
            }
        }
    }
}

static void messages_go_by(void **state)
{
    (void)state;
    top_model_message(&model, "%s: %s", "a", "connecting");
    draw();
    expect_line("a: connecting");
    for (int i = 0; i < 10; i++)
        top_model_tick(&model);
    draw();
    assert_int_equal(line_with("a: connecting"), lines);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rates_are_differences_of_counters),
        TEST(keys_choose_what_is_asked_for),
        TEST(the_selection_stays_with_its_server),
        TEST(a_long_list_is_scrolled),
        TEST(only_yes_reconnects),
        TEST(one_server_is_opened_and_closed),
        TEST(trouble_is_seen),
        TEST(every_size_is_filled),
        TEST(messages_go_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
