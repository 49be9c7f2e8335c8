/* SPDX-License-Identifier: MIT */
/* The two halves of the sandbox, for sandbox.c and its tests. */
#ifndef COMMON_SANDBOX_INTERNAL_H
#define COMMON_SANDBOX_INTERNAL_H

#include "common/sandbox.h"

/* Landlock. The version of the kernel's interface, 0 where it has none, or a negative errno. */
MUST_CHECK int sandbox_files_restrict(const struct sandbox_options *options);

/* seccomp, and no_new_privs with it. 0 or a negative errno. */
MUST_CHECK int sandbox_calls_restrict(enum sandbox_role role);

#endif
