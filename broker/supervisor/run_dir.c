/* SPDX-License-Identifier: MIT */
/* What must be right about the machine before anything is started: directories, the lock and limits. Sockets in the run
 * directory are the broker's access control, and the registry in the state directory holds headers and tokens, so a
 * directory that somebody else owns or may write to is refused, as is a way there that somebody else laid (a symbolic
 * link of another user's; root's are fine, systemd makes them).
 *
 * The lock is a flock: it goes with the process however that ends. The pid in the file is for people only. */
#include "broker/supervisor/run_dir.h"

#include "common/log.h"
#include "common/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RUN_DIR_MODE = 0750, /* a group may be let in to ask */
    STATE_DIR_MODE = 0700,
    PARENT_MODE = 0755,
    LOCK_MODE = 0640,
    DESCRIPTORS_FIXED = 128, /* what a worker needs beside its connections */
};

/* Makes the directories above `path`; what is wrong shows when the last one is made. */
static void make_parents(const char *path)
{
    char parent[PATH_MAX];
    for (const char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        snprintf(parent, sizeof(parent), "%.*s", (int)(at - path), path);
        if (mkdir(parent, PARENT_MODE) != 0 && errno != EEXIST)
            return;
    }
}

/* What is wrong with the directory, or NULL. */
static const char *find_fault(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return strerror(errno);
    if (S_ISLNK(status.st_mode) && status.st_uid != 0 && status.st_uid != geteuid())
        return "is another user's symbolic link";
    if (stat(path, &status) != 0)
        return strerror(errno);
    if (!S_ISDIR(status.st_mode))
        return "is no directory";
    if (status.st_uid != geteuid())
        return "belongs to another user";
    if ((status.st_mode & S_IWOTH) != 0)
        return "may be written to by everybody";
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        return errno == EROFS ? "is on a read-only file system" : "may not be written to by the broker's user";
    return NULL;
}

static int tell(const char *flag, const char *path, const char *fault, struct problems *problems)
{
    if (fault == NULL)
        return 0;
    problems_add(problems, "%s: %s: %s; name a directory of this user's own", flag, path, fault);
    return 1;
}

static int make_dir(const char *flag, const char *path, mode_t mode, struct problems *problems)
{
    make_parents(path);
    return tell(flag, path, mkdir(path, mode) != 0 && errno != EEXIST ? strerror(errno) : NULL, problems);
}

static int check_dir(const char *flag, const char *path, struct problems *problems)
{
    return tell(flag, path, find_fault(path), problems);
}

static void add_in_use(const char *dir, int fd, struct problems *problems)
{
    char pid[24] = "";
    ssize_t size = pread(fd, pid, sizeof(pid) - 1, 0);
    pid[size > 0 ? size : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    problems_add(problems, "--run-dir: %s is in use by another broker (process %s); stop it or name another directory",
                 dir, pid[0] != '\0' ? pid : "unknown");
}

static int lock_dir(const char *dir, int *lock_fd, struct problems *problems)
{
    char path[PATH_MAX] = "";
    int fd = -1;
    if (paths_join(path, sizeof(path), dir, PATHS_LOCK) == 0)
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (fd < 0) {
        problems_add(problems, "--run-dir: %s: %s", path, strerror(errno));
        return 1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        add_in_use(dir, fd, problems);
        close(fd);
        return 1;
    }
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
        log_warn("lock.no_pid", LOG_TEXT("path", path), LOG_TEXT("error", strerror(errno)));
    *lock_fd = fd;
    return 0;
}

int run_dir_make(const struct config *config, struct problems *problems)
{
    int run = make_dir("--run-dir", config->run_dir, RUN_DIR_MODE, problems);
    int state = make_dir("--state-dir", config->state_dir, STATE_DIR_MODE, problems);
    return run != 0 || state != 0 ? 1 : 0;
}

int run_dir_open(const struct config *config, int *lock_fd, struct problems *problems)
{
    if (run_dir_make(config, problems) != 0)
        return 1;
    int run = check_dir("--run-dir", config->run_dir, problems);
    int state = check_dir("--state-dir", config->state_dir, problems);
    if (run != 0 || state != 0)
        return 1;
    return lock_dir(config->run_dir, lock_fd, problems);
}

void run_dir_raise_limits(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("limits.descriptors", LOG_TEXT("error", strerror(errno)));
    uint64_t needed = config->max_connections + DESCRIPTORS_FIXED;
    if (limit.rlim_max != RLIM_INFINITY && needed > limit.rlim_max)
        log_warn("limits.descriptors", LOG_U64("needed_by_a_worker", needed), LOG_U64("limit", limit.rlim_max),
                 LOG_TEXT("remedy", "raise the hard limit (LimitNOFILE=, ulimit -Hn) or lower --max-connections; "
                                    "connections past the limit wait in `queued`"));
}
