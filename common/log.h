/* SPDX-License-Identifier: MIT */
/* Log lines: an event's name and key=value fields, to standard error, as text or JSON.
 *
 *     log_info("conn.state", LOG_TEXT("server", id), LOG_U64("attempt", n));
 *     text: 2026-01-31T12:00:00.123Z info worker-2 conn.state server=github attempt=3
 *     json: {"time":"2026-01-31T12:00:00.123Z","level":"info","role":"worker-2","event":"conn.state","server":...}
 *
 * error: an operator must act; warn: degraded; info: lifecycle; debug: off by default; audit: no level to be set, its
 * lines are always written. Values that come from outside are escaped and cut (LOG_VALUE_MAX bytes). Never pass a
 * header's value, a URL with user-info or query, a token or a body.
 *
 * A line is one write(2) of at most LOG_LINE_MAX bytes. Writing never blocks: when standard error can't take a line it
 * is dropped and counted, and the next line that goes out tells how many were. Any thread. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/compiler.h"

#include <stdint.h>

enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 512 };

enum log_level { LOG_LEVEL_AUDIT = -1, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON }; /* auto: text on a terminal */

/* One key=value. Made by the macros below; `key` is a literal, `text` is borrowed for the call. A NULL text is left
 * out. */
struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_U64, LOG_FIELD_I64 } type;
    union {
        const char *text;
        uint64_t u64;
        int64_t i64;
    };
};

#define LOG_TEXT(name, value) ((struct log_field){.key = (name), .type = LOG_FIELD_TEXT, .text = (value)})
#define LOG_U64(name, value)  ((struct log_field){.key = (name), .type = LOG_FIELD_U64, .u64 = (value)})
#define LOG_I64(name, value)  ((struct log_field){.key = (name), .type = LOG_FIELD_I64, .i64 = (value)})
#define LOG_END               ((struct log_field){.key = NULL})

/* `role` (copied, at most 31 bytes) stands in each line: "supervisor", "hub", "worker-3". */
void log_open(const char *role, enum log_level level, enum log_format format);
void log_set_level(enum log_level level);

/* "error", "warn", "info", "debug". 0, or 1 when it is none. */
MUST_CHECK int log_level_from_name(const char *name, enum log_level *level);
enum log_level log_level(void);

/* Use the macros: fields end with LOG_END. */
void log_write(enum log_level level, const char *event, ...);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, LOG_END)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__, LOG_END)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_audit(...) log_write(LOG_LEVEL_AUDIT, __VA_ARGS__, LOG_END)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_END)

#endif
