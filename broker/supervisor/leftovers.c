/* SPDX-License-Identifier: MIT */
/* A supervisor that is killed leaves its children behind. They notice at once and leave, but in order: a worker ends its
 * sessions, the hub publishes what is owed. A new broker that began meanwhile would have a second worker write the same
 * rows, which have one writer; so it waits. One of them that hangs never notices: it is killed. The table says who they
 * are, and since a pid may be somebody else's by now, only a process that has the name of one of our programs is meant.
 * (Which file it executes is not ours to see: it keeps even its own user out, see common/conceal.)
 *
 * Whether any is left is not asked of pids but of the lock that each holds on the table (table_in_use). */
#include "broker/supervisor/leftovers.h"

#include "common/log.h"
#include "common/table.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A worker gives its sessions 6 s, and the hub leaves in 2 s. */
enum { LOOK_MS = 50, LEAVE_MS = 8000, DIE_MS = 2000, NAME_SIZE = 17 /* 15 bytes, line break, NUL */ };

/* 0 once it is free, TABLE_IN_USE after `patience_ms`, or a negative errno. */
static int wait_for(const char *run_dir, unsigned patience_ms)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int result = table_in_use(run_dir);
    for (unsigned waited_ms = 0; result == TABLE_IN_USE && waited_ms < patience_ms; waited_ms += LOOK_MS) {
        nanosleep(&pause, NULL);
        result = table_in_use(run_dir);
    }
    return result;
}

/* True when the process is one of that program. The kernel keeps the first bytes of its name. */
static bool runs(uint64_t pid, const char *program)
{
    char path[64], name[NAME_SIZE];
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/comm", pid);
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(name, sizeof(name), file) != NULL;
    if (file != NULL)
        fclose(file);
    if (!read)
        return false;
    name[strcspn(name, "\n")] = '\0';
    return name[0] != '\0' && strncmp(strrchr(program, '/') + 1, name, NAME_SIZE - 2) == 0;
}

static void kill_one(const struct table *table, int slot, const char *program)
{
    struct slot value;
    table_slot_read(table, slot, &value);
    if (value.pid == 0 || value.pid > INT32_MAX || !runs(value.pid, program))
        return;
    log_warn("leftover.killed", LOG_I64("slot", slot), LOG_U64("child_pid", value.pid));
    if (kill((pid_t)value.pid, SIGKILL) != 0)
        log_warn("leftover.not_killed", LOG_U64("child_pid", value.pid), LOG_TEXT("error", strerror(errno)));
}

static void kill_all(const char *run_dir, const struct programs *programs)
{
    struct table *table;
    char error[TABLE_ERROR_SIZE];
    if (table_open(run_dir, TABLE_READ_ONLY, &table, error) != 0) {
        log_warn("leftover.unknown", LOG_TEXT("error", error));
        return;
    }
    kill_one(table, TABLE_HUB, programs->hub);
    for (int slot = 0; slot < table_slot_count(table); slot++)
        kill_one(table, slot, programs->worker);
    table_close(table);
}

int leftovers_wait(const char *run_dir, const struct programs *programs, struct problems *problems)
{
    int result = table_in_use(run_dir);
    if (result == TABLE_IN_USE) {
        log_warn("leftovers.found", LOG_TEXT("then", "waiting for the processes of a broker that was killed"));
        result = wait_for(run_dir, LEAVE_MS);
    }
    if (result == TABLE_IN_USE) {
        kill_all(run_dir, programs);
        result = wait_for(run_dir, DIE_MS);
    }
    if (result == 0)
        return 0;
    problems_add(problems, "--run-dir: %s: %s", run_dir,
                 result < 0 ? strerror(-result)
                            : "processes of a broker that was killed are still there; end mcp-broker-hub and "
                              "mcp-broker-worker");
    return 1;
}
