/* SPDX-License-Identifier: MIT */
/* The audit log: who asked the running broker for what, and what came of it. */
#ifndef HUB_AUDIT_H
#define HUB_AUDIT_H

#include "common/bus.h"

#include <stdbool.h>

/* As the words of --audit. */
enum audit { AUDIT_NONE, AUDIT_BASIC, AUDIT_DETAILED };

struct audit_entry {
    const struct bus_question *question; /* whose asker it is about */
    const char *command;                 /* as asked: input */
    const char *server;                  /* NULL: none is named */
    const char *value;                   /* what it is to be set to; NULL: nothing */
    const char *outcome;                 /* "ok", or the code of the error */
    bool changes;                        /* it would change something; false: it only looks */
};

/* Writes the line that `audit` wants: basic for changes (done and refused), detailed for looking, too. */
void audit_write(enum audit audit, const struct audit_entry *entry);

#endif
