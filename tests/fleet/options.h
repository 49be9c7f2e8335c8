/* SPDX-License-Identifier: MIT */
/* The command line of a fleet. */
#ifndef TESTS_FLEET_OPTIONS_H
#define TESTS_FLEET_OPTIONS_H

#include "common/compiler.h"

#include <stdint.h>

enum options_era { OPTIONS_STATELESS, OPTIONS_SESSION, OPTIONS_MIXED };

struct options {
    uint32_t servers;
    uint32_t processes; /* 0 until options_read: as many as the limit of open files asks for */
    uint16_t port;      /* of the first process; the others have those that follow */
    uint16_t control;   /* 0: any that is free */
    unsigned tools;
    enum options_era era;
    const char *servers_file; /* to be written for the broker; NULL: none */
    const char *shared_file;  /* NULL: none */
    const char *tls_file;     /* https, with the certificate written here; NULL: http */
};

/* 0, or the exit code to end with at once: what is wrong has been written. --help ends the process. */
MUST_CHECK int options_read(int argc, char *const argv[], struct options *out);

/* Writes the servers file. 0 or a negative errno. */
MUST_CHECK int options_write_servers(const struct options *options);

/* Which process has a server, and the first that it has. */
uint32_t options_first_of(const struct options *options, uint32_t process);

#endif
