/* SPDX-License-Identifier: MIT */
/* Standard output as a place: a terminal of some width, or a file or pipe that a program reads. Write errors are
 * collected by stdio and looked at once, at the end: `states > /dev/full` must not end as a success. */
#include "broker/ctl/screen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned screen_width(void)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

static void write_json(const json_t *value, size_t flags)
{
    (void)json_dumpf(value, stdout, flags | JSON_ENCODE_ANY); /* fails as stdout does */
    fputc('\n', stdout);
}

void screen_json(const json_t *value)
{
    write_json(value, isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
}

void screen_json_line(const json_t *value)
{
    write_json(value, JSON_COMPACT);
}

enum exit_code screen_end(enum exit_code code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "mcp-brokerctl: standard output: %s\n", strerror(errno));
    return EXIT_CODE_REFUSED;
}
