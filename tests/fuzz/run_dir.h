/* SPDX-License-Identifier: MIT */
/* For fuzz targets that need a table: a run directory of the process's own on /dev/shm, removed when it ends in order. */
#ifndef TESTS_FUZZ_RUN_DIR_H
#define TESTS_FUZZ_RUN_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char run_dir[] = "/dev/shm/fuzz.XXXXXX";

static inline int run_dir_remove_entry(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static inline void run_dir_remove(void)
{
    nftw(run_dir, run_dir_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void run_dir_make(void)
{
    if (mkdtemp(run_dir) == NULL || atexit(run_dir_remove) != 0)
        abort();
}

#endif
