/* SPDX-License-Identifier: MIT */
/* Reading runs on libuv's thread pool with nothing shared but the path and the request's own results. While one reading
 * is under way another wish is only noted; it is served by the next one. So a file that changes while it is read is read
 * again.
 */
#include "broker/hub/servers_source.h"

#include "broker/hub/servers_copy.h"
#include "common/clock.h"
#include "common/file_watch.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_SIZE = PROBLEM_TEXT_SIZE + 64 };

struct servers_source {
    uv_loop_t *loop;
    struct file_watch *watch;
    uv_work_t work;
    char *path;
    struct registry *registry;
    void (*on_servers)(void *user, struct servers_file *file);
    void *user;
    bool working, again, closed;
    /* results of a reading; the pool's while `working` */
    struct servers_file file;
    struct problems problems;
    int result;
    char *copy; /* of a good one; NULL without memory */
    uint64_t read_ms;
    char error[ERROR_SIZE];
};

static void destroy(struct servers_source *source)
{
    servers_copy_destroy(source->copy);
    free(source->path);
    free(source);
}

/* --- reading --- */

/* On any thread. */
static void read_file(struct servers_source *source)
{
    problems_init(&source->problems);
    source->result = servers_file_read(source->path, &source->file, &source->problems);
    if (source->result == 0)
        source->copy = servers_copy_create(&source->file);
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

static void store_copy(struct servers_source *source)
{
    int result = source->copy ? registry_store_note(source->registry, SERVERS_COPY_NOTE, source->copy, false) : -ENOMEM;
    if (result != 0)
        log_warn("servers_file.no_copy", LOG_TEXT("error", strerror(-result)));
    servers_copy_destroy(source->copy);
    source->copy = NULL;
}

static void take_over(struct servers_source *source)
{
    if (source->result == 0) {
        source->error[0] = '\0';
        source->read_ms = clock_wall_ms();
        store_copy(source);
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
    char *text = NULL;
    int result = registry_load_long_note(source->registry, SERVERS_COPY_NOTE, &text);
    if (result == 0)
        result = servers_copy_read(text, &copy);
    servers_copy_destroy(text);
    if (result != 0) {
        log_error("servers_file.none",
                  LOG_TEXT("error", result == REGISTRY_NONE ? "the registry has no copy of it" : strerror(-result)),
                  LOG_TEXT("then", "which servers there are is not known: nothing is done until the file is right"));
        return 1;
    }
    log_warn("servers_file.last_good", LOG_U64("servers", copy.count));
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
    if (source->closed)
        destroy(source);
    else if (source->again)
        servers_source_reload(source);
}

void servers_source_reload(struct servers_source *source)
{
    source->again = source->working;
    if (source->working)
        return;
    source->work.data = source;
    if (uv_queue_work(source->loop, &source->work, on_work, on_worked) == 0)
        source->working = true;
}

static void on_change(void *user)
{
    servers_source_reload(user);
}

int servers_source_open(uv_loop_t *loop, const char *path, struct registry *registry,
                        void (*on_servers)(void *user, struct servers_file *file), void *user,
                        struct servers_source **out)
{
    struct servers_source *source = calloc(1, sizeof(*source));
    char *copy = strdup(path);
    int result = source && copy ? 0 : -ENOMEM;
    if (result == 0)
        result = file_watch_open(loop, path, on_change, source, &source->watch);
    if (result != 0) {
        log_error("servers_file.open", LOG_TEXT("error", strerror(-result)));
        free(copy);
        free(source);
        return result;
    }
    source->loop = loop;
    source->path = copy;
    source->registry = registry;
    source->on_servers = on_servers;
    source->user = user;
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
    if (source && registry_remove_note(source->registry, SERVERS_COPY_NOTE) != 0)
        log_warn("servers_file.copy_left", LOG_TEXT("then", "the registry keeps it"));
}

void servers_source_close(struct servers_source *source)
{
    if (!source)
        return;
    source->closed = true;
    file_watch_close(source->watch);
    if (source->working)
        (void)uv_cancel((uv_req_t *)&source->work);
    else
        destroy(source);
}
