/* SPDX-License-Identifier: MIT */
/* The sandbox, tried: a process that has entered it does what a compromised worker or hub would, and each attempt must
 * fail with the error that is promised, while what they need for their work goes on. Built without sanitizers, because
 * those widen the list (sandbox_calls.c): what is tried here is what is shipped. */
#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* behind what it needs */
#include <cmocka.h>

enum { NOT_ENTERED = 200, PATH_SIZE = 128 };

static char dir[] = "/dev/shm/test_sandbox.XXXXXX";
static char run_dir[PATH_SIZE], state_dir[PATH_SIZE], named[PATH_SIZE], other[PATH_SIZE];
static int landlock; /* version */

static int result_of(long result)
{
    return result < 0 ? errno : 0;
}

static int open_as(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    return result_of(fd);
}

/* --- what is tried; 0 or an errno --- */

static int open_shadow(void)
{
    return open_as("/etc/shadow", O_RDONLY);
}
static int open_passwd(void)
{
    return open_as("/etc/passwd", O_RDONLY);
}
static int open_self(void)
{
    return open_as("/proc/self/environ", O_RDONLY);
}
static int open_named(void)
{
    return open_as(named, O_RDONLY);
}
static int write_named(void)
{
    return open_as(named, O_RDWR);
}
static int open_other(void)
{
    return open_as(other, O_RDONLY);
}
static int open_etc(void)
{
    return open_as("/etc", O_RDONLY | O_DIRECTORY);
}
static int open_hosts(void)
{
    return open_as("/etc/hosts", O_RDONLY);
}
static int open_certificates(void)
{
    return open_as("/etc/ssl/certs", O_RDONLY | O_DIRECTORY);
}
static int make_elsewhere(void)
{
    return open_as("/tmp/test_sandbox.made", O_RDWR | O_CREAT);
}
static int truncate_other(void)
{
    return open_as(other, O_WRONLY | O_TRUNC);
}

static int make_in(const char *folder)
{
    char path[PATH_SIZE + 8];
    snprintf(path, sizeof(path), "%s/made", folder);
    return open_as(path, O_RDWR | O_CREAT);
}

static int make_in_run_dir(void)
{
    return make_in(run_dir);
}
static int make_in_state_dir(void)
{
    return make_in(state_dir);
}

static int rename_in_state_dir(void)
{
    char from[PATH_SIZE + 8], to[PATH_SIZE + 8];
    snprintf(from, sizeof(from), "%s/made", state_dir);
    snprintf(to, sizeof(to), "%s/moved", state_dir);
    int result = make_in(state_dir);
    return result != 0 ? result : result_of(rename(from, to));
}

static int execute(void)
{
    char name[] = "/bin/true";
    char *const words[] = {name, NULL};
    return result_of(execv(name, words));
}

static int execute_by_descriptor(void)
{
    char name[] = "true";
    char *const words[] = {name, NULL};
    return result_of(syscall(SYS_execveat, AT_FDCWD, "/bin/true", words, words, 0));
}

static int make_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return result_of(child);
}

static int make_process_by_clone(void)
{
    return result_of(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
static int clone_anew(void)
{
    return result_of(syscall(SYS_clone3, NULL, 0));
}
static int trace_parent(void)
{
    return result_of(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}
static int trace_oneself(void)
{
    return result_of(ptrace(PTRACE_TRACEME, 0, 0, 0));
}
static int signal_parent(void)
{
    return result_of(kill(getppid(), 0));
}
static int signal_thread_of_parent(void)
{
    return result_of(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int read_parent(void)
{
    char byte;
    struct iovec ours = {.iov_base = &byte, .iov_len = 1}, theirs = {.iov_base = run_dir, .iov_len = 1};
    return result_of(process_vm_readv(getppid(), &ours, 1, &theirs, 1, 0));
}

static int become_user(void)
{
    return result_of(syscall(SYS_setuid, 65534));
}
static int change_root(void)
{
    return result_of(chroot("/"));
}
static int mount_something(void)
{
    return result_of(mount("none", "/mnt", "tmpfs", 0, NULL));
}
static int leave_namespaces(void)
{
    return result_of(unshare(CLONE_NEWUSER));
}
static int use_bpf(void)
{
    return result_of(syscall(SYS_bpf, 0, NULL, 0));
}
static int use_io_uring(void)
{
    return result_of(syscall(SYS_io_uring_setup, 1, NULL));
}
static int use_keys(void)
{
    return result_of(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}
static int open_raw_socket(void)
{
    return result_of(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}
static int open_packet_socket(void)
{
    return result_of(socket(AF_PACKET, SOCK_RAW, 0));
}
static int open_vsock(void)
{
    return result_of(socket(AF_VSOCK, SOCK_STREAM, 0));
}
static int be_dumpable(void)
{
    return result_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int raise_limit(void)
{
    const struct rlimit limit = {.rlim_cur = 1, .rlim_max = 1};
    return result_of(setrlimit(RLIMIT_CORE, &limit));
}

static int map_code(int protection)
{
    void *memory = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

static int map_writable_code(void)
{
    return map_code(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int make_code_of_data(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? 0 : result_of(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int type_into_terminal(void)
{
    char byte = 'x';
    return result_of(ioctl(STDIN_FILENO, TIOCSTI, &byte));
}

static int bind_tcp(void)
{
    const struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : result_of(bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)));
}

static int listen_on_something(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : result_of(listen(fd, 1));
}

static void *do_nothing(void *nothing)
{
    return nothing;
}

static int make_thread(void)
{
    pthread_t thread;
    int result = pthread_create(&thread, NULL, do_nothing, NULL);
    return result != 0 ? result : pthread_join(thread, NULL);
}

static int resolve_name(void)
{
    struct addrinfo *found = NULL;
    int result = getaddrinfo("localhost", "80", NULL, &found);
    if (result == 0)
        freeaddrinfo(found);
    return result == 0 ? 0 : EADDRNOTAVAIL;
}

static int look_at_file(void)
{
    struct stat status;
    return result_of(stat(other, &status));
}

/* --- how it is tried --- */

struct attempt {
    int (*make)(void);
    const char *name;
    int worker, hub;   /* 0 or the errno that it must end with */
    int since_version; /* of Landlock, where it is that which refuses */
};

#define ATTEMPT(name, ...)                                                                                             \
    {                                                                                                                  \
        name, #name, __VA_ARGS__                                                                                       \
    }

static const struct attempt attempts[] = {
    ATTEMPT(open_shadow, EACCES, 0, 1), /* a hub: as its user's rights have it */
    ATTEMPT(open_passwd, EACCES, 0, 1),
    ATTEMPT(open_self, EACCES, 0, 1),
    ATTEMPT(open_etc, EACCES, 0, 1),
    ATTEMPT(open_other, EACCES, 0, 1),
    ATTEMPT(write_named, EACCES, EACCES, 1),
    ATTEMPT(truncate_other, EACCES, EACCES, 1),
    ATTEMPT(make_elsewhere, EACCES, EACCES, 1),
    ATTEMPT(make_in_state_dir, EACCES, 0, 1),
    ATTEMPT(rename_in_state_dir, EACCES, 0, 1),
    ATTEMPT(execute, EPERM, EPERM, 0),
    ATTEMPT(execute_by_descriptor, EPERM, EPERM, 0),
    ATTEMPT(make_process, EPERM, EPERM, 0),
    ATTEMPT(make_process_by_clone, EPERM, EPERM, 0),
    ATTEMPT(clone_anew, ENOSYS, ENOSYS, 0),
    ATTEMPT(trace_parent, EPERM, EPERM, 0),
    ATTEMPT(trace_oneself, EPERM, EPERM, 0),
    ATTEMPT(signal_parent, EPERM, EPERM, 0),
    ATTEMPT(signal_thread_of_parent, EPERM, EPERM, 0),
    ATTEMPT(read_parent, EPERM, EPERM, 0),
    ATTEMPT(become_user, EPERM, EPERM, 0),
    ATTEMPT(change_root, EPERM, EPERM, 0),
    ATTEMPT(mount_something, EPERM, EPERM, 0),
    ATTEMPT(leave_namespaces, EPERM, EPERM, 0),
    ATTEMPT(use_bpf, EPERM, EPERM, 0),
    ATTEMPT(use_keys, EPERM, EPERM, 0),
    ATTEMPT(use_io_uring, ENOSYS, ENOSYS, 0),
    ATTEMPT(open_raw_socket, EPERM, EPERM, 0),
    ATTEMPT(open_packet_socket, EPERM, EPERM, 0),
    ATTEMPT(open_vsock, EPERM, EPERM, 0),
    ATTEMPT(be_dumpable, EPERM, EPERM, 0),
    ATTEMPT(raise_limit, EPERM, EPERM, 0),
    ATTEMPT(map_writable_code, EPERM, EPERM, 0),
    ATTEMPT(make_code_of_data, EPERM, EPERM, 0),
    ATTEMPT(type_into_terminal, EPERM, EPERM, 0),
    ATTEMPT(listen_on_something, EPERM, 0, 0),
    ATTEMPT(bind_tcp, EACCES, 0, 4),
    /* what they live by */
    ATTEMPT(open_named, 0, 0, 0),
    ATTEMPT(open_hosts, 0, 0, 0),
    ATTEMPT(open_certificates, 0, 0, 0),
    ATTEMPT(make_in_run_dir, 0, 0, 0),
    ATTEMPT(make_thread, 0, 0, 0),
    ATTEMPT(resolve_name, 0, 0, 0),
    ATTEMPT(look_at_file, 0, 0, 0),
};

/* In a process of its own, which the sandbox is for good. 0 or an errno. */
static int try_it(enum sandbox_role role, int (*make)(void))
{
    const struct sandbox_options options = {.role = role, .run_dir = run_dir, .state_dir = state_dir, .files = named};
    char error[SANDBOX_ERROR_SIZE];
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(sandbox_enter(&options, error) == 0 ? make() : NOT_ENTERED);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void try_all(enum sandbox_role role)
{
    for (size_t i = 0; i < ARRAY_LENGTH(attempts); i++) {
        const struct attempt *attempt = &attempts[i];
        int wanted = role == SANDBOX_WORKER ? attempt->worker : attempt->hub;
        if (landlock < attempt->since_version || (wanted == 0 && attempt->make() != 0))
            continue; /* this kernel has not the means, or this machine not the file */
        int result = try_it(role, attempt->make);
        if (result != wanted)
            fail_msg("%s: %s, where %s is wanted", attempt->name, strerror(result), strerror(wanted));
    }
}

static void a_worker_can_do_nothing_but_its_work(void **state)
{
    (void)state;
    try_all(SANDBOX_WORKER);
}

static void a_hub_can_do_nothing_but_its_work(void **state)
{
    (void)state;
    try_all(SANDBOX_HUB);
}

/* As the kernel tells it; opened before, since afterwards it can't be. */
static int status_fd;

static int read_status(void)
{
    char text[4096] = "";
    ssize_t size = pread(status_fd, text, sizeof(text) - 1, 0);
    return size > 0 && strstr(text, "NoNewPrivs:\t1") != NULL && strstr(text, "Seccomp:\t2") != NULL ? 0 : EINVAL;
}

static int open_status_and_enter(void)
{
    const struct sandbox_options options = {.role = SANDBOX_WORKER, .run_dir = run_dir};
    char error[SANDBOX_ERROR_SIZE];
    status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (strcmp(sandbox_text(), "off") != 0 || sandbox_enter(&options, error) != 0)
        return NOT_ENTERED;
    return strncmp(sandbox_text(), "seccomp", 7) == 0 ? read_status() : ERANGE;
}

static void it_is_told_and_seen(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(open_status_and_enter());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void what_is_granted_for_a_file(void **state)
{
    (void)state;
    char granted[PATH_MAX], link[PATH_SIZE];
    assert_false(sandbox_grant("/no/such/file", granted));
    assert_true(sandbox_grant(named, granted));
    assert_string_equal(granted, named);
    snprintf(link, sizeof(link), "%s/link", dir);
    assert_int_equal(symlink(named, link), 0);
    assert_true(sandbox_grant(link, granted));
    assert_string_equal(granted, named);
    unlink(link);
}

static void write_file(const char *path)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs("text\n", file);
    fclose(file);
}

static int open_scene(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
    snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
    snprintf(named, sizeof(named), "%s/named", dir);
    snprintf(other, sizeof(other), "%s/other", dir);
    write_file(named);
    write_file(other);
    landlock = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    return mkdir(run_dir, 0700) == 0 && mkdir(state_dir, 0700) == 0 ? 0 : -1;
}

static int close_scene(void **state)
{
    (void)state;
    static const char *const left[] = {"run/made", "state/made", "state/moved", "named", "other", "run", "state", ""};
    char path[PATH_SIZE + 16];
    for (size_t i = 0; i < ARRAY_LENGTH(left); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
        remove(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_can_do_nothing_but_its_work),
        cmocka_unit_test(a_hub_can_do_nothing_but_its_work),
        cmocka_unit_test(it_is_told_and_seen),
        cmocka_unit_test(what_is_granted_for_a_file),
    };
    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
