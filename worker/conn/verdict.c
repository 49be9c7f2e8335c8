/* SPDX-License-Identifier: MIT */
/* The ways in which an attempt or an open stream ends, told apart by who can do something about it: nobody but time
 * (it is tried again), the operator (credentials, policy), or nobody at all (it offers nothing to hear). How often it is
 * tried again and what else is then done is the caller's business. */
#include "worker/conn/verdict.h"

#include <errno.h>
#include <string.h>

enum conn_event verdict_of_start(int error, const char **text)
{
    bool ours = error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN;
    *text = error == -ENOTSUP ? "programs are started for the servers file only" : strerror(-error);
    return ours ? CONN_EVENT_NO_RESOURCES : CONN_EVENT_REFUSED;
}

enum conn_event verdict_of_end(enum state state, enum peer_end_reason reason, bool polled)
{
    switch (reason) {
    case PEER_UNSUPPORTED:
        return polled ? CONN_EVENT_POLLABLE : CONN_EVENT_UNSUPPORTED;
    case PEER_UNAUTHORIZED:
        return CONN_EVENT_UNAUTHORIZED;
    case PEER_FORBIDDEN:
        return CONN_EVENT_REFUSED;
    case PEER_NO_RESOURCES:
        return CONN_EVENT_NO_RESOURCES;
    case PEER_UNREACHABLE:
    case PEER_STREAM_ENDED:
    case PEER_SESSION_LOST:
    case PEER_PROTOCOL:
    case PEER_TOO_MUCH:
        break;
    }
    return state == STATE_LISTENING ? CONN_EVENT_STREAM_ENDED : CONN_EVENT_ATTEMPT_FAILED;
}
