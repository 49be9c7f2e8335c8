/* SPDX-License-Identifier: MIT */
/* The parser of event streams, fed by whoever reads one. Lines are taken from the caller's bytes where they are whole,
 * and are copied only while they are cut by the end of a read. What belongs to the event under way (type, data, id,
 * the cut line) lives in one block that exists only while there is such an event: a stream at rest costs nothing.
 *
 * Invariants: `event` is NULL whenever the last thing read was a blank line or a comment between events. The block is
 * taken out of the parser before the handler runs, so that the handler may do away with the parser. Comments are
 * never stored. The id of an event counts only once the event is whole, else a resume would skip it. */
#include "worker/http/sse.h"

#include "common/buf.h"

#include <stdlib.h>
#include <string.h>

/* Room for the longest field name with colon and space, in a cut line. */
enum { FIELD_NAME_MAX = 8 };

struct sse_event {
    struct buf line; /* the beginning of a line that was cut */
    struct buf data; /* lines of data, a LF between them */
    char *id;        /* NULL: none given */
    bool has_data;   /* a data line was there, if only an empty one */
    char type[SSE_TYPE_MAX + 1];
};

/* One call of sse_feed. */
struct feeding {
    struct sse *sse;
    uint32_t event_max;
    const struct sse_handlers *handlers;
    void *user;
};

void sse_init(struct sse *sse)
{
    *sse = (struct sse){.event = NULL};
}

static void event_destroy(struct sse_event *event)
{
    if (!event)
        return;
    buf_fini(&event->line);
    buf_fini(&event->data);
    free(event->id);
    free(event);
}

void sse_fini(struct sse *sse)
{
    event_destroy(sse->event);
    free(sse->last_id);
    sse->event = NULL;
    sse->last_id = NULL;
}

const char *sse_last_id(const struct sse *sse)
{
    return sse->last_id ? sse->last_id : "";
}

uint32_t sse_retry_ms(const struct sse *sse)
{
    return sse->retry_ms;
}

static size_t line_max(const struct feeding *feeding)
{
    return (size_t)feeding->event_max + FIELD_NAME_MAX;
}

/* The event under way, begun if there is none; NULL without memory. */
static struct sse_event *event_get(const struct feeding *feeding)
{
    if (feeding->sse->event)
        return feeding->sse->event;
    struct sse_event *event = calloc(1, sizeof *event);
    if (!event)
        return NULL;
    buf_init(&event->line, line_max(feeding));
    buf_init(&event->data, feeding->event_max);
    feeding->sse->event = event;
    return event;
}

static int outcome_of(enum buf_outcome outcome)
{
    return outcome == BUF_FULL ? SSE_TOO_LARGE : SSE_NO_MEMORY;
}

static int add_data(struct sse_event *event, const char *value, size_t size)
{
    int result = event->has_data ? buf_append(&event->data, "\n", 1) : 0;
    event->has_data = true;
    if (result == 0)
        result = buf_append(&event->data, value, size);
    return result == 0 ? 0 : outcome_of((enum buf_outcome)result);
}

static int set_id(struct sse_event *event, const char *value, size_t size)
{
    if (size > SSE_ID_MAX || memchr(value, '\0', size))
        return 0;
    char *id = strndup(value, size);
    if (!id)
        return SSE_NO_MEMORY;
    free(event->id);
    event->id = id;
    return 0;
}

static void set_type(struct sse_event *event, const char *value, size_t size)
{
    if (size > SSE_TYPE_MAX)
        size = SSE_TYPE_MAX;
    memcpy(event->type, value, size);
    event->type[size] = '\0';
}

/* Digits only; what passes the type's maximum is cut to it. */
static void set_retry(struct sse *sse, const char *value, size_t size)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9')
            return;
        ms = ms * 10 + (uint64_t)(value[i] - '0');
        if (ms > UINT32_MAX)
            ms = UINT32_MAX;
    }
    if (size > 0)
        sse->retry_ms = (uint32_t)ms;
}

static bool name_is(const char *line, size_t size, const char *name)
{
    return size == strlen(name) && memcmp(line, name, size) == 0;
}

/* One line that is neither blank nor a comment. */
static int take_field(const struct feeding *feeding, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);
    size_t name_size = colon ? (size_t)(colon - line) : size;
    const char *value = colon ? colon + 1 : line + size;
    size_t value_size = (size_t)(line + size - value);
    if (value_size > 0 && *value == ' ') {
        value++;
        value_size--;
    }
    if (name_is(line, name_size, "retry")) {
        set_retry(feeding->sse, value, value_size);
        return 0;
    }
    bool is_data = name_is(line, name_size, "data");
    bool is_id = name_is(line, name_size, "id");
    if (!is_data && !is_id && !name_is(line, name_size, "event"))
        return 0;
    struct sse_event *event = event_get(feeding);
    if (!event)
        return SSE_NO_MEMORY;
    if (is_data)
        return add_data(event, value, value_size);
    if (is_id)
        return set_id(event, value, value_size);
    set_type(event, value, value_size);
    return 0;
}

/* A blank line: the event is whole. Touches nothing of the parser after the handler has said to stop. */
static int dispatch(const struct feeding *feeding)
{
    struct sse *sse = feeding->sse;
    struct sse_event *event = sse->event;
    if (!event)
        return 0;
    sse->event = NULL;
    if (event->id) {
        free(sse->last_id);
        sse->last_id = event->id;
        event->id = NULL;
    }
    bool go_on = true;
    if (event->data.size > 0)
        go_on = feeding->handlers->on_event(feeding->user, event->type[0] ? event->type : "message",
                                            buf_text(&event->data), event->data.size);
    event_destroy(event);
    return go_on ? 0 : SSE_STOPPED;
}

/* One whole line, without its end. */
static int take_line(const struct feeding *feeding, const char *line, size_t size)
{
    struct sse *sse = feeding->sse;
    if (size > line_max(feeding) && *line != ':')
        return SSE_TOO_LARGE;
    if (!sse->begun && size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        size -= 3;
    }
    sse->begun = true;
    if (size == 0)
        return dispatch(feeding);
    if (*line == ':')
        return 0;
    return take_field(feeding, line, size);
}

/* The last part of a line that was cut before. */
static int take_cut_line(const struct feeding *feeding, const char *part, size_t size)
{
    struct sse_event *event = feeding->sse->event;
    int result = buf_append(&event->line, part, size);
    if (result != 0)
        return outcome_of((enum buf_outcome)result);
    struct buf line = event->line; /* the event may be gone before the line is */
    buf_init(&event->line, line_max(feeding));
    result = take_line(feeding, (const char *)line.bytes, line.size);
    buf_fini(&line);
    return result;
}

static bool line_is_cut(const struct sse *sse)
{
    return sse->event && sse->event->line.size > 0;
}

/* Keeps the beginning of a line whose end is still to come. */
static int keep_part(const struct feeding *feeding, const char *part, size_t size)
{
    if (!line_is_cut(feeding->sse) && *part == ':') {
        feeding->sse->in_comment = true;
        return 0;
    }
    struct sse_event *event = event_get(feeding);
    if (!event)
        return SSE_NO_MEMORY;
    int result = buf_append(&event->line, part, size);
    return result == 0 ? 0 : outcome_of((enum buf_outcome)result);
}

static int end_line(const struct feeding *feeding, const char *part, size_t size)
{
    struct sse *sse = feeding->sse;
    if (sse->in_comment) {
        sse->in_comment = false;
        sse->begun = true;
        return 0;
    }
    if (line_is_cut(sse))
        return take_cut_line(feeding, part, size);
    return take_line(feeding, part, size);
}

static const char *find_line_end(const char *from, const char *end)
{
    while (from < end && *from != '\n' && *from != '\r')
        from++;
    return from;
}

int sse_feed(struct sse *sse, uint32_t event_max, const uint8_t **at, const uint8_t *end,
             const struct sse_handlers *handlers, void *user)
{
    const struct feeding feeding = {.sse = sse, .event_max = event_max, .handlers = handlers, .user = user};
    while (*at < end) {
        bool lf_of_crlf = sse->after_cr && **at == '\n';
        sse->after_cr = false;
        if (lf_of_crlf) {
            (*at)++;
            continue;
        }
        const char *line = (const char *)*at;
        const char *line_end = find_line_end(line, (const char *)end);
        size_t size = (size_t)(line_end - line);
        if (line_end == (const char *)end) {
            *at = end;
            return sse->in_comment ? 0 : keep_part(&feeding, line, size);
        }
        sse->after_cr = *line_end == '\r';
        *at += size + 1;
        int result = end_line(&feeding, line, size);
        if (result != 0)
            return result;
    }
    return 0;
}
