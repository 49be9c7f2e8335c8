/* SPDX-License-Identifier: MIT */
/* The supervisor is told which files workers need for the servers that there are (common/named_files.h), when that has
 * changed. Embeddable; zeroed is ready. Loop thread only. */
#ifndef HUB_WORKER_FILES_H
#define HUB_WORKER_FILES_H

#include "broker/hub/roster.h"

struct worker_files {
    char *told; /* NULL: nothing yet */
};

/* Looks through all servers, and tells when there is something to tell. */
void worker_files_tell(struct worker_files *files, const struct roster *roster,
                       int (*tell)(void *user, const char *word, const char *argument), void *user);
void worker_files_fini(struct worker_files *files);

#endif
