/* SPDX-License-Identifier: MIT */
/* Files first, then calls, since the second forbids making the first. A kernel that is too old for Landlock, or was booted
 * without it, is told once, at debug; one without seccomp filters is an error, because then nothing would hold: an
 * operator who wants that says so (--sandbox off). */
#include "common/sandbox.h"

#include "common/log.h"
#include "common/sandbox_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static char in_force[SANDBOX_TEXT_SIZE] = "off";

static int fail(char error[SANDBOX_ERROR_SIZE], const char *what, int result)
{
    snprintf(error, SANDBOX_ERROR_SIZE, "%s: %s; --sandbox off does without", what, strerror(-result));
    return 1;
}

int sandbox_enter(const struct sandbox_options *options, char error[SANDBOX_ERROR_SIZE])
{
    /* Landlock and seccomp ask for it of a process that is not root's. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(error, "no_new_privs", -1);
    int landlock = sandbox_files_restrict(options);
    if (landlock < 0)
        return fail(error, "landlock", landlock);
    if (landlock == 0)
        log_debug("sandbox.no_landlock", LOG_TEXT("then", "files are bound by the user's rights only"));
    int result = sandbox_calls_restrict(options->role);
    if (result != 0)
        return fail(error, "seccomp", result);
    if (landlock > 0)
        snprintf(in_force, sizeof(in_force), "seccomp, landlock %d", landlock);
    else
        snprintf(in_force, sizeof(in_force), "seccomp");
    log_debug("sandbox.entered", LOG_TEXT("sandbox", in_force));
    return 0;
}

const char *sandbox_text(void)
{
    return in_force;
}
