/* SPDX-License-Identifier: MIT */
/* What mcp-brokerctl ends with: a contract that scripts rely on. */
#ifndef CTL_EXIT_CODE_H
#define CTL_EXIT_CODE_H

enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_REFUSED = 1,   /* the broker said no, or it could not be done here */
    EXIT_CODE_USAGE = 2,     /* wrong usage */
    EXIT_CODE_NO_BROKER = 3, /* none answers (--offline: no table there) */
    EXIT_CODE_NO_SERVER = 4, /* no such server */
};

#endif
