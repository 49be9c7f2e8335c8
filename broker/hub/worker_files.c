/* SPDX-License-Identifier: MIT */
/* Which servers there are is the hub's to know, and what a new worker is granted is the supervisor's to say; this is the
 * line between them. Only a different set is told: order and repetition say nothing. */
#include "broker/hub/worker_files.h"

#include "common/log.h"
#include "common/named_files.h"

#include <stdlib.h>
#include <string.h>

static int collect(const struct roster *roster, struct buf *out)
{
    int result = 0;
    for (uint32_t row = 0; row < roster_end(roster) && result == 0; row++) {
        const struct server_def *def = roster_def(roster, row);
        result = def != NULL ? named_files_add(out, def) : 0;
    }
    return result;
}

static bool is_same(const char *a, const char *b)
{
    return named_files_within(a, b) && named_files_within(b, a);
}

void worker_files_tell(struct worker_files *files, const struct roster *roster,
                       int (*tell)(void *user, const char *word, const char *argument), void *user)
{
    struct buf now;
    buf_init(&now, NAMED_FILES_MAX);
    if (collect(roster, &now) != 0)
        log_warn("worker_files.left_out",
                 LOG_TEXT("error", "too many different files are named (caFile, privateKeyFile)"));
    if (!is_same(buf_text(&now), files->told != NULL ? files->told : "") && tell(user, "files", buf_text(&now)) == 0) {
        free(files->told);
        files->told = strdup(buf_text(&now));
    }
    buf_fini(&now);
}

void worker_files_fini(struct worker_files *files)
{
    free(files->told);
    files->told = NULL;
}
