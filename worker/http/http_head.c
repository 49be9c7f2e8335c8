/* SPDX-License-Identifier: MIT */
/* The head of a response, as libcurl hands it to http_exchange.c: one whole line at a time, the status line first, an
 * empty line last, once for each informational response and once for the final one. All of it comes from a peer:
 * names are compared whatever their case, texts are cut or refused at their maximum, and what is not printable does not
 * get through, for session ids go out again as headers, and content types into messages.
 *
 * A line that makes no sense is skipped. How much may come at all is counted by the caller. */
#include "worker/http/http_head.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_head_init(struct http_head_reader *reader)
{
    reader->status = 0;
    reader->is_chunked = reader->is_encoded = reader->has_length = false;
    reader->content_type[0] = reader->session_id[0] = reader->www_authenticate[0] = '\0';
    reader->location[0] = reader->retry_after[0] = '\0';
}

static bool is_visible(char c)
{
    return c > ' ' && c < 0x7f;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Copies what fits behind what is there already; what is not printable becomes a question mark. */
static void append_cut(char *out, size_t out_size, const char *value, size_t size)
{
    size_t at = strlen(out);
    for (size_t i = 0; i < size && at + 1 < out_size; i++)
        out[at++] = is_visible(value[i]) || value[i] == ' ' ? value[i] : '?';
    out[at] = '\0';
}

static void set_cut(char *out, size_t out_size, const char *value, size_t size)
{
    out[0] = '\0';
    append_cut(out, out_size, value, size);
}

/* For what is of use only when it is whole and clean: otherwise it is as if it were absent. */
static void set_exact(char *out, size_t out_size, const char *value, size_t size)
{
    out[0] = '\0';
    if (size >= out_size)
        return;
    for (size_t i = 0; i < size; i++)
        if (!is_visible(value[i]))
            return;
    memcpy(out, value, size);
    out[size] = '\0';
}

/* The last coding is the one that frames the body. */
static bool ends_with_chunked(const char *value, size_t size)
{
    static const char CHUNKED[] = "chunked";
    size_t length = sizeof CHUNKED - 1;
    return size >= length && strncasecmp(value + size - length, CHUNKED, length) == 0 &&
           (size == length || is_blank(value[size - length - 1]) || value[size - length - 1] == ',');
}

static void take_field(struct http_head_reader *reader, const char *name, size_t name_size, const char *value,
                       size_t size)
{
#define NAMED(literal) (name_size == sizeof(literal) - 1 && strncasecmp(name, literal, name_size) == 0)
    if (NAMED("content-type")) {
        set_cut(reader->content_type, sizeof reader->content_type, value, size);
    } else if (NAMED("mcp-session-id")) {
        set_exact(reader->session_id, sizeof reader->session_id, value, size);
    } else if (NAMED("location")) {
        set_exact(reader->location, sizeof reader->location, value, size);
    } else if (NAMED("retry-after")) {
        set_cut(reader->retry_after, sizeof reader->retry_after, value, size);
    } else if (NAMED("transfer-encoding")) {
        reader->is_chunked = ends_with_chunked(value, size);
    } else if (NAMED("content-encoding")) {
        reader->is_encoded = size > 0 && !(size == 8 && strncasecmp(value, "identity", 8) == 0);
    } else if (NAMED("content-length")) {
        reader->has_length = true;
    } else if (NAMED("www-authenticate")) {
        if (reader->www_authenticate[0])
            append_cut(reader->www_authenticate, sizeof reader->www_authenticate, ", ", 2);
        append_cut(reader->www_authenticate, sizeof reader->www_authenticate, value, size);
    }
#undef NAMED
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static int parse_status(const char *line, size_t size)
{
    const char *blank = memchr(line, ' ', size);
    if (!blank || line + size - blank < 4)
        return 0;
    const char *digits = blank + 1;
    if (!is_digit(digits[0]) || !is_digit(digits[1]) || !is_digit(digits[2]))
        return 0;
    return (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
}

bool http_head_feed(struct http_head_reader *reader, const char *line, size_t size)
{
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        size--;
    if (size == 0) {
        if (reader->status >= 200)
            return true;
        http_head_init(reader);
        return false;
    }
    if (reader->status == 0) {
        reader->status = parse_status(line, size);
        return false;
    }
    const char *colon = memchr(line, ':', size);
    if (!colon)
        return false;
    const char *value = colon + 1;
    const char *end = line + size;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    take_field(reader, line, (size_t)(colon - line), value, (size_t)(end - value));
    return false;
}

static bool essence_is(const char *content_type, const char *essence)
{
    size_t size = strlen(essence);
    return strncasecmp(content_type, essence, size) == 0 && strchr("; \t,", content_type[size]) != NULL;
}

static uint64_t parse_retry_after(const char *text, uint64_t now_wall_ms)
{
    uint64_t ms = 0;
    if (text[0] && text[strspn(text, "0123456789")] == '\0') {
        uint64_t seconds = strtoull(text, NULL, 10); /* saturates */
        ms = seconds < HTTP_HEAD_RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000 : HTTP_HEAD_RETRY_AFTER_MAX_MS;
    } else {
        time_t when = curl_getdate(text, NULL);
        if (when > 0 && (uint64_t)when * 1000 > now_wall_ms)
            ms = (uint64_t)when * 1000 - now_wall_ms;
    }
    return ms < HTTP_HEAD_RETRY_AFTER_MAX_MS ? ms : HTTP_HEAD_RETRY_AFTER_MAX_MS;
}

void http_head_get(const struct http_head_reader *reader, uint64_t now_wall_ms, struct http_head *head)
{
    *head = (struct http_head){
        .status = reader->status,
        .is_event_stream = essence_is(reader->content_type, "text/event-stream"),
        .is_json = essence_is(reader->content_type, "application/json"),
        .content_type = reader->content_type,
        .session_id = reader->session_id,
        .www_authenticate = reader->www_authenticate,
        .location = reader->location,
        .retry_after_ms = parse_retry_after(reader->retry_after, now_wall_ms),
    };
}
