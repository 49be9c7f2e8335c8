/* SPDX-License-Identifier: MIT */
/* Reads the command line, and works out what follows from it: how many processes are needed under the limit of open
 * files, and under which address each server is found. Each server has an address of its own within 127.0.0.0/8, as
 * servers in the wild have: neither the ephemeral ports to one address nor a client's bookkeeping by host set a limit
 * that would not be there otherwise. With https they share the few that the certificate names. */
#include "tests/fleet/options.h"

#include "tests/fleet/shared.h"
#include "tests/fleet/tls.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Of the open files of a process, those that are no stream: connections for requests, and what it has itself. */
enum { DESCRIPTORS_BESIDE = 2048 };

enum { SERVERS_MAX = 1000000, TOOLS_MAX = 1000 };

static const struct option FLAGS[] = {
    {"servers", required_argument, NULL, 'n'},
    {"processes", required_argument, NULL, 'P'},
    {"port", required_argument, NULL, 'p'},
    {"control", required_argument, NULL, 'c'},
    {"tools", required_argument, NULL, 't'},
    {"era", required_argument, NULL, 'e'},
    {"servers-file", required_argument, NULL, 'f'},
    {"shared-file", required_argument, NULL, 's'},
    {"tls", required_argument, NULL, 'T'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void help(FILE *out)
{
    fputs("usage: mcp-fleet [options]\n"
          "Simulated MCP servers on loopback, and a port to command them.\n\n"
          "  --servers N           how many (1000)\n"
          "  --era ERA             stateless, session or mixed: every other one (mixed)\n"
          "  --tools N             tools of each (3)\n"
          "  --port N              TCP port of the first process; the others have the next ones (20000)\n"
          "  --control PORT        TCP port for commands, on 127.0.0.1 (0: one that is free)\n"
          "  --processes N         (as many as the limit of open files asks for)\n"
          "  --servers-file PATH   write a servers file for the broker: server s0, s1, ...\n"
          "  --tls PATH            https, with a certificate that is made anew and written there\n"
          "  --shared-file PATH    keep counters and times of sending in a file that others can map\n",
          out);
}

static bool read_number(const char *text, unsigned long min, unsigned long max, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *out >= min && *out <= max;
}

static bool read_era(const char *text, enum options_era *out)
{
    static const char *const NAMES[] = {"stateless", "session", "mixed"};
    for (size_t i = 0; i < ARRAY_LENGTH(NAMES); i++) {
        if (strcmp(text, NAMES[i]) == 0) {
            *out = (enum options_era)i;
            return true;
        }
    }
    return false;
}

/* False when the value is wrong. */
static bool read_flag(int letter, const char *value, struct options *out)
{
    unsigned long number = 0;
    bool ok = true;
    switch (letter) {
    case 'n':
        ok = read_number(value, 1, SERVERS_MAX, &number);
        out->servers = (uint32_t)number;
        break;
    case 'P':
        ok = read_number(value, 1, SHARED_PROCESSES_MAX, &number);
        out->processes = (uint32_t)number;
        break;
    case 'p':
        ok = read_number(value, 1, UINT16_MAX - SHARED_PROCESSES_MAX, &number);
        out->port = (uint16_t)number;
        break;
    case 'c':
        ok = read_number(value, 0, UINT16_MAX, &number);
        out->control = (uint16_t)number;
        break;
    case 't':
        ok = read_number(value, 0, TOOLS_MAX, &number);
        out->tools = (unsigned)number;
        break;
    case 'e':
        return read_era(value, &out->era);
    case 'T':
        out->tls_file = value;
        break;
    case 'f':
        out->servers_file = value;
        break;
    default:
        out->shared_file = value;
        break;
    }
    return ok;
}

static int choose_processes(struct options *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max <= (rlim_t)2 * DESCRIPTORS_BESIDE) {
        fprintf(stderr, "mcp-fleet: the limit of open files is below %d: ulimit -n\n", 2 * DESCRIPTORS_BESIDE);
        return EXIT_FAILURE;
    }
    uint32_t streams = limit.rlim_max > SERVERS_MAX ? SERVERS_MAX : (uint32_t)limit.rlim_max - DESCRIPTORS_BESIDE;
    uint32_t needed = (out->servers + streams - 1) / streams;
    if (out->processes == 0)
        out->processes = needed;
    if (out->processes < needed || out->processes > SHARED_PROCESSES_MAX) {
        fprintf(stderr, "mcp-fleet: %" PRIu32 " servers need %" PRIu32 " processes, of at most %d\n", out->servers,
                needed, (int)SHARED_PROCESSES_MAX);
        return EXIT_FAILURE;
    }
    return 0;
}

int options_read(int argc, char *const argv[], struct options *out)
{
    *out = (struct options){.servers = 1000, .port = 20000, .tools = 3, .era = OPTIONS_MIXED};
    int letter, index = 0;
    while ((letter = getopt_long(argc, argv, "", FLAGS, &index)) != -1) {
        if (letter == 'h') {
            help(stdout);
            exit(EXIT_SUCCESS);
        }
        if (letter == '?')
            return EXIT_FAILURE;
        if (!read_flag(letter, optarg, out)) {
            fprintf(stderr, "mcp-fleet: --%s: '%s' is none; see --help\n", FLAGS[index].name, optarg);
            return EXIT_FAILURE;
        }
    }
    if (optind != argc) {
        help(stderr);
        return EXIT_FAILURE;
    }
    return choose_processes(out);
}

uint32_t options_first_of(const struct options *options, uint32_t process)
{
    return (uint32_t)((uint64_t)options->servers * process / options->processes);
}

/* Each server has an address of its own; with https one of the few that the certificate names. */
static void write_address(FILE *file, uint32_t number, bool is_https)
{
    enum { PER_BYTE = 250 };
    if (is_https)
        fprintf(file, "127.1.1.%u", 1 + number % TLS_ADDRESSES);
    else
        fprintf(file, "127.%u.%u.%u", 1 + number / (PER_BYTE * PER_BYTE), 1 + number / PER_BYTE % PER_BYTE,
                1 + number % PER_BYTE);
}

static void write_server(FILE *file, const struct options *options, uint32_t number, unsigned port)
{
    fprintf(file, "%s\n    \"s%" PRIu32 "\": {\"url\": \"%s://", number == 0 ? "" : ",", number,
            options->tls_file ? "https" : "http");
    write_address(file, number, options->tls_file != NULL);
    fprintf(file, ":%u/s/%" PRIu32 "\", \"workspaceId\": \"w\"", port, number);
    if (options->tls_file)
        fprintf(file, ", \"caFile\": \"%s\"", options->tls_file);
    fputc('}', file);
}

int options_write_servers(const struct options *options)
{
    if (!options->servers_file)
        return 0;
    FILE *file = fopen(options->servers_file, "we");
    if (!file)
        return -errno;
    fputs("{\"mcpServers\": {", file);
    for (uint32_t process = 0; process < options->processes; process++) {
        uint32_t end = options_first_of(options, process + 1);
        for (uint32_t number = options_first_of(options, process); number < end; number++)
            write_server(file, options, number, (unsigned)options->port + process);
    }
    fputs("\n}}\n", file);
    return fclose(file) == 0 ? 0 : -errno;
}
