/* SPDX-License-Identifier: MIT */
/* What the sockets of a loop have in common beyond bus_socket.c: how nng's threads wake the loop, and wrappers that keep
 * nng alive through the deaths of peers, and its threads few. bus_pubsub.c and bus_reqrep.c have the rest. Every long-lived
 * process has this file; the library for subscribers does not, because what it wraps is its user's. */
#include "common/bus.h"

#include "common/bus_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The C library's own name for what is replaced here; not in each of its versions a header has it.
 * NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-redundant-declaration) */
extern long __sysconf(int name);

/* nng's calls of sendmsg() come here, as do all others of a process that has the bus. nng 1.5.2 takes EPIPE for "this
 * listener or dialler was closed by its owner": a peer that is gone before nng has greeted it (killed at the wrong
 * moment, or on purpose) would leave a listener that never accepts again, or a dialler that never dials again.
 * ECONNRESET says as much, and nng goes on after it. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = syscall(SYS_sendmsg, fd, message, flags);
    if (sent < 0 && errno == EPIPE)
        errno = ECONNRESET;
    return sent;
}

/* nng's calls of sysconf() come here, too. nng 1.5.2 starts two threads for each processor that there is, and has no
 * option for that (1.6 has). A process's traffic keeps two of them busy at most; the others fight them for one lock at each
 * message, which costs more than the message. The C library itself does not ask in this way. ThreadSanitizer does, before
 * it can bear to be called. */
__attribute__((no_sanitize("thread"))) long sysconf(int name)
{
    return name == _SC_NPROCESSORS_ONLN ? 1 : __sysconf(name);
}

void bus_wake(void *async, bool added)
{
    (void)added;
    uv_async_send(async);
}
