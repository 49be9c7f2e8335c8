/* SPDX-License-Identifier: MIT */
/* The relay against sinks that the test holds in its hand and a real table: what is owed goes out, in order, as one event
 * of the last generation; what was not answered is still owed, whatever went wrong. */
#include "broker/hub/relay.h"

#include "common/event.h"
#include "hub_fixture.h"

/* More lists than the window takes. */
enum { ROWS = RELAY_WINDOW / 2, SENT_MAX = ROWS * KIND_COUNT, TEXT_SIZE = 512 };

struct sent {
    unsigned type;
    uint32_t ticket;
    uint64_t generation;
    char text[TEXT_SIZE];
};

struct scene {
    struct fixture *fixture;
    struct roster *roster;
    struct relay *relay;
    uv_loop_t loop;
    bool down; /* Redis takes nothing */
    struct sent *sent;
    size_t sent_count;
    size_t local_count;
    json_t *local; /* the last event that local subscribers got */
    uint64_t sequence;
    bool nobody_hears;
};

static int publish(void *user, const struct relay_message *message, uint32_t ticket)
{
    struct scene *scene = user;
    if (scene->down)
        return 1;
    assert_true(scene->sent_count < SENT_MAX);
    struct sent *sent = &scene->sent[scene->sent_count++];
    json_t *event = json_loadb(message->payload, message->size, 0, NULL);
    assert_non_null(event);
    sent->type = message->type;
    sent->ticket = ticket;
    sent->generation = (uint64_t)json_integer_value(json_object_get(event, "generation"));
    snprintf(sent->text, sizeof(sent->text), "%.*s", (int)message->size, (const char *)message->payload);
    assert_string_equal(message->server_id, json_string_value(json_object_get(event, "serverId")));
    if (message->type != EVENT_STATUS)
        assert_int_equal(message->number, sent->generation);
    json_decref(event);
    return 0;
}

static bool is_heard(void *user)
{
    const struct scene *scene = user;
    return !scene->nobody_hears;
}

static void fan_out(void *user, uint64_t sequence, const void *bytes, size_t size)
{
    struct scene *scene = user;
    unsigned type;
    assert_int_equal(sequence, scene->sequence + 1);
    scene->sequence = sequence;
    assert_int_equal(bytes == NULL, scene->nobody_hears);
    if (!bytes)
        return;
    json_decref(scene->local);
    assert_int_equal(event_read_local(bytes, size, &type, &scene->local), 0);
    scene->local_count++;
}

static int open_scene_with(void **state, bool with_redis)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    void *fixture;
    if (!scene || set_up(&fixture) != 0)
        return -1;
    scene->fixture = fixture;
    scene->sent = calloc(SENT_MAX, sizeof(*scene->sent));
    create(scene->fixture, ROWS);
    if (uv_loop_init(&scene->loop) != 0 || roster_create(ROWS, &scene->roster) != 0)
        return -1;
    const struct relay_options options = {
        .table = scene->fixture->table,
        .roster = scene->roster,
        .sinks = {.publish = with_redis ? publish : NULL, .fan_out = fan_out, .is_heard = is_heard, .user = scene},
        .status_events = true,
    };
    *state = scene;
    return relay_open(&scene->loop, &options, &scene->relay);
}

static int open_scene(void **state)
{
    return open_scene_with(state, true);
}

static int open_scene_without_redis(void **state)
{
    return open_scene_with(state, false);
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    relay_close(scene->relay);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&scene->loop) != 0)
        return -1;
    roster_destroy(scene->roster);
    json_decref(scene->local);
    free(scene->sent);
    void *fixture = scene->fixture;
    free(scene);
    return tear_down(&fixture);
}

static uint32_t add(struct scene *scene, const char *id)
{
    uint32_t row;
    assert_int_equal(roster_add(scene->roster, def_called(id, NULL), &row), 0);
    assert_int_equal(table_row_reserve(scene->fixture->table, row), 0);
    table_row_set_owner(scene->fixture->table, row, 0, 1);
    return row;
}

/* As the row's worker does it. */
static uint64_t change(struct scene *scene, uint32_t row, enum kind kind)
{
    struct row value = row_called(roster_def(scene->roster, row)->id);
    value.lists[kind].changed_ms = 1000;
    value.lists[kind].reason = REASON_NOTIFICATION;
    return table_change(scene->fixture->table, row, kind, &value);
}

static void ring_change(struct scene *scene, uint32_t row)
{
    change(scene, row, KIND_TOOLS);
    relay_ring(scene->relay, row, KIND_TOOLS, NULL);
}

static uint64_t published(const struct scene *scene, uint32_t row)
{
    return table_published(scene->fixture->table, row, KIND_TOOLS);
}

static void answer_last(struct scene *scene, enum relay_answer answer)
{
    assert_true(scene->sent_count > 0);
    relay_answered(scene->relay, scene->sent[scene->sent_count - 1].ticket, answer);
}

static void turn(struct scene *scene)
{
    uv_run(&scene->loop, UV_RUN_DEFAULT); /* until no slice is left */
}

static void sweep(struct scene *scene, enum relay_sweep which)
{
    relay_sweep(scene->relay, which);
    turn(scene);
}

static void change_is_published_when_answered(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    assert_int_equal(scene->sent_count, 1);
    assert_int_equal(scene->sent[0].type, KIND_TOOLS);
    assert_string_equal(scene->sent[0].text, "{\"serverId\":\"a\",\"serverName\":\"a\",\"workspaceId\":\"\","
                                             "\"timestamp\":1000,\"reason\":\"notification\",\"generation\":1}");
    assert_int_equal(scene->local_count, 1);
    assert_int_equal(published(scene, row), 0);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, row), 1);
    assert_int_equal(scene->sent_count, 1);
    assert_true(relay_is_settled(scene->relay));
}

/* Events have their numbers all the same, and who comes later gets the next one. */
static void nothing_is_written_for_nobody(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    scene->nobody_hears = true;
    ring_change(scene, row);
    assert_int_equal(scene->sequence, 1);
    assert_int_equal(scene->local_count, 0);
    scene->nobody_hears = false;
    ring_change(scene, row);
    assert_int_equal(scene->local_count, 1);
    assert_int_equal(scene->sequence, 2);
}

static void changes_under_way_become_one_event(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    for (int i = 0; i < 5; i++)
        ring_change(scene, row);
    assert_int_equal(scene->sent_count, 1);
    assert_int_equal(scene->local_count, 5); /* local subscribers don't wait for Redis */
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, row), 1);
    assert_int_equal(scene->sent_count, 2);
    assert_int_equal(scene->sent[1].generation, 5);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, row), 5);
    assert_int_equal(scene->sent_count, 2);
}

static void kinds_are_apart(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    change(scene, row, KIND_PROMPTS);
    relay_ring(scene->relay, row, KIND_PROMPTS, NULL);
    assert_int_equal(scene->sent_count, 2);
    assert_int_equal(scene->sent[1].type, KIND_PROMPTS);
    relay_answered(scene->relay, scene->sent[1].ticket, RELAY_DONE);
    assert_int_equal(published(scene, row), 0);
    assert_int_equal(table_published(scene->fixture->table, row, KIND_PROMPTS), 1);
    relay_answered(scene->relay, scene->sent[0].ticket, RELAY_DONE);
    assert_int_equal(published(scene, row), 1);
}

static void failed_one_is_still_owed_but_not_told_twice_locally(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    answer_last(scene, RELAY_LOST);
    assert_int_equal(published(scene, row), 0);
    assert_int_equal(scene->sent_count, 1); /* not at once: that would be a hot loop */
    sweep(scene, RELAY_SWEEP_DIRTY);
    assert_int_equal(scene->sent_count, 2);
    assert_string_equal(scene->sent[0].text, scene->sent[1].text);
    assert_int_equal(scene->local_count, 1);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, row), 1);
}

/* Seconds until something more is sent. */
static int seconds_until_sent(struct scene *scene)
{
    size_t before = scene->sent_count;
    int second = 0;
    while (scene->sent_count == before && second < 60) {
        relay_tick(scene->relay);
        turn(scene);
        second++;
    }
    return second;
}

static void refused_one_is_tried_again_after_growing_pauses(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    for (int pause = 1; pause <= 4; pause *= 2) {
        answer_last(scene, RELAY_REFUSED);
        assert_int_equal(seconds_until_sent(scene), pause);
    }
    answer_last(scene, RELAY_REFUSED);
    assert_int_equal(seconds_until_sent(scene), 3); /* by the sweep of every ten seconds */
    assert_int_equal(published(scene, row), 0);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, row), 1);
    ring_change(scene, row); /* a later change that is refused is tried again as well */
    answer_last(scene, RELAY_REFUSED);
    assert_in_range(seconds_until_sent(scene), 1, 10);
}

static void what_another_server_took_lately_is_told_again(void **state)
{
    struct scene *scene = *state;
    uint32_t early = add(scene, "early"), late = add(scene, "late"), quiet = add(scene, "quiet");
    table_set_generation(scene->fixture->table, quiet, KIND_TOOLS, 7);
    table_set_published(scene->fixture->table, quiet, KIND_TOOLS, 7);
    ring_change(scene, early);
    answer_last(scene, RELAY_DONE);
    for (unsigned second = 0; second <= RELAY_REDO_S; second++)
        relay_tick(scene->relay);
    ring_change(scene, late);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(scene->sent_count, 2);
    size_t local_count = scene->local_count;
    relay_redo(scene->relay);
    sweep(scene, RELAY_SWEEP_ALL);
    assert_int_equal(scene->sent_count, 3);
    assert_string_equal(scene->sent[2].text, scene->sent[1].text);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, late), 1);
    assert_int_equal(scene->local_count, local_count);
}

static void outage_ends_with_one_event_a_server(void **state)
{
    struct scene *scene = *state;
    uint32_t rows[100];
    char id[16];
    scene->down = true;
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        rows[i] = add(scene, id);
        for (int n = 0; n < 10 && i % 2 == 0; n++)
            ring_change(scene, rows[i]);
    }
    assert_int_equal(scene->local_count, 500);
    assert_int_equal(scene->sent_count, 0);
    scene->down = false;
    sweep(scene, RELAY_SWEEP_ALL);
    assert_int_equal(scene->sent_count, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(scene->sent[i].generation, 10);
        relay_answered(scene->relay, scene->sent[i].ticket, RELAY_DONE);
    }
    assert_int_equal(scene->sent_count, 50);
    for (int i = 0; i < 100; i++)
        assert_int_equal(published(scene, rows[i]), i % 2 == 0 ? 10 : 0);
}

static void lost_bell_is_found_by_a_sweep_of_the_dirty(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    change(scene, row, KIND_RESOURCES); /* and no bell */
    sweep(scene, RELAY_SWEEP_DIRTY);
    assert_int_equal(scene->sent_count, 1);
    assert_int_equal(scene->sent[0].type, KIND_RESOURCES);
    assert_int_equal(scene->local_count, 1);
    sweep(scene, RELAY_SWEEP_DIRTY);
    assert_int_equal(scene->sent_count, 1);
}

static void slow_sweeps_come_by_themselves(void **state)
{
    struct scene *scene = *state;
    change(scene, add(scene, "a"), KIND_TOOLS);
    for (int second = 0; second < 9; second++) {
        relay_tick(scene->relay);
        turn(scene);
    }
    assert_int_equal(scene->sent_count, 0);
    relay_tick(scene->relay);
    turn(scene);
    assert_int_equal(scene->sent_count, 1);
}

static void diff_goes_only_to_who_knows_the_list_before(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    json_t *diff = json_pack("{s:[s], s:[], s:[]}", "added", "x", "removed", "changed");
    change(scene, row, KIND_TOOLS);
    relay_ring(scene->relay, row, KIND_TOOLS, diff);
    assert_non_null(strstr(scene->sent[0].text, "\"added\":[\"x\"]"));
    assert_non_null(json_object_get(scene->local, "added"));
    change(scene, row, KIND_TOOLS);
    relay_ring(scene->relay, row, KIND_TOOLS, diff); /* the first one is still under way */
    assert_non_null(json_object_get(scene->local, "added"));
    change(scene, row, KIND_TOOLS);
    change(scene, row, KIND_TOOLS);
    relay_ring(scene->relay, row, KIND_TOOLS, diff); /* one generation in between was told to nobody */
    assert_null(json_object_get(scene->local, "added"));
    answer_last(scene, RELAY_DONE);
    assert_int_equal(scene->sent[1].generation, 4);
    assert_null(strstr(scene->sent[1].text, "added"));
    json_decref(diff);
}

static void states_take_half_of_the_window_at_most(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    for (int i = 0; i < RELAY_WINDOW; i++)
        relay_ring_status(scene->relay, row);
    assert_int_equal(scene->local_count, RELAY_WINDOW);
    assert_int_equal(scene->sent_count, RELAY_WINDOW / 2 + 1);
    ring_change(scene, row);
    assert_int_equal(scene->sent_count, RELAY_WINDOW / 2 + 2);
}

static void full_window_leaves_the_rest_for_later(void **state)
{
    struct scene *scene = *state;
    char id[16];
    for (int i = 0; i < ROWS; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        uint32_t row = add(scene, id);
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            change(scene, row, kind);
    }
    sweep(scene, RELAY_SWEEP_DIRTY);
    assert_true(scene->sent_count > RELAY_WINDOW / 2 && scene->sent_count <= RELAY_WINDOW);
    assert_false(relay_is_settled(scene->relay));
    size_t answered = 0;
    while (answered < scene->sent_count) {
        for (size_t upto = scene->sent_count; answered < upto; answered++)
            relay_answered(scene->relay, scene->sent[answered].ticket, RELAY_DONE);
        turn(scene);
        assert_true(scene->sent_count - answered <= RELAY_WINDOW);
    }
    assert_int_equal(scene->sent_count, ROWS * KIND_COUNT);
    assert_true(relay_is_settled(scene->relay));
}

static void answer_for_a_row_that_is_anothers_by_now_says_nothing(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    roster_remove(scene->roster, row);
    roster_release(scene->roster, row);
    assert_int_equal(add(scene, "b"), row);
    table_row_set_owner(scene->fixture->table, row, TABLE_NO_OWNER, 2);
    table_set_generation(scene->fixture->table, row, KIND_TOOLS, 0);
    table_row_set_owner(scene->fixture->table, row, 0, 2);
    answer_last(scene, RELAY_DONE);
    assert_int_equal(published(scene, row), 0);
    ring_change(scene, row);
    assert_int_equal(scene->sent_count, 2);
    assert_int_equal(scene->sent[1].generation, 1);
    assert_string_equal(json_string_value(json_object_get(scene->local, "serverId")), "b");
}

static void row_without_server_tells_nothing(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    change(scene, row, KIND_TOOLS);
    roster_remove(scene->roster, row);
    relay_ring(scene->relay, row, KIND_TOOLS, NULL);
    relay_ring_status(scene->relay, row);
    sweep(scene, RELAY_SWEEP_ALL);
    assert_int_equal(scene->sent_count, 0);
    assert_int_equal(scene->local_count, 0);
}

static void without_redis_local_is_published(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    assert_int_equal(scene->local_count, 1);
    assert_int_equal(published(scene, row), 1);
    relay_ring(scene->relay, row, KIND_TOOLS, NULL);
    relay_ring_status(scene->relay, row);
    assert_int_equal(scene->local_count, 2);
    assert_string_equal(json_string_value(json_object_get(scene->local, "state")), "listening");
}

static void state_is_told_once_and_best_effort(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    const struct row value = row_called("a");
    table_row_write(scene->fixture->table, row, &value);
    relay_ring_status(scene->relay, row);
    assert_int_equal(scene->sent_count, 1);
    assert_int_equal(scene->sent[0].type, EVENT_STATUS);
    assert_int_equal(scene->local_count, 1);
    answer_last(scene, RELAY_LOST);
    sweep(scene, RELAY_SWEEP_ALL);
    assert_int_equal(scene->sent_count, 1);
    relay_set_status_events(scene->relay, false);
    relay_ring_status(scene->relay, row);
    assert_int_equal(scene->sent_count, 1);
    assert_int_equal(scene->local_count, 2);
}

static void own_events_are_not_passed_on_and_foreign_ones_are(void **state)
{
    struct scene *scene = *state;
    uint32_t row = add(scene, "a");
    ring_change(scene, row);
    const char *own = scene->sent[0].text;
    relay_foreign(scene->relay, KIND_TOOLS, own, strlen(own));
    assert_int_equal(scene->local_count, 1);
    relay_foreign(scene->relay, KIND_TOOLS, own, strlen(own)); /* the very same from somebody else */
    assert_int_equal(scene->local_count, 2);
    relay_foreign(scene->relay, KIND_TOOLS, "no event", 8);
    assert_int_equal(scene->local_count, 2);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(change_is_published_when_answered),
        SCENE_TEST(nothing_is_written_for_nobody),
        SCENE_TEST(changes_under_way_become_one_event),
        SCENE_TEST(kinds_are_apart),
        SCENE_TEST(failed_one_is_still_owed_but_not_told_twice_locally),
        SCENE_TEST(refused_one_is_tried_again_after_growing_pauses),
        SCENE_TEST(what_another_server_took_lately_is_told_again),
        SCENE_TEST(outage_ends_with_one_event_a_server),
        SCENE_TEST(lost_bell_is_found_by_a_sweep_of_the_dirty),
        SCENE_TEST(slow_sweeps_come_by_themselves),
        SCENE_TEST(diff_goes_only_to_who_knows_the_list_before),
        SCENE_TEST(states_take_half_of_the_window_at_most),
        SCENE_TEST(full_window_leaves_the_rest_for_later),
        SCENE_TEST(answer_for_a_row_that_is_anothers_by_now_says_nothing),
        SCENE_TEST(row_without_server_tells_nothing),
        cmocka_unit_test_setup_teardown(without_redis_local_is_published, open_scene_without_redis, close_scene),
        SCENE_TEST(state_is_told_once_and_best_effort),
        SCENE_TEST(own_events_are_not_passed_on_and_foreign_ones_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
