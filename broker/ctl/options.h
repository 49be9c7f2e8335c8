/* SPDX-License-Identifier: MIT */
/* The command line, taken apart: options may stand anywhere, what is left is the command and its arguments. Which
 * options a command takes is the business of commands.c. All texts are the command line's. */
#ifndef CTL_OPTIONS_H
#define CTL_OPTIONS_H

#include "common/compiler.h"
#include "common/server_def.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_id {
    OPTION_RUN_DIR,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_OFFLINE,
    OPTION_WORKER,
    OPTION_WORKSPACE,
    OPTION_STATE,
    OPTION_SORT,
    OPTION_ID,
    OPTION_URL,
    OPTION_NAME,
    OPTION_USER,
    OPTION_HEADER,
    OPTION_TYPE,
    OPTION_TIMEOUT,
    OPTION_EVENTS,
    OPTION_WAIT,
    OPTION_LISTS,
    OPTION_CALL,
    OPTION_SERVER,
    OPTION_KIND,
    OPTION_COUNT_EVENTS,
    OPTION_INTERVAL,
    OPTION_COUNT
};

struct options {
    const char *value[OPTION_COUNT];             /* NULL: not given; "" for a switch; the last one when given again */
    const char *headers[SERVER_DEF_HEADERS_MAX]; /* each --header */
    size_t header_count;
    const char *run_dir; /* for main to fill in; NULL: none is known */
    const char *command; /* NULL: none */
    char *const *arguments;
    int argument_count;
};

/* 0, or 1 when it is none, which was told. */
MUST_CHECK int options_parse(int argc, char *argv[], struct options *options);

bool options_has(const struct options *options, enum option_id id);

/* "--run-dir". */
const char *options_flag(enum option_id id);

/* Reads a whole number from `min` to `max`; false when it is none, which was told with `what`. */
MUST_CHECK bool options_number(const char *text, const char *what, long min, long max, long *number);

/* The duration of an option in ms, or `default_ms` when it is not given; false when it is none, which was told. */
MUST_CHECK bool options_duration(const struct options *options, enum option_id id, uint64_t default_ms, uint64_t *ms);

/* The lines of `--help` about options. */
void options_help(FILE *out);

#endif
