/* SPDX-License-Identifier: MIT */
/* What a process that reads strangers' bytes can still do should one of them take it over: nothing but its work. Landlock
 * bounds the files that it can open, seccomp the system calls that it can make; neither can be undone. To be entered
 * once, while the process has one thread, before anything from outside is read. */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include "common/compiler.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum sandbox_role {
    SANDBOX_WORKER, /* reads what HTTPS and names need, and its files; writes the run directory */
    SANDBOX_HUB,    /* reads anything (the servers file names other files); writes run and state directory */
};

enum { SANDBOX_ERROR_SIZE = 256, SANDBOX_TEXT_SIZE = 64 };

struct sandbox_options {
    enum sandbox_role role;
    const char *run_dir;   /* NULL: none */
    const char *state_dir; /* of a hub */
    const char *files;     /* which a worker may read beside the system's, one a line; NULL: none */
};

/* Enters it. 0, or 1 when it can't be, with the reason in `error`: the process must not go on. A kernel without Landlock
 * is no reason: seccomp remains. */
MUST_CHECK int sandbox_enter(const struct sandbox_options *options, char error[SANDBOX_ERROR_SIZE]);

/* What this process is held by: "seccomp, landlock 5", "seccomp", or "off". Borrowed, for good. */
const char *sandbox_text(void);

/* The i-th of the files that a worker opens whatever it watches (name resolution), or NULL behind the last. They are
 * granted as they were when it entered: one that is replaced by another file is out of its reach. */
const char *sandbox_system_file(size_t i);

/* What is granted for a file that is named: itself, or its folder where that is one of those whose files are replaced all
 * the time (/run), with links resolved. False when there is no such file. */
bool sandbox_grant(const char *path, char granted[PATH_MAX]);

#endif
