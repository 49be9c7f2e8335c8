/* SPDX-License-Identifier: MIT */
/* The system calls of a sandbox, by seccomp: a list of what is allowed, some of it only with certain arguments. What is
 * not on it fails with EPERM, and nobody is killed for it: a library that was updated and asks for something new shows
 * as an error that an operator can read, not as a service that dies again and again. Calls that are newer than others
 * which do the same are answered with ENOSYS, upon which libraries fall back.
 *
 * Not on it, and so impossible: programs (execve), processes (fork; threads are), other processes (ptrace, kill,
 * process_vm_*), other users and roots (setuid, mount, chroot, namespaces), the kernel (bpf, modules, keys, perf,
 * io_uring), raw and odd sockets, memory that is writable and executable, a terminal's input (TIOCSTI).
 *
 * A build with sanitizers must let those do their work: the leak checker stops all threads with ptrace from a process of
 * its own. Such a build is for tests. */
#include "common/sandbox_internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

/* Those that this machine does not have are passed over. */
static const int both_may[] = {
    /* memory */
    CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise), CALL(membarrier), CALL(mincore), CALL(mlock), CALL(munlock),
    /* descriptors */
    CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64), CALL(preadv), CALL(pwritev),
    CALL(lseek), CALL(close), CALL(close_range), CALL(fcntl), CALL(fcntl64), CALL(dup), CALL(dup2), CALL(dup3),
    CALL(pipe), CALL(pipe2), CALL(eventfd2), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(epoll_create1),
    CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(timerfd_create), CALL(timerfd_settime),
    CALL(timerfd_gettime),
    /* files, which Landlock and their rights bound */
    CALL(open), CALL(openat), CALL(stat), CALL(lstat), CALL(fstat), CALL(newfstatat), CALL(statx), CALL(statfs),
    CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getcwd),
    CALL(getdents64), CALL(flock), CALL(fadvise64), CALL(unlink), CALL(unlinkat), CALL(fallocate), CALL(ftruncate),
    CALL(umask), CALL(msync),
    /* sockets */
    CALL(connect), CALL(bind), CALL(getsockname), CALL(getpeername), CALL(getsockopt), CALL(setsockopt), CALL(sendto),
    CALL(recvfrom), CALL(sendmsg), CALL(recvmsg), CALL(sendmmsg), CALL(recvmmsg), CALL(shutdown), CALL(socketpair),
    /* time, signals, threads */
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday), CALL(time),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigtimedwait), CALL(sigaltstack),
    CALL(restart_syscall), CALL(futex), CALL(set_robust_list), CALL(get_robust_list), CALL(set_tid_address), CALL(rseq),
    CALL(sched_yield), CALL(sched_getaffinity), CALL(getcpu), CALL(exit), CALL(exit_group),
    /* who and where one is */
    CALL(getpid), CALL(getppid), CALL(gettid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
    CALL(getrusage), CALL(getrlimit), CALL(uname), CALL(sysinfo), CALL(getrandom), CALL(arch_prctl)};

static const int hub_may[] = {CALL(listen),
                              CALL(accept),
                              CALL(accept4),
                              CALL(rename),
                              CALL(renameat),
                              CALL(renameat2),
                              CALL(chmod),
                              CALL(fchmod),
                              CALL(fchmodat),
                              CALL(chown),
                              CALL(fchown),
                              CALL(fchownat),
                              CALL(fsync),
                              CALL(fdatasync),
                              CALL(utimensat),
                              CALL(inotify_init1),
                              CALL(inotify_add_watch),
                              CALL(inotify_rm_watch),
                              CALL(sendfile),
                              CALL(epoll_create)};

static const int sanitizers_may[] = {CALL(getdents), CALL(clone), CALL(ptrace), CALL(wait4),       CALL(kill),
                                     CALL(tgkill),   CALL(prctl), CALL(mmap),   CALL(personality), CALL(mprotect)};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZER_CALLS = ARRAY_LENGTH(sanitizers_may) };
#else
enum { SANITIZER_CALLS = 0 };
#endif

/* There is an older call for each of them. */
static const int not_there[] = {CALL(clone3),         CALL(openat2),      CALL(epoll_pwait2),
                                CALL(pidfd_open),     CALL(memfd_create), CALL(copy_file_range),
                                CALL(io_uring_setup), CALL(futex_waitv),  CALL(process_madvise)};

static int allow_all(scmp_filter_ctx filter, const int calls[], size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        if (calls[i] >= 0)
            result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return result;
}

static int deny_as_not_there(scmp_filter_ctx filter)
{
    int result = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(not_there) && result == 0; i++)
        if (not_there[i] >= 0)
            result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), not_there[i], 0);
    return result;
}

/* Allows a call whose argument has this value, as far as the mask goes. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned argument, uint64_t mask, uint64_t value)
{
    return call < 0
               ? 0
               : seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value));
}

/* Memory that can be written can't be executed, nor become so: code comes from files only. */
static int allow_memory(scmp_filter_ctx filter)
{
    static const uint64_t both = PROT_WRITE | PROT_EXEC;
    int result = allow_if(filter, CALL(mprotect), 2, PROT_EXEC, 0);
    for (uint64_t protection = 0; protection <= both && result == 0; protection++)
        if ((protection & ~both) == 0 && protection != both)
            result = allow_if(filter, CALL(mmap), 2, both, protection);
    return result;
}

static int allow_sockets(scmp_filter_ctx filter)
{
    enum { TYPE = 0xf };
    static const uint64_t domains[] = {AF_UNIX, AF_INET, AF_INET6};
    static const uint64_t types[] = {SOCK_STREAM, SOCK_DGRAM};
    int result = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(domains) && result == 0; i++)
        for (size_t k = 0; k < ARRAY_LENGTH(types) && result == 0; k++)
            result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2, SCMP_A0_32(SCMP_CMP_EQ, domains[i], 0),
                                      SCMP_A1_32(SCMP_CMP_MASKED_EQ, TYPE, types[k]));
    /* Netlink: name resolution asks for the machine's own addresses. */
    return result == 0 ? allow_if(filter, CALL(socket), 0, ~0ULL, AF_NETLINK) : result;
}

/* Threads, not processes. */
static int allow_threads(scmp_filter_ctx filter)
{
    int result = allow_if(filter, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);
    if (result == 0)
        result = allow_if(filter, CALL(tgkill), 0, ~0ULL, (uint64_t)getpid()); /* abort() */
    if (result == 0)
        result = allow_if(filter, CALL(prctl), 0, ~0ULL, PR_SET_NAME);
    if (result == 0)
        result = allow_if(filter, CALL(prctl), 0, ~0ULL, PR_GET_DUMPABLE);
    if (result == 0) /* looking at its own limits */
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
                                  SCMP_A2(SCMP_CMP_EQ, 0, 0));
    return result;
}

static int allow_ioctls(scmp_filter_ctx filter)
{
    static const uint64_t requests[] = {FIONREAD, FIONBIO, FIOCLEX, TCGETS, SIOCGIFINDEX, SIOCGIFNAME};
    int result = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(requests) && result == 0; i++)
        result = allow_if(filter, CALL(ioctl), 1, 0xffffffff, requests[i]);
    return result;
}

static int fill(scmp_filter_ctx filter, enum sandbox_role role)
{
    int result = allow_all(filter, both_may, ARRAY_LENGTH(both_may));
    if (result == 0 && role == SANDBOX_HUB)
        result = allow_all(filter, hub_may, ARRAY_LENGTH(hub_may));
    if (result == 0)
        result = deny_as_not_there(filter);
    if (result == 0)
        result = allow_memory(filter);
    if (result == 0)
        result = allow_sockets(filter);
    if (result == 0)
        result = allow_threads(filter);
    if (result == 0)
        result = allow_ioctls(filter);
    return result == 0 ? allow_all(filter, sanitizers_may, SANITIZER_CALLS) : result;
}

int sandbox_calls_restrict(enum sandbox_role role)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return -ENOMEM;
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: few steps a call */
    if (result == 0)
        result = fill(filter, role);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result;
}
