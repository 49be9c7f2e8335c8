/* SPDX-License-Identifier: MIT */
/* Root is wanted for one thing: to make directories where root alone may. So all of that is done first, and then groups,
 * group and user are given up, in this order, since each step takes away the right to the one before; that it is for good
 * is tried, not believed.
 *
 * A directory is given away only when it was made here, is empty, or holds a broker's files: a wrong path in a
 * configuration must not change the owner of somebody's system directory. */
#include "broker/supervisor/user.h"

#include "broker/supervisor/run_dir.h"
#include "common/log.h"
#include "common/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- directories --- */

static bool is_broker_file(const char *name)
{
    static const char *const names[] = {PATHS_LOCK,  PATHS_TABLE,       PATHS_EVENTS, PATHS_DIAG,
                                        PATHS_BELLS, PATHS_ASSIGNMENTS, PATHS_TOKENS};
    bool found = strncmp(name, PATHS_REGISTRY, strlen(PATHS_REGISTRY)) == 0;
    for (size_t i = 0; i < ARRAY_LENGTH(names) && !found; i++)
        found = strcmp(name, names[i]) == 0;
    return found;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool holds_only_ours(DIR *dir)
{
    const struct dirent *entry;
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL)
        if (!is_dots(entry->d_name) && !is_broker_file(entry->d_name))
            return false;
    return true;
}

/* A link leads to a table of root's: the next one is made anew. */
static int give_entry(int dir, const char *name, const struct passwd *user)
{
    struct stat status;
    if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    int result = S_ISLNK(status.st_mode) ? unlinkat(dir, name, 0)
                                         : fchownat(dir, name, user->pw_uid, user->pw_gid, AT_SYMLINK_NOFOLLOW);
    return result == 0 ? 0 : -errno;
}

static int give_all(DIR *dir, const struct passwd *user)
{
    const struct dirent *entry;
    int result = 0;
    rewinddir(dir);
    while (result == 0 && (entry = readdir(dir)) != NULL)
        if (!is_dots(entry->d_name))
            result = give_entry(dirfd(dir), entry->d_name, user);
    if (result == 0 && fchown(dirfd(dir), user->pw_uid, user->pw_gid) != 0)
        result = -errno;
    return result;
}

/* A directory that is not root's, or not a broker's, is left as it is; run_dir tells then what is wrong with it. */
static int give_dir(const char *flag, const char *path, const struct passwd *user, struct problems *problems)
{
    struct stat status = {.st_uid = (uid_t)-1};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    int result = dir == NULL || fstat(fd, &status) != 0 ? -errno : 0;
    if (result == 0 && status.st_uid == 0 && holds_only_ours(dir))
        result = give_all(dir, user);
    if (result != 0)
        problems_add(problems, "%s: %s: cannot be given to user %s: %s", flag, path, user->pw_name, strerror(-result));
    if (dir != NULL)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    return result == 0 ? 0 : 1;
}

static int give_dirs(const struct config *config, const struct passwd *user, struct problems *problems)
{
    if (run_dir_make(config, problems) != 0)
        return 1;
    int run = give_dir("--run-dir", config->run_dir, user, problems);
    int state = give_dir("--state-dir", config->state_dir, user, problems);
    return run != 0 || state != 0 ? 1 : 0;
}

/* --- the process --- */

/* "" or what could not be done. */
static const char *drop(const struct passwd *user)
{
    if (initgroups(user->pw_name, user->pw_gid) != 0)
        return "setgroups";
    if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0)
        return "setgid";
    if (setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
        return "setuid";
    errno = EPERM;
    if (getuid() != user->pw_uid || geteuid() != user->pw_uid || getgid() != user->pw_gid ||
        getegid() != user->pw_gid || setresuid(0, 0, 0) == 0)
        return "it could be undone";
    return "";
}

int user_become(const struct config *config, bool makes_dirs, struct problems *problems)
{
    if (config->user == NULL)
        return 0;
    errno = 0;
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL) {
        problems_add(problems, "--user: %s: %s", config->user, errno != 0 ? strerror(errno) : "there is no such user");
        return 1;
    }
    if (geteuid() == user->pw_uid)
        return 0;
    if (geteuid() != 0) {
        problems_add(problems, "--user: only root can become %s; start the broker as root, or as that user",
                     config->user);
        return 1;
    }
    if (makes_dirs && give_dirs(config, user, problems) != 0)
        return 1;
    const char *failed = drop(user);
    if (failed[0] == '\0')
        return 0;
    problems_add(problems, "--user: %s: %s: %s", config->user, failed, strerror(errno));
    return 1;
}
