/* SPDX-License-Identifier: MIT */
/* `probe`: has the worker's executable look at one server, in a process of its own, and shows what it found. So it is the
 * code of a worker that speaks, a server's bytes never reach this process but as the worker's report, and no broker has
 * to be there.
 *
 * The order goes through a pipe, since its definition may hold secrets. The worker reads all of it before it writes, so one
 * direction after the other is enough. */
#include "broker/ctl/probe.h"

#include "broker/ctl/client.h"
#include "broker/ctl/definition.h"
#include "broker/ctl/probe_view.h"
#include "broker/ctl/screen.h"
#include "common/buf.h"
#include "common/program.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 2000, WAIT_MAX_MS = 3600000, REPORT_MAX = 128 * 1024 * 1024 /* lists may be in it */ };

struct looker {
    pid_t pid;
    int in, out; /* our ends */
};

static void tell_problem(void *user, const char *id, const char *key, const char *message)
{
    (void)user, (void)id;
    fprintf(stderr, "mcp-brokerctl: %s%s%s\n", key, key[0] != '\0' ? ": " : "", message);
}

/* {"name", "arguments"} of NAME[=JSON]; NULL when it is none, which was told. */
static json_t *read_call(const char *text)
{
    size_t size = strcspn(text, "=");
    json_error_t error;

    for (size_t i = 0; i < size; i++)
        if (text[i] < '!' || text[i] > '~') /* it goes into a header, too */
            size = 0;
    json_t *arguments = text[size] == '=' ? json_loads(text + size + 1, JSON_REJECT_DUPLICATES, &error) : json_object();
    if (size > 0 && json_is_object(arguments))
        return json_pack("{s:s%, s:o}", "name", text, size, "arguments", arguments);
    fprintf(stderr, "mcp-brokerctl: --call must look like 'tool' or 'tool={\"key\": \"value\"}'\n");
    json_decref(arguments);
    return NULL;
}

/* What the worker is to do, as JSON text (common/program.h); NULL when it is none, which was told. Free it. */
static char *read_order(const struct options *options)
{
    json_t *object = definition_is_input(options) ? definition_of_input(options)
                                                  : definition_of_options(options, options->arguments[0]);
    json_t *call = options_has(options, OPTION_CALL) ? read_call(options->value[OPTION_CALL]) : json_null();
    char *text = NULL;

    json_object_del(object, "serverId");
    struct server_def *def =
        object != NULL ? server_def_from_json("probe", object, SOURCE_FILE, tell_problem, NULL) : NULL;
    if (def != NULL && call != NULL) {
        json_t *order = json_pack("{s:O, s:O, s:b}", "definition", object, "call", call, "lists",
                                  options_has(options, OPTION_LISTS));
        text = order != NULL ? json_dumps(order, JSON_COMPACT) : NULL;
        json_decref(order);
    }
    server_def_destroy(def);
    json_decref(object);
    json_decref(call);
    return text;
}

/* 0 or an errno. */
static int spawn(const char *path, uint64_t wait_ms, struct looker *looker)
{
    char wait[24];
    char *const argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)PROGRAM_PROBE, wait, NULL};
    posix_spawn_file_actions_t actions;
    int in[2], out[2], fault = 0;

    snprintf(wait, sizeof wait, "%" PRIu64, wait_ms);
    if (pipe2(in, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(out, O_CLOEXEC) != 0) {
        fault = errno;
        goto close_in;
    }
    fault = posix_spawn_file_actions_init(&actions);
    if (fault != 0)
        goto close_out;
    fault = posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    if (fault == 0)
        fault = posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    if (fault == 0)
        fault = posix_spawn(&looker->pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (fault != 0)
        goto close_out;
    looker->in = in[1];
    looker->out = out[0];
    close(in[0]);
    close(out[1]);
    return 0;

close_out:
    close(out[0]);
    close(out[1]);
close_in:
    close(in[0]);
    close(in[1]);
    return fault;
}

static void write_all(int fd, const char *text)
{
    size_t left = strlen(text);
    ssize_t wrote;

    while (left > 0 && (wrote = write(fd, text, left)) > 0) {
        text += wrote;
        left -= (size_t)wrote;
    }
}

static json_t *read_report(int fd)
{
    char chunk[4096];
    struct buf bytes;
    ssize_t got;
    int outcome = 0;

    buf_init(&bytes, REPORT_MAX);
    while (outcome == 0 && (got = read(fd, chunk, sizeof chunk)) > 0)
        outcome = buf_append(&bytes, chunk, (size_t)got);
    json_t *report = outcome == 0 ? json_loadb(buf_text(&bytes), bytes.size, 0, NULL) : NULL;
    buf_fini(&bytes);
    return report;
}

/* What the worker found, or NULL; its exit code in *code. */
static json_t *ask(struct looker *looker, const char *order, int *code)
{
    int status;

    signal(SIGPIPE, SIG_IGN); /* it may have ended already */
    write_all(looker->in, order);
    close(looker->in);
    json_t *report = read_report(looker->out);
    close(looker->out);
    while (waitpid(looker->pid, &status, 0) < 0)
        if (errno != EINTR)
            return report;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : PROGRAM_PROBE_FAULT;
    return report;
}

static enum exit_code probe(const struct options *options, const char *order, uint64_t wait_ms)
{
    char path[PATH_MAX];
    struct looker looker;
    struct problems problems;
    int code = PROGRAM_PROBE_FAULT;

    problems_init(&problems);
    int missing = program_find(PROGRAM_WORKER, path, &problems);
    problems_print(&problems, "mcp-brokerctl");
    problems_fini(&problems);
    if (missing != 0)
        return EXIT_CODE_REFUSED;
    int fault = spawn(path, wait_ms, &looker);
    if (fault != 0) {
        fprintf(stderr, "mcp-brokerctl: %s: %s\n", path, strerror(fault));
        return EXIT_CODE_REFUSED;
    }
    json_t *report = ask(&looker, order, &code);
    if (!json_is_object(report) || (code != PROGRAM_PROBE_GOOD && code != PROGRAM_PROBE_BAD)) {
        fprintf(stderr, "mcp-brokerctl: %s has failed\n", path);
        json_decref(report);
        return EXIT_CODE_REFUSED;
    }
    if (options_has(options, OPTION_JSON))
        screen_json(report);
    else
        probe_view(stdout, report);
    json_decref(report);
    return code == PROGRAM_PROBE_GOOD ? EXIT_CODE_DONE : EXIT_CODE_REFUSED;
}

enum exit_code probe_run(const struct options *options)
{
    uint64_t wait_ms;

    if (!options_duration(options, OPTION_WAIT, WAIT_MS, &wait_ms))
        return EXIT_CODE_USAGE;
    char *order = read_order(options);
    if (order == NULL)
        return EXIT_CODE_USAGE;
    enum exit_code code = probe(options, order, wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
    free(order);
    return code;
}
