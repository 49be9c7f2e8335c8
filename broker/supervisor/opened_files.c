/* SPDX-License-Identifier: MIT */
/* Landlock grants files as they are, not names: after `mv new.pem ca.pem` a worker can't open ca.pem any more, nor
 * resolv.conf after a change of network. So their identities (device, inode) are looked at every few seconds, which costs
 * a dozen stat calls; a file that was written in place is the same file, and files that are replaced all the time are
 * granted with their folder (sandbox_grant). What it takes then is what an operator would do: new workers, one after
 * another. */
#include "broker/supervisor/opened_files.h"

#include "common/log.h"
#include "common/named_files.h"
#include "common/sandbox.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LOOK_MS = 5000 };

struct opened_files {
    uv_timer_t timer;
    char *named;
    uint64_t signature; /* of all files when the workers were last well */
    bool is_stale;      /* told, and not taken */
    bool (*on_stale)(void *user);
    void *user;
};

static void add_to_signature(uint64_t *signature, const char *path)
{
    static const uint64_t prime = 1099511628211U; /* of FNV-1a */
    char granted[PATH_MAX];
    struct stat status = {0};
    if (sandbox_grant(path, granted) && stat(granted, &status) != 0)
        status = (struct stat){0};
    *signature = (*signature ^ status.st_dev) * prime;
    *signature = (*signature ^ status.st_ino) * prime;
}

static uint64_t look(const struct opened_files *files)
{
    uint64_t signature = 0;
    char path[PATH_MAX];
    for (size_t i = 0; sandbox_system_file(i) != NULL; i++)
        add_to_signature(&signature, sandbox_system_file(i));
    for (const char *at = files->named; *at != '\0';) {
        size_t size = strcspn(at, "\n");
        if (size < sizeof(path)) {
            memcpy(path, at, size);
            path[size] = '\0';
            add_to_signature(&signature, path);
        }
        at += size + (at[size] != '\0' ? 1 : 0);
    }
    return signature;
}

static void tell(struct opened_files *files)
{
    if (files->is_stale && files->on_stale(files->user))
        files->is_stale = false;
}

static void on_timer(uv_timer_t *timer)
{
    struct opened_files *files = timer->data;
    uint64_t signature = look(files);
    if (signature != files->signature) {
        log_info("opened_files.replaced",
                 LOG_TEXT("then", "workers are replaced, since theirs can't open the new ones"));
        files->signature = signature;
        files->is_stale = true;
    }
    tell(files);
}

struct opened_files *opened_files_open(uv_loop_t *loop, const char *named, bool (*on_stale)(void *user), void *user)
{
    struct opened_files *files = calloc(1, sizeof(*files));
    if (files == NULL || (files->named = strdup(named)) == NULL) {
        free(files);
        return NULL;
    }
    files->on_stale = on_stale;
    files->user = user;
    files->signature = look(files);
    uv_timer_init(loop, &files->timer);
    files->timer.data = files;
    uv_timer_start(&files->timer, on_timer, LOOK_MS, LOOK_MS);
    return files;
}

void opened_files_name(struct opened_files *files, const char *named)
{
    bool within = named_files_within(named, files->named);
    char *copy = strdup(named);
    if (copy == NULL)
        return;
    free(files->named);
    files->named = copy;
    files->signature = look(files);
    if (within)
        return;
    log_info("opened_files.named", LOG_TEXT("then", "workers are replaced, since theirs can't open the new ones"));
    files->is_stale = true;
    tell(files);
}

const char *opened_files_named(const struct opened_files *files)
{
    return files->named;
}

static void on_closed(uv_handle_t *handle)
{
    struct opened_files *files = handle->data;
    free(files->named);
    free(files);
}

void opened_files_close(struct opened_files *files)
{
    if (files != NULL)
        uv_close((uv_handle_t *)&files->timer, on_closed);
}
