/* SPDX-License-Identifier: MIT */
/* What others of this machine could read of a process although it never told them: its environment and its command line
 * (/proc/PID/environ, /proc/PID/cmdline), and its memory (core dumps, debuggers). */
#ifndef COMMON_CONCEAL_H
#define COMMON_CONCEAL_H

/* Moves the environment to where only this process sees it, and wipes the place where it was. getenv and environ work on.
 * First in main(), before anything has borrowed from it; without memory nothing is done. */
void conceal_environment(void);

/* The same for the arguments from the second on: returns a copy of `argv`, for good, and wipes from the original the
 * password of a URL that stands in it. NULL without memory. */
char **conceal_arguments(int argc, char *argv[]);

/* From here on the memory is not dumped, and read by nobody but root. */
void conceal_memory(void);

#endif
