/* SPDX-License-Identifier: MIT */
/* The file behind the shared-memory table.
 *
 * It must be memory and no disk, so it lies in the run directory only where that is on tmpfs; otherwise it is in /dev/shm,
 * under a name made from the run directory's, and the run directory has a link to it. /dev/shm belongs to everybody:
 * links are not followed there, and a file of another user is never opened for writing.
 *
 * A file that has been given its name is never truncated or laid out anew, since others may have it mapped: a new table
 * is made under another name, whole with its header, and renamed into place. Whoever has the old one mapped keeps it.
 *
 * The file is sparse. What lies before the rows gets its memory here, rows get theirs when they are given out
 * (table_row_reserve): a full tmpfs is then an error, where it would be a SIGBUS otherwise. */
#include "common/table_file.h"

#include "common/clock.h"
#include "common/paths.h"
#include "common/random.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILE_MODE = 0640 };

static void explain(char error[TABLE_ERROR_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);
static void explain(char error[TABLE_ERROR_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, TABLE_ERROR_SIZE, format, arguments);
    va_end(arguments);
}

/* --- one that is there --- */

/* Opens what `path` names, through at most one link, which must belong to the user whose file it leads to. A descriptor
 * or a negative errno. */
static int open_through_link(const char *path, int flags, struct stat *status)
{
    struct stat link = {0};
    char target[PATH_MAX];
    int result = -ELOOP;

    int fd = open(path, flags);
    if (fd < 0 && errno == ELOOP) {
        ssize_t length = readlink(path, target, sizeof(target));
        if (length <= 0 || (size_t)length == sizeof(target) || lstat(path, &link) != 0) {
            return -ELOOP;
        }
        target[length] = '\0';
        fd = open(target, flags);
    }
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, status) != 0) {
        result = -errno;
        goto close_fd;
    }
    if (!S_ISREG(status->st_mode)) {
        result = -EINVAL;
        goto close_fd;
    }
    bool linked = link.st_mode != 0;
    bool for_writing = (flags & O_ACCMODE) != O_RDONLY;
    if ((linked && status->st_uid != link.st_uid) || (for_writing && status->st_uid != geteuid())) {
        result = -EPERM;
        goto close_fd;
    }
    return fd;

close_fd:
    close(fd);
    return result;
}

int table_file_open(const char *run_dir, enum table_access access, struct table_file *out, char error[TABLE_ERROR_SIZE])
{
    char path[PATH_MAX];
    int result = paths_join(path, sizeof(path), run_dir, PATHS_TABLE);
    if (result != 0) {
        explain(error, "run directory %.100s…: the path is too long (--run-dir)", run_dir);
        return result;
    }
    int flags = (access == TABLE_READ_WRITE ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    struct stat status = {0};
    int fd = open_through_link(path, flags, &status);
    if (fd == -ENOENT || fd == -ENOTDIR) {
        explain(error, "no table in %s: is the broker running there? (--run-dir)", run_dir);
        return TABLE_ABSENT;
    }
    if (fd < 0) {
        explain(error, "%s: %s", path,
                fd == -EPERM    ? "the table belongs to another user"
                : fd == -EINVAL ? "no regular file"
                                : strerror(-fd));
        return fd;
    }
    struct layout_header header = {0};
    if (pread(fd, &header, sizeof(header), 0) < 0) {
        result = -errno;
        explain(error, "%s: cannot be read: %s", path, strerror(errno));
        goto close_fd;
    }
    result = table_layout_check(&header, (uint64_t)status.st_size, path, error);
    if (result != 0) {
        goto close_fd;
    }
    /* Nobody holds the other kind for longer than it takes to see that it can be had. */
    if (access == TABLE_READ_WRITE && flock(fd, LOCK_SH) != 0) {
        result = -errno;
        explain(error, "%s: cannot be locked: %s", path, strerror(errno));
        goto close_fd;
    }
    out->fd = fd;
    out->header = header;
    return 0;

close_fd:
    close(fd);
    return result;
}

int table_file_in_use(const char *run_dir)
{
    char path[PATH_MAX];
    struct stat status;
    int result = paths_join(path, sizeof(path), run_dir, PATHS_TABLE);
    if (result != 0) {
        return result;
    }
    int fd = open_through_link(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, &status);
    if (fd < 0) {
        return 0; /* what is wrong with it shows when it is opened */
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        result = errno == EWOULDBLOCK ? TABLE_IN_USE : -errno;
    }
    close(fd);
    return result;
}

/* --- a new one --- */

/* Where the table of this run directory lies; `linked` when that is not in the directory itself. */
static int find_place(const char *run_dir, char place[PATH_MAX], bool *linked)
{
    struct statfs filesystem;
    char absolute[PATH_MAX];
    if (statfs(run_dir, &filesystem) != 0) {
        return -errno;
    }
    *linked = filesystem.f_type != TMPFS_MAGIC;
    if (!*linked) {
        return paths_join(place, PATH_MAX, run_dir, PATHS_TABLE);
    }
    if (realpath(run_dir, absolute) == NULL) {
        return -errno;
    }
    snprintf(place, PATH_MAX, "/dev/shm/mcp-broker-%u-%016" PRIx64, (unsigned)geteuid(),
             (uint64_t)XXH3_64bits(absolute, strlen(absolute)));
    return 0;
}

/* 0, or a positive or negative value when there is none that can be taken over; `error` says why, "" when there is
 * nothing at all. */
static int take_over(const char *run_dir, const char *place, uint32_t capacity, struct table_file *out,
                     char error[TABLE_ERROR_SIZE])
{
    struct table_file found = {.fd = -1};
    struct stat opened, there;
    int result = table_file_open(run_dir, TABLE_READ_WRITE, &found, error);
    if (result != 0) {
        if (result == TABLE_ABSENT) {
            error[0] = '\0';
        }
        return result;
    }
    if (found.header.capacity != capacity) {
        explain(error, "the table has %" PRIu32 " rows, and %" PRIu32 " are wanted (--capacity)", found.header.capacity,
                capacity);
        goto close_fd;
    }
    if (fstat(found.fd, &opened) != 0 || lstat(place, &there) != 0 || opened.st_dev != there.st_dev ||
        opened.st_ino != there.st_ino) {
        explain(error, "the table was not at its place, %s", place);
        goto close_fd;
    }
    *out = found;
    return 0;

close_fd:
    close(found.fd);
    return TABLE_FOREIGN;
}

/* Gives the file its size, its memory and its header. */
static int fill(int fd, const struct layout_header *header)
{
    if (fchmod(fd, FILE_MODE) != 0 || ftruncate(fd, (off_t)header->total_size) != 0) {
        return -errno;
    }
    if (fallocate(fd, 0, 0, (off_t)header->rows_offset) != 0 && errno != EOPNOTSUPP) {
        return -errno;
    }
    ssize_t written = pwrite(fd, header, sizeof(*header), 0);
    if (written < 0) {
        return -errno;
    }
    return (size_t)written == sizeof(*header) ? 0 : -EIO;
}

static int make(const char *place, uint32_t capacity, struct table_file *out)
{
    struct layout_header header;
    char temporary[PATH_MAX + 8];
    table_layout_init(&header, capacity);
    header.created_ms = clock_wall_ms();
    int result = random_id(header.instance);
    if (result != 0) {
        return result;
    }
    snprintf(temporary, sizeof(temporary), "%s.new", place);
    unlink(temporary); /* of a start that was killed in here */
    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return -errno;
    }
    result = fill(fd, &header);
    if (result != 0) {
        goto unlink_temporary;
    }
    if (rename(temporary, place) != 0) {
        result = -errno;
        goto unlink_temporary;
    }
    out->fd = fd;
    out->header = header;
    return 0;

unlink_temporary:
    unlink(temporary);
    close(fd);
    return result;
}

/* Lets `table` in the run directory lead to the place, whatever it was before. */
static int link_to(const char *run_dir, const char *place)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    int result = paths_join(path, sizeof(path), run_dir, PATHS_TABLE);
    if (result == 0) {
        result = paths_join(temporary, sizeof(temporary), run_dir, PATHS_TABLE ".new");
    }
    if (result != 0) {
        return result;
    }
    unlink(temporary);
    if (symlink(place, temporary) != 0) {
        return -errno;
    }
    if (rename(temporary, path) != 0) {
        result = -errno;
        unlink(temporary);
    }
    return result;
}

int table_file_create(const char *run_dir, uint32_t capacity, struct table_file *out, bool *taken_over,
                      char error[TABLE_ERROR_SIZE])
{
    char place[PATH_MAX];
    bool linked = false;
    struct table_file made = {.fd = -1};
    int result = find_place(run_dir, place, &linked);
    if (result != 0) {
        explain(error, "run directory %s: %s (--run-dir)", run_dir, strerror(-result));
        return result;
    }
    if (take_over(run_dir, place, capacity, out, error) == 0) {
        *taken_over = true;
        return 0;
    }
    result = make(place, capacity, &made);
    if (result != 0) {
        explain(error, "table of %" PRIu32 " rows at %s: %s%s", capacity, place, strerror(-result),
                result == -ENOSPC            ? " (make room there, or lower --capacity)"
                : linked && result == -EPERM ? " (another user has that name: remove the file, or set --run-dir)"
                                             : "");
        return result;
    }
    result = linked ? link_to(run_dir, place) : 0;
    if (result != 0) {
        explain(error, "link to the table in %s: %s (--run-dir)", run_dir, strerror(-result));
        goto remove_made;
    }
    *out = made;
    *taken_over = false;
    return 0;

remove_made:
    unlink(place);
    close(made.fd);
    return result;
}
