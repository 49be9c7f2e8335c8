/* SPDX-License-Identifier: MIT */
/* What the log tells of a connection: each change of its state, as long as there are few. A server that flaps would fill
 * the log of all the others, so only the first LINES_MAX changes of a minute are told, and at its end how many were left
 * out and what came of it. At level debug nothing is left out. */
#include "common/clock.h"
#include "common/duration.h"
#include "common/log.h"
#include "worker/conn/conn_internal.h"

enum { LINES_MAX = 10 };

/* Counts one more line, and tells whether it is one too many. */
static bool is_too_many(struct conn *conn)
{
    return ++conn_minute(conn)->lines > LINES_MAX;
}

void conn_log_change(struct conn *conn, enum state from, enum conn_event event, const char *error, uint64_t wait_ms)
{
    char wait[DURATION_TEXT_SIZE];
    log_write(is_too_many(conn) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "conn.state", LOG_TEXT("server", conn->def->id),
              LOG_TEXT("from", state_name(from)), LOG_TEXT("to", state_name(conn->state)),
              LOG_TEXT("why", conn_event_name(event)), LOG_TEXT("error", error && error[0] ? error : NULL),
              LOG_U64("attempts", conn->attempts), LOG_TEXT("next", wait_ms ? duration_words(wait_ms, wait) : NULL),
              LOG_END);
}

uint64_t conn_log_due(const struct conn *conn)
{
    return conn->minute.lines > LINES_MAX ? (uint64_t)conn->minute.since_s * 1000 + RATE_MS : TIMELINE_NEVER;
}

void conn_log_left_out(const struct conn *conn)
{
    if (conn->minute.lines <= LINES_MAX)
        return;
    log_info("conn.flapping", LOG_TEXT("server", conn->def->id), LOG_U64("left_out", conn->minute.lines - LINES_MAX),
             LOG_TEXT("state", state_name(conn->state)), LOG_U64("attempts", conn->attempts));
}
