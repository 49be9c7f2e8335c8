/* SPDX-License-Identifier: MIT */
/* Watches the folder and not the file: editors and configuration managers replace files by renaming, and a mounted
 * configuration map swaps a symbolic link beside it. Whatever happens in the folder makes us look, a little later and
 * once for many happenings, whether the file that the path leads to is another than the one that was read: by its
 * identity, size and time of change.
 *
 * Reading runs on libuv's thread pool with nothing shared but the path and the request's own results. While one reading
 * is under way another wish is only noted; it is served by the next one.
 */
#include "broker/hub/servers_source.h"

#include "broker/hub/servers_copy.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/paths.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEBOUNCE_MS = 200, ERROR_SIZE = PROBLEM_TEXT_SIZE + 64 };

/* What tells one version of a file from another. */
struct signature {
    uint64_t device, inode, size;
    struct timespec changed;
};

struct servers_source {
    uv_fs_event_t event;
    uv_timer_t debounce;
    uv_work_t work;
    char *path;
    char copy_path[PATH_MAX];
    void (*on_servers)(void *user, struct servers_file *file);
    void *user;
    bool working, again, closed;
    unsigned holders; /* handles and work whose last callback is still to come */
    /* results of a reading; the pool's while `working` */
    struct servers_file file;
    struct problems problems;
    int result, copy_result;
    struct signature read_signature;
    uint64_t read_ms;
    char error[ERROR_SIZE];
};

static void let_go(struct servers_source *source)
{
    assert(source->holders > 0);
    if (--source->holders > 0)
        return;
    free(source->path);
    free(source);
}

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

/* --- reading --- */

/* On any thread. The signature is taken first: a file that changes meanwhile is read again. */
static void read_file(struct servers_source *source)
{
    source->read_signature = look(source->path);
    problems_init(&source->problems);
    source->result = servers_file_read(source->path, &source->file, &source->problems);
    if (source->result == 0)
        source->copy_result = servers_copy_write(source->copy_path, &source->file);
}

static void tell_problems(struct servers_source *source)
{
    const struct problems *problems = &source->problems;
    for (size_t i = 0; i < problems->count; i++)
        log_error("servers_file.problem", LOG_TEXT("problem", problems->lines[i]));
    size_t more = problems->more + (problems->count > 0 ? problems->count - 1 : 0);
    const char *first = problems->count > 0 ? problems->lines[0] : "no memory";
    if (more > 0)
        snprintf(source->error, sizeof(source->error), "%s (and %zu more)", first, more);
    else
        snprintf(source->error, sizeof(source->error), "%s", first);
    log_error("servers_file.refused", LOG_TEXT("path", source->path), LOG_U64("problems", more + 1),
              LOG_TEXT("then", "the servers known so far stay"));
}

static void take_over(struct servers_source *source)
{
    if (source->result == 0) {
        source->error[0] = '\0';
        source->read_ms = clock_wall_ms();
        if (source->copy_result != 0)
            log_warn("servers_file.no_copy", LOG_TEXT("path", source->copy_path),
                     LOG_TEXT("error", strerror(-source->copy_result)));
        log_info("servers_file.read", LOG_TEXT("path", source->path), LOG_U64("servers", source->file.count));
        source->on_servers(source->user, &source->file);
        servers_file_fini(&source->file);
    } else {
        tell_problems(source);
    }
    problems_fini(&source->problems);
}

static int take_copy(struct servers_source *source)
{
    struct servers_file copy;
    int result = servers_copy_read(source->copy_path, &copy);
    if (result != 0) {
        log_error("servers_file.none", LOG_TEXT("copy", source->copy_path), LOG_TEXT("error", strerror(-result)),
                  LOG_TEXT("then", "which servers there are is not known: nothing is done until the file is right"));
        return 1;
    }
    log_warn("servers_file.last_good", LOG_TEXT("copy", source->copy_path), LOG_U64("servers", copy.count));
    source->on_servers(source->user, &copy);
    servers_file_fini(&copy);
    return 0;
}

int servers_source_read(struct servers_source *source)
{
    assert(!source->working);
    read_file(source);
    bool is_good = source->result == 0;
    take_over(source);
    return is_good ? 0 : take_copy(source);
}

static void on_work(uv_work_t *work)
{
    read_file(work->data);
}

static void on_worked(uv_work_t *work, int status)
{
    struct servers_source *source = work->data;
    source->working = false;
    if (status == 0 && !source->closed) {
        take_over(source);
    } else if (status == 0) {
        servers_file_fini(&source->file);
        problems_fini(&source->problems);
    }
    if (source->again && !source->closed)
        servers_source_reload(source);
    let_go(source);
}

void servers_source_reload(struct servers_source *source)
{
    source->again = source->working;
    if (source->working)
        return;
    source->work.data = source;
    if (uv_queue_work(source->event.loop, &source->work, on_work, on_worked) != 0)
        return;
    source->working = true;
    source->holders++;
}

/* --- watching --- */

static void on_quiet(uv_timer_t *timer)
{
    struct servers_source *source = timer->data;
    if (source->working) { /* the signature is the pool's: look when it is through */
        uv_timer_start(timer, on_quiet, DEBOUNCE_MS, 0);
        return;
    }
    struct signature now = look(source->path);
    if (!is_same(&now, &source->read_signature))
        servers_source_reload(source);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)name, (void)events, (void)status;
    struct servers_source *source = event->data;
    /* Not put off by further events: in a busy folder the time would never come. */
    if (!uv_is_active((uv_handle_t *)&source->debounce))
        uv_timer_start(&source->debounce, on_quiet, DEBOUNCE_MS, 0);
}

static void watch(struct servers_source *source)
{
    char *copy = strdup(source->path); /* dirname writes into it */
    int result = copy ? uv_fs_event_start(&source->event, on_event, dirname(copy), 0) : UV_ENOMEM;
    free(copy);
    if (result != 0) /* not fatal: a reload can still be asked for */
        log_warn("servers_file.watch", LOG_TEXT("path", source->path), LOG_TEXT("error", uv_strerror(result)));
}

int servers_source_open(uv_loop_t *loop, const char *path, const char *run_dir,
                        void (*on_servers)(void *user, struct servers_file *file), void *user,
                        struct servers_source **out)
{
    struct servers_source *source = calloc(1, sizeof(*source));
    char *copy = strdup(path);
    int result = source && copy ? paths_join(source->copy_path, sizeof(source->copy_path), run_dir, PATHS_SERVERS_COPY)
                                : -ENOMEM;
    if (result == 0)
        result = uv_fs_event_init(loop, &source->event);
    if (result != 0) {
        log_error("servers_file.open", LOG_TEXT("error", strerror(-result)));
        free(copy);
        free(source);
        return result;
    }
    source->path = copy;
    source->on_servers = on_servers;
    source->user = user;
    source->event.data = source;
    uv_timer_init(loop, &source->debounce);
    source->debounce.data = source;
    source->holders = 2;
    watch(source);
    *out = source;
    return 0;
}

const char *servers_source_path(const struct servers_source *source)
{
    return source->path;
}

uint64_t servers_source_read_ms(const struct servers_source *source)
{
    return source->read_ms;
}

const char *servers_source_error(const struct servers_source *source)
{
    return source->error;
}

void servers_source_forget(const struct servers_source *source)
{
    if (source)
        servers_copy_remove(source->copy_path);
}

static void on_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void servers_source_close(struct servers_source *source)
{
    if (!source)
        return;
    source->closed = true;
    if (source->working)
        (void)uv_cancel((uv_req_t *)&source->work);
    uv_close((uv_handle_t *)&source->event, on_closed);
    uv_close((uv_handle_t *)&source->debounce, on_closed);
}
