/* SPDX-License-Identifier: MIT */
/* The link between the supervisor and one child: a SOCK_SEQPACKET socket pair, the child's end at descriptor 3. A
 * message is a text: a word, and after the first space or line break its argument.
 *
 *   to the child     start <slot> <start count>\n<configuration>   the first message, but for:
 *                    files <path>\n<path>\n...                     (worker) what it may open
 *                    config\n<configuration>                       settings have changed
 *                    slots <n> <n> ... out <n> <n> ...             (hub) the worker slots in service, and those out
 *                                                                  of it because their workers do not live
 *                    configured <ms>                               (hub) when the settings were read
 *                    reload                                        (hub) read the servers file again
 *                    leaving                                       (hub) all are going to stop: take nothing on any more
 *                    stop                                          leave in order, then exit 0
 *   from the child   ready                                         it does its work now
 *                    alive                                         once a second, from the loop: silence is death
 *                    scale <n> | roll | reload | log-level <word>  (hub) asked for by an operator
 *                    files <path>\n<path>\n...                     (hub) what workers must be able to open
 *
 * End of file means that the other side is gone: a child then stops, the supervisor reaps. Runs on one libuv loop. */
#ifndef COMMON_LINK_H
#define COMMON_LINK_H

#include "common/compiler.h"

#include <uv.h>

enum { LINK_FD = 3, LINK_MESSAGE_MAX = 65536, LINK_ALIVE_INTERVAL_MS = 1000 };

struct link;

struct link_handlers {
    /* `argument` is "" when there is none; both are borrowed for the call. May call link_close. */
    void (*on_message)(void *user, const char *word, const char *argument);
    /* The other side is gone, or sent what is no message. Nothing more is called. Must call link_close. */
    void (*on_gone)(void *user);
};

/* Makes the pair, both ends close-on-exec. 0 or a negative errno. */
MUST_CHECK int link_pair(int *ours, int *theirs);

/* Takes over `fd` (closed by link_close, also when this fails). 0 or a negative errno. */
MUST_CHECK int link_open(uv_loop_t *loop, int fd, const struct link_handlers *handlers, void *user, struct link **out);

/* Sends "word" or "word argument" (a line break in between when `argument` begins with one). Never blocks: 0, or a
 * negative errno (-EAGAIN: the other side does not read; it is hung). */
MUST_CHECK int link_send(struct link *link, const char *word, const char *argument);

/* A child's beating: sends `alive` now and every LINK_ALIVE_INTERVAL_MS while the loop turns. */
void link_keep_alive(struct link *link);

/* Closes it; no handler runs afterwards. The memory goes when the loop has closed its handles. NULL does nothing. */
void link_close(struct link *link);

#endif
