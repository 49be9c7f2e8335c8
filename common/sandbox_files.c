/* SPDX-License-Identifier: MIT */
/* The files of a sandbox, by Landlock: what is not granted here can't be opened, whatever the user's rights are. Granted
 * are folders and single files as they are now; a file that later takes the place of a granted one is not granted, which
 * is why folders are preferred where files are replaced as a matter of course, and why the supervisor watches the rest
 * (broker/supervisor/opened_files).
 *
 * A worker reads what name resolution, TLS and the loader of libraries read, and the files that servers name. /etc is
 * granted file by file: it has secrets, too. A hub reads anything, since the servers file names files (${file:…}) that
 * are known once it was read; it writes its two directories. Neither executes, nor (where the kernel can tell) listens on
 * TCP if it is a worker, signals other processes, or speaks to abstract sockets.
 *
 * There is no C library interface, and the header of Debian 12's kernel ends at version 2 of what the kernel has: hence
 * the numbers. */
#include "common/paths.h"
#include "common/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#define FS_TRUNCATE     (1ULL << 14) /* since version 3 */
#define FS_IOCTL_DEVICE (1ULL << 15) /* 5 */
#define NET_BIND_TCP    (1ULL << 0)  /* 4 */
#define SCOPE_ALL       (3ULL << 0)  /* 6: abstract sockets, signals */

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                                       \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                    \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | FS_TRUNCATE)
#define FS_NEVER                                                                                                       \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR |                       \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                      \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | FS_IOCTL_DEVICE)
#define FS_OF_A_FILE                                                                                                   \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | FS_TRUNCATE |         \
     FS_IOCTL_DEVICE)

/* Of version 6; the kernel takes as much of it as its version has. */
struct ruleset {
    uint64_t files, net, scopes;
};

enum { LINE_END = '\n' };

/* --- what a worker reads --- */

/* Replaced one by one, and beside secrets. */
static const char *const system_files[] = {"/etc/resolv.conf", "/etc/hosts",     "/etc/nsswitch.conf",
                                           "/etc/host.conf",   "/etc/gai.conf",  "/etc/services",
                                           "/etc/protocols",   "/etc/localtime", "/etc/ld.so.cache"};

static const char *const system_folders[] = {
    /* certificates, and how OpenSSL is to use them */
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted",
    "/etc/crypto-policies", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
    /* libraries that are loaded when they are needed, above all those of name resolution; time zones and locales */
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/usr/share/locale",
    /* how many processors there are, and the devices that are everybody's */
    "/sys/devices/system/cpu", "/dev/null", "/dev/random", "/dev/urandom"};

/* The sanitizers read the process's own maps, and its executable for the lines of a report. */
static const char *const sanitizer_folders[] = {"/proc/self/exe", "/proc", "/usr/lib/debug"};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZER_FOLDERS = ARRAY_LENGTH(sanitizer_folders) };
#else
enum { SANITIZER_FOLDERS = 0 };
#endif

const char *sandbox_system_file(size_t i)
{
    return i < ARRAY_LENGTH(system_files) ? system_files[i] : NULL;
}

bool sandbox_grant(const char *path, char granted[PATH_MAX])
{
    static const char volatile_root[] = "/run/";
    if (realpath(path, granted) == NULL)
        return false;
    if (strncmp(granted, volatile_root, sizeof(volatile_root) - 1) == 0 &&
        strchr(granted + sizeof(volatile_root) - 1, '/') != NULL)
        dirname(granted); /* which cuts it in place */
    return true;
}

/* --- granting --- */

struct rules {
    int fd;
    uint64_t handled;
};

/* What is not there need not be granted. 0 or a negative errno. */
static int grant(const struct rules *rules, const char *path, uint64_t access)
{
    struct stat status;
    struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
    int result = fstat(rule.parent_fd, &status) != 0 ? -errno : 0;
    rule.allowed_access = access & rules->handled & (S_ISDIR(status.st_mode) ? ~0ULL : FS_OF_A_FILE);
    if (result == 0 && rule.allowed_access != 0 &&
        syscall(SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        result = -errno;
    close(rule.parent_fd);
    return result;
}

static int grant_all(const struct rules *rules, const char *const paths[], size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = grant(rules, paths[i], FS_READ);
    return result;
}

static int grant_file(const struct rules *rules, const char *path)
{
    char granted[PATH_MAX];
    return sandbox_grant(path, granted) ? grant(rules, granted, FS_READ) : 0;
}

/* One a line. */
static int grant_named(const struct rules *rules, const char *files)
{
    int result = 0;
    while (files != NULL && *files != '\0' && result == 0) {
        const char *end = strchrnul(files, LINE_END);
        char path[PATH_MAX];
        if ((size_t)(end - files) < sizeof(path)) {
            memcpy(path, files, (size_t)(end - files));
            path[end - files] = '\0';
            result = grant_file(rules, path);
        }
        files = *end != '\0' ? end + 1 : end;
    }
    return result;
}

/* The table may be a link to elsewhere. */
static int grant_run_dir(const struct rules *rules, const char *run_dir)
{
    char path[PATH_MAX], table[PATH_MAX];
    int result = grant(rules, run_dir, FS_READ | FS_WRITE);
    if (result == 0 && paths_join(path, sizeof(path), run_dir, PATHS_TABLE) == 0 && realpath(path, table) != NULL)
        result = grant(rules, table, FS_READ | FS_WRITE);
    return result;
}

static int grant_worker(const struct rules *rules, const struct sandbox_options *options)
{
    static const char *const variables[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF"};
    int result = grant_all(rules, system_folders, ARRAY_LENGTH(system_folders));
    if (result == 0)
        result = grant_all(rules, sanitizer_folders, SANITIZER_FOLDERS);
    for (size_t i = 0; i < ARRAY_LENGTH(system_files) && result == 0; i++)
        result = grant_file(rules, system_files[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(variables) && result == 0; i++)
        result = getenv(variables[i]) != NULL ? grant_file(rules, getenv(variables[i])) : 0;
    return result == 0 ? grant_named(rules, options->files) : result;
}

static int grant_hub(const struct rules *rules, const struct sandbox_options *options)
{
    int result = grant(rules, "/dev/null", FS_READ | FS_WRITE);
    return result == 0 ? grant(rules, options->state_dir, FS_READ | FS_WRITE) : result;
}

/* --- the ruleset --- */

/* Everything of this version that somebody is to be kept from. */
static struct ruleset handled_by(int version, enum sandbox_role role)
{
    bool is_worker = role == SANDBOX_WORKER;
    struct ruleset set = {.files = FS_WRITE | FS_NEVER | (is_worker ? FS_READ : 0)};
    if (version < 2)
        set.files &= ~LANDLOCK_ACCESS_FS_REFER;
    if (version < 3)
        set.files &= ~FS_TRUNCATE;
    if (version < 5)
        set.files &= ~FS_IOCTL_DEVICE;
    if (version >= 4 && is_worker)
        set.net = NET_BIND_TCP;
    if (version >= 6)
        set.scopes = SCOPE_ALL;
    return set;
}

static size_t size_by(int version)
{
    return version >= 6   ? sizeof(struct ruleset)
           : version >= 4 ? offsetof(struct ruleset, scopes)
                          : offsetof(struct ruleset, net);
}

int sandbox_files_restrict(const struct sandbox_options *options)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return 0;
    const struct ruleset set = handled_by((int)version, options->role);
    struct rules rules = {.handled = set.files};
    rules.fd = (int)syscall(SYS_landlock_create_ruleset, &set, size_by((int)version), 0);
    if (rules.fd < 0)
        return -errno;
    int result = options->run_dir != NULL ? grant_run_dir(&rules, options->run_dir) : 0;
    if (result == 0)
        result = options->role == SANDBOX_WORKER ? grant_worker(&rules, options) : grant_hub(&rules, options);
    if (result == 0 && syscall(SYS_landlock_restrict_self, rules.fd, 0) != 0)
        result = -errno;
    close(rules.fd);
    return result == 0 ? (int)version : result;
}
