/* SPDX-License-Identifier: MIT */
/* Watches the folder and not the file: editors and configuration managers replace files by renaming, and a mounted
 * configuration map swaps a symbolic link beside it. Whatever happens in the folder makes us look, a little later and
 * once for many happenings, whether the file that the path leads to is another than the one that was seen last: by its
 * identity, size and time of change. The servers file (hub) and the configuration file (supervisor) are watched so. */
#include "common/file_watch.h"

#include "common/log.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEBOUNCE_MS = 200 };

/* What tells one version of a file from another; all 0: there is none. */
struct signature {
    uint64_t device, inode, size;
    struct timespec changed;
};

struct file_watch {
    uv_fs_event_t event;
    uv_timer_t debounce;
    char *path;
    struct signature seen;
    void (*on_change)(void *user);
    void *user;
    unsigned handles; /* whose close callback is still to come */
};

static struct signature look(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return (struct signature){0};
    return (struct signature){
        .device = status.st_dev, .inode = status.st_ino, .size = (uint64_t)status.st_size, .changed = status.st_mtim};
}

static bool is_same(const struct signature *a, const struct signature *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void on_quiet(uv_timer_t *timer)
{
    struct file_watch *watch = timer->data;
    struct signature now = look(watch->path);
    if (is_same(&now, &watch->seen))
        return;
    watch->seen = now;
    watch->on_change(watch->user);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)name, (void)events, (void)status;
    struct file_watch *watch = event->data;
    /* Not put off by further events: in a busy folder the time would never come. */
    if (!uv_is_active((uv_handle_t *)&watch->debounce))
        uv_timer_start(&watch->debounce, on_quiet, DEBOUNCE_MS, 0);
}

static void start(struct file_watch *watch)
{
    char *copy = strdup(watch->path); /* dirname writes into it */
    int result = copy ? uv_fs_event_start(&watch->event, on_event, dirname(copy), 0) : UV_ENOMEM;
    free(copy);
    if (result != 0) /* not fatal: a reload can still be asked for */
        log_warn("file.not_watched", LOG_TEXT("path", watch->path), LOG_TEXT("error", uv_strerror(result)));
}

int file_watch_open(uv_loop_t *loop, const char *path, void (*on_change)(void *user), void *user,
                    struct file_watch **out)
{
    struct file_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->path = strdup(path);
    if (!watch->path || uv_fs_event_init(loop, &watch->event) != 0)
        goto free_watch;
    uv_timer_init(loop, &watch->debounce);
    watch->event.data = watch->debounce.data = watch;
    watch->handles = 2;
    watch->on_change = on_change;
    watch->user = user;
    start(watch);
    watch->seen = look(path);
    *out = watch;
    return 0;
free_watch:
    free(watch->path);
    free(watch);
    return -ENOMEM;
}

static void on_closed(uv_handle_t *handle)
{
    struct file_watch *watch = handle->data;
    if (--watch->handles > 0)
        return;
    free(watch->path);
    free(watch);
}

void file_watch_close(struct file_watch *watch)
{
    if (!watch)
        return;
    uv_close((uv_handle_t *)&watch->event, on_closed);
    uv_close((uv_handle_t *)&watch->debounce, on_closed);
}
