/* SPDX-License-Identifier: MIT */
/* Each sample is fed whole, cut in two at every place, and byte by byte: what comes out must be the same each time. */
#include "worker/http/sse.h"

#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EVENT_MAX = 64 };

struct sample {
    const char *name;
    const char *bytes;
    size_t size;        /* 0: bytes is text */
    const char *events; /* "type|id|data;" for each */
    const char *last_id;
    uint32_t retry_ms;
    int outcome;
};

static const struct sample SAMPLES[] = {
    {"one event", "data: hello\n\n", .events = "message||hello;"},
    {"carriage returns", "data: a\r\rdata: b\r\r", .events = "message||a;message||b;"},
    {"both line ends", "data: a\r\n\r\ndata: b\r\n\r\n", .events = "message||a;message||b;"},
    {"mixed line ends", "data: a\rdata: b\ndata: c\r\n\ndata: d\r\n\r", .events = "message||a\nb\nc;message||d;"},
    {"carriage return, then a line feed of its own", "data: a\r\n\n", .events = "message||a;"},
    {"byte order mark",
     "\xef\xbb\xbf"
     "data: a\n\n",
     .events = "message||a;"},
    {"byte order mark and a comment", "\xef\xbb\xbf: hi\ndata: a\n\n", .events = "message||a;"},
    {"byte order mark alone", "\xef\xbb\xbf\n\ndata: a\n\n", .events = "message||a;"},
    {"second byte order mark is part of a name",
     "\n\xef\xbb\xbf"
     "data: a\n\n",
     .events = ""},
    {"half a byte order mark is part of a name",
     "\xef\xbb"
     "data: a\n\ndata: b\n\n",
     .events = "message||b;"},
    {"comments", ": keepalive\n\n:\n\ndata: a\n: in between\ndata: b\n\n", .events = "message||a\nb;"},
    {"a comment may have any length",
     ":0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n"
     "data: a\n\n",
     .events = "message||a;"},
    {"named event", "event: endpoint\ndata: /message?a=b:c\n\n", .events = "endpoint||/message?a=b:c;"},
    {"the name does not outlive its event", "event: x\ndata: a\n\ndata: b\n\n", .events = "x||a;message||b;"},
    {"the name does not outlive an event without data", "event: x\n\ndata: b\n\n", .events = "message||b;"},
    {"empty name", "event: x\nevent:\ndata: b\n\n", .events = "message||b;"},
    {"no space, one space, two", "data:a\ndata: b\ndata:  c\n\n", .events = "message||a\nb\n c;"},
    {"field without a colon", "data\ndata: a\ndata\n\n", .events = "message||\na\n;"},
    {"unknown fields", "foo: bar\ndata: a\nDATA: b\n data: c\n\n", .events = "message||a;"},
    {"empty data", "data:\n\ndata\n\nevent: x\ndata: \n\n", .events = ""},
    {"blank lines only", "\n\n\r\n\r\r", .events = ""},
    {"id", "id: 1\ndata: a\n\ndata: b\n\n", .events = "message|1|a;message|1|b;", .last_id = "1"},
    {"priming: the id counts without data", "id: s~1\nretry: 700\ndata: \n\n", .events = "", .last_id = "s~1",
     .retry_ms = 700},
    {"last of several ids", "id: 1\nid: 2\ndata: a\n\n", .events = "message|2|a;", .last_id = "2"},
    {"empty id takes it back", "id: 1\ndata: a\n\nid\ndata: b\n\n", .events = "message|1|a;message||b;"},
    {"id with NUL",
     "id: 1\n\nid: 2\0"
     "3\ndata: a\n\n",
     24, .events = "message|1|a;", .last_id = "1"},
    {"NUL in data",
     "data: a\0"
     "b\n\n",
     11, .events = "message||a\0b;"},
    {"end in the middle of an event", "id: 1\ndata: a\n\nid: 2\ndata: b\n", .events = "message|1|a;", .last_id = "1"},
    {"end in the middle of a line", "data: a\n\ndata: b", .events = "message||a;"},
    {"retry", "retry: 1500\n\n", .events = "", .retry_ms = 1500},
    {"retry is digits only", "retry: 1500\nretry: 1.5\nretry: -1\nretry: 2s\nretry:  3\nretry:\nretry\n\n",
     .events = "", .retry_ms = 1500},
    {"retry is bounded", "retry: 99999999999999999999999999\n\n", .events = "", .retry_ms = UINT32_MAX},
    {"largest event", "data: 0123456789012345678901234567890123456789012345678901234567890123\n\n",
     .events = "message||0123456789012345678901234567890123456789012345678901234567890123;"},
    {"event too large by one", "data: a\n\ndata: 01234567890123456789012345678901234567890123456789012345678901234\n\n",
     .events = "message||a;", .outcome = SSE_TOO_LARGE},
    {"event too large by its lines",
     "data: 0123456789012345678901234567890123456789\ndata: 0123456789012345678901234567890123456789\n\n", .events = "",
     .outcome = SSE_TOO_LARGE},
    {"line too large",
     "foo: 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n",
     .events = "", .outcome = SSE_TOO_LARGE},
    {"a byte order mark counts for the line's maximum",
     "\xef\xbb\xbf"
     "foo: 01234567890123456789012345678901234567890123456789012345678901234\n",
     .events = "", .outcome = SSE_TOO_LARGE},
    {"long type is cut", "event: 01234567890123456789012345678901234567890123456789012345678901234\ndata: a\n\n",
     .events = "012345678901234567890123456789012345678901234567890123456789012||a;"},
};

struct heard {
    struct sse sse;
    struct buf events;
    unsigned stop_after; /* events; 0: never */
    uint32_t event_max;
};

static void append(struct buf *buf, const void *bytes, size_t size)
{
    assert_int_equal(buf_append(buf, bytes, size), 0);
}

static bool on_event(void *user, const char *type, const char *data, size_t size)
{
    struct heard *heard = user;
    assert_int_equal(data[size], '\0');
    append(&heard->events, type, strlen(type));
    append(&heard->events, "|", 1);
    append(&heard->events, sse_last_id(&heard->sse), strlen(sse_last_id(&heard->sse)));
    append(&heard->events, "|", 1);
    append(&heard->events, data, size);
    append(&heard->events, ";", 1);
    if (heard->stop_after == 0 || --heard->stop_after > 0)
        return true;
    sse_fini(&heard->sse);
    memset(&heard->sse, 0xa5, sizeof heard->sse); /* whoever looks at it now is found out */
    return false;
}

static const struct sse_handlers HANDLERS = {.on_event = on_event};

static void heard_init(struct heard *heard)
{
    sse_init(&heard->sse);
    buf_init(&heard->events, 4096);
    heard->stop_after = 0;
    heard->event_max = EVENT_MAX;
}

/* Feeds a copy of just the size, so that reading past it is an error that the sanitizer sees. */
static int feed(struct heard *heard, const char *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const uint8_t *at = copy;
    int result = sse_feed(&heard->sse, heard->event_max, &at, copy + size, &HANDLERS, heard);
    assert_true(result != 0 || at == copy + size);
    free(copy);
    return result;
}

static size_t sample_size(const struct sample *sample)
{
    return sample->size ? sample->size : strlen(sample->bytes);
}

/* Feeds pieces of `piece` bytes, the first one of `first`. */
static void check(const struct sample *sample, size_t first, size_t piece)
{
    struct heard heard;
    heard_init(&heard);
    size_t size = sample_size(sample);
    int outcome = 0;
    for (size_t at = 0; at < size && outcome == 0;) {
        size_t wanted = at == 0 && first > 0 ? first : piece;
        size_t part = wanted < size - at ? wanted : size - at;
        outcome = feed(&heard, sample->bytes + at, part);
        at += part;
    }
    const char *wanted_id = sample->last_id ? sample->last_id : "";
    if (outcome != sample->outcome || strcmp(buf_text(&heard.events), sample->events) != 0 ||
        strcmp(sse_last_id(&heard.sse), wanted_id) != 0 || sse_retry_ms(&heard.sse) != sample->retry_ms)
        fail_msg("%s, first %zu, then by %zu: outcome %d, events \"%s\", id \"%s\", retry %u", sample->name, first,
                 piece, outcome, buf_text(&heard.events), sse_last_id(&heard.sse), (unsigned)sse_retry_ms(&heard.sse));
    sse_fini(&heard.sse);
    buf_fini(&heard.events);
}

static void test_samples_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(SAMPLES); i++) {
        size_t size = sample_size(&SAMPLES[i]);
        for (size_t first = 1; first <= size; first++)
            check(&SAMPLES[i], first, size);
        check(&SAMPLES[i], 1, 1);
        check(&SAMPLES[i], 2, 3);
    }
}

static void test_no_memory_is_held_between_events(void **state)
{
    (void)state;
    struct heard heard;
    heard_init(&heard);
    static const char *const PARTS[] = {"data: a\n\n", ": keepalive\n\n", ": half a comm",
                                        "ent\n\n",     "data: b\r\r",     "\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(PARTS); i++) {
        assert_int_equal(feed(&heard, PARTS[i], strlen(PARTS[i])), 0);
        assert_null(heard.sse.event);
    }
    assert_string_equal(buf_text(&heard.events), "message||a;message||b;");
    sse_fini(&heard.sse);
    buf_fini(&heard.events);
}

static void test_handler_may_destroy_the_parser(void **state)
{
    (void)state;
    static const char STREAM[] = "id: 7\ndata: a\n\ndata: b\n\ndata: c\n\n";
    struct heard heard;
    heard_init(&heard);
    heard.stop_after = 2;
    assert_int_equal(feed(&heard, STREAM, strlen(STREAM)), SSE_STOPPED);
    assert_string_equal(buf_text(&heard.events), "message|7|a;message|7|b;");
    buf_fini(&heard.events);
}

struct stepper {
    struct sse sse;
    unsigned events;
};

static bool on_step(void *user, const char *type, const char *data, size_t size)
{
    struct stepper *stepper = user;
    (void)type;
    assert_int_equal(size, 1);
    assert_int_equal(data[0], (int)('a' + stepper->events++));
    return false;
}

static void test_who_stops_can_go_on_with_the_rest(void **state)
{
    (void)state;
    static const struct sse_handlers handlers = {.on_event = on_step};
    static const char STREAM[] = "data: a\n\n: x\ndata: b\r\n\r\ndata: c\r\rdata: d\n\nda";
    struct stepper stepper = {.events = 0};
    sse_init(&stepper.sse);
    const uint8_t *at = (const uint8_t *)STREAM;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(
            sse_feed(&stepper.sse, EVENT_MAX, &at, (const uint8_t *)STREAM + strlen(STREAM), &handlers, &stepper),
            SSE_STOPPED);
    assert_int_equal(stepper.events, 4);
    assert_string_equal((const char *)at, "da");
    sse_fini(&stepper.sse);
}

static void test_long_id_is_ignored(void **state)
{
    (void)state;
    char stream[SSE_ID_MAX + 64];
    struct heard heard;
    for (int over = 0; over <= 1; over++) {
        heard_init(&heard);
        heard.event_max = 2 * SSE_ID_MAX;
        memcpy(stream, "id: ", 4);
        memset(stream + 4, 'x', SSE_ID_MAX + (size_t)over);
        memcpy(stream + 4 + SSE_ID_MAX + over, "\n\n", 2);
        assert_int_equal(feed(&heard, stream, 4 + SSE_ID_MAX + (size_t)over + 2), 0);
        assert_int_equal(strlen(sse_last_id(&heard.sse)), over ? 0 : SSE_ID_MAX);
        sse_fini(&heard.sse);
        buf_fini(&heard.events);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_at_every_split),
        cmocka_unit_test(test_no_memory_is_held_between_events),
        cmocka_unit_test(test_handler_may_destroy_the_parser),
        cmocka_unit_test(test_who_stops_can_go_on_with_the_rest),
        cmocka_unit_test(test_long_id_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
