/* SPDX-License-Identifier: MIT */
/* The log of every process: builds a line in a fixed buffer and hands it to standard error in one write, so that lines of
 * several processes that share a pipe don't mix (LOG_LINE_MAX is PIPE_BUF). A field that no longer fits is left out
 * whole, so a JSON line stays JSON.
 *
 * It must never make a process wait: a stuck reader of the log would else stop supervision. A pipe or a terminal gets an
 * open file description of our own where that is allowed, since setting O_NONBLOCK on the inherited one would change it
 * for the shell, too; a socket (the journal) is sent to without waiting; and poll() guards what is left.
 *
 * State is the process's: role, format and level are set before threads start; the rest is atomic. */
#include "common/log.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line must be written whole");

enum { TAIL_SIZE = 2 }; /* the closing brace and the line break */

struct line {
    char bytes[LOG_LINE_MAX];
    size_t size;
    bool full; /* something did not fit since this was cleared */
};

static char role[32] = "?";
static bool json;
static bool to_socket;
static _Atomic int least_level = LOG_LEVEL_INFO;
static atomic_uint_fast64_t dropped;
static atomic_bool cut; /* the last line went out without its end */

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"};

static const char *level_name(enum log_level level)
{
    return level == LOG_LEVEL_AUDIT ? "audit" : level_names[level];
}

/* Puts a description of our own, which does not block, in place of the inherited one. Where that is not allowed, poll()
 * must do. */
static void own_description(void)
{
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    dup2(fd, STDERR_FILENO);
    close(fd);
}

void log_open(const char *role_name, enum log_level level, enum log_format format)
{
    snprintf(role, sizeof(role), "%s", role_name);
    log_set_level(level);
    bool terminal = isatty(STDERR_FILENO) == 1;
    json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && !terminal);
    struct stat status;
    if (fstat(STDERR_FILENO, &status) != 0)
        return;
    to_socket = S_ISSOCK(status.st_mode);
    if (S_ISFIFO(status.st_mode) || terminal)
        own_description();
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

int log_level_from_name(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < ARRAY_LENGTH(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return 1;
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&least_level, memory_order_relaxed);
}

/* --- building a line --- */

static void put_bytes(struct line *line, const char *bytes, size_t size)
{
    if (size > sizeof(line->bytes) - TAIL_SIZE - line->size) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void put(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

static void put_format(struct line *line, const char *format, ...) PRINTF_LIKE(2, 3);
static void put_format(struct line *line, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(line, text);
}

/* One character of a quoted value. Terminals obey C0 and C1 controls, so neither goes out as it is. */
static void put_character(struct line *line, const unsigned char *at, size_t size)
{
    if (size == 0)
        put(line, "\\ufffd");
    else if (at[0] == '"' || at[0] == '\\')
        put_format(line, "\\%c", at[0]);
    else if (at[0] == '\n')
        put(line, "\\n");
    else if (at[0] < 0x20 || at[0] == 0x7F)
        put_format(line, "\\u%04x", at[0]);
    else if (at[0] == 0xC2 && at[1] < 0xA0)
        put_format(line, "\\u%04x", at[1]);
    else
        put_bytes(line, (const char *)at, size);
}

/* The same quoting in both formats: a JSON string. */
static void put_quoted(struct line *line, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + strnlen(text, LOG_VALUE_MAX + 1);
    bool too_long = end - at > LOG_VALUE_MAX;
    put(line, "\"");
    while (at < end) {
        size_t size = utf8_size((const char *)at);
        size_t step = size > 0 ? size : 1;
        if (too_long && (size_t)(end - at) <= step)
            break;
        put_character(line, at, size);
        at += step;
    }
    put(line, too_long ? "...\"" : "\"");
}

static bool is_bare(const char *text)
{
    size_t length = strnlen(text, LOG_VALUE_MAX + 1);
    if (length == 0 || length > LOG_VALUE_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\' || text[i] == '=')
            return false;
    return true;
}

static void put_field(struct line *line, const struct log_field *field)
{
    size_t before = line->size;
    line->full = false;
    put_format(line, json ? ",\"%s\":" : " %s=", field->key);
    if (field->type == LOG_FIELD_U64)
        put_format(line, "%" PRIu64, field->u64);
    else if (field->type == LOG_FIELD_I64)
        put_format(line, "%" PRId64, field->i64);
    else if (!json && is_bare(field->text))
        put(line, field->text);
    else
        put_quoted(line, field->text);
    if (line->full)
        line->size = before;
}

static void put_head(struct line *line, enum log_level level, const char *event)
{
    uint64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char time[32];
    gmtime_r(&seconds, &utc);
    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
    if (json) {
        put_format(line, "{\"time\":\"%s.%03uZ\"", time, (unsigned)(now_ms % 1000));
        put_field(line, &LOG_TEXT("level", level_name(level)));
        put_field(line, &LOG_TEXT("role", role));
        put_field(line, &LOG_TEXT("event", event));
    } else {
        put_format(line, "%s.%03uZ %s %s ", time, (unsigned)(now_ms % 1000), level_name(level), role);
        put(line, event);
    }
}

/* --- sending it --- */

/* Bytes that went out, or -1. */
static ssize_t send_bytes(const char *bytes, size_t size)
{
    if (to_socket)
        return send(STDERR_FILENO, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&writable, 1, 0) != 1)
        return -1;
    return write(STDERR_FILENO, bytes, size);
}

static void send_line(const struct line *line, uint64_t told_dropped)
{
    int saved_errno = errno;
    bool whole = !atomic_load(&cut) || send_bytes("\n", 1) == 1;
    ssize_t sent = whole ? send_bytes(line->bytes, line->size) : -1;
    if (sent < 0)
        atomic_fetch_add(&dropped, told_dropped + 1);
    else
        atomic_store(&cut, (size_t)sent < line->size);
    errno = saved_errno;
}

void log_write(enum log_level level, const char *event, ...)
{
    if (level > log_level())
        return;
    struct line line = {.size = 0};
    put_head(&line, level, event);
    uint64_t told_dropped = atomic_exchange(&dropped, 0);
    if (told_dropped > 0)
        put_field(&line, &LOG_U64("lines_dropped", told_dropped));
    va_list fields;
    va_start(fields, event);
    struct log_field field;
    while ((field = va_arg(fields, struct log_field)).key != NULL)
        if (field.type != LOG_FIELD_TEXT || field.text != NULL)
            put_field(&line, &field);
    va_end(fields);
    if (json)
        line.bytes[line.size++] = '}';
    line.bytes[line.size++] = '\n';
    send_line(&line, told_dropped);
}
