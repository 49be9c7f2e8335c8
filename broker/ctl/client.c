/* SPDX-License-Identifier: MIT */
/* The asker's end of the diagnostics socket. Every way in which a question can fail becomes an exit code and one line
 * on standard error here, so that a command has only to look at what it asked for.
 *
 * The answer is somebody else's text in parts (errors of servers): it is made fit for a terminal where it is shown. */
#include "broker/ctl/client.h"

#include "broker/ctl/format.h"
#include "common/bus.h"
#include "common/duration.h"
#include "common/paths.h"
#include "common/question.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum exit_code client_no_broker(const char *run_dir)
{
    fprintf(stderr,
            "mcp-brokerctl: no broker answers in %s; start mcp-broker, or name its run directory with --run-dir\n",
            run_dir);
    return EXIT_CODE_NO_BROKER;
}

enum exit_code client_no_memory(void)
{
    fprintf(stderr, "mcp-brokerctl: no memory\n");
    return EXIT_CODE_REFUSED;
}

static enum exit_code tell_fault(const char *run_dir, int fault, uint64_t timeout_ms)
{
    char words[DURATION_TEXT_SIZE];

    if (fault == -ECONNREFUSED || fault == -ENOENT)
        return client_no_broker(run_dir);
    if (fault == -ETIMEDOUT)
        fprintf(stderr, "mcp-brokerctl: the broker in %s has not answered within %s\n", run_dir,
                duration_words(timeout_ms, words));
    else
        fprintf(stderr, "mcp-brokerctl: the broker in %s can't be asked: %s\n", run_dir, strerror(-fault));
    return EXIT_CODE_NO_BROKER;
}

/* Takes over both. */
static enum exit_code tell_refusal(json_t *code, json_t *message)
{
    bool no_server = strcmp(json_string_value(code), question_error_code(QUESTION_NOT_FOUND)) == 0;

    fputs("mcp-brokerctl: ", stderr);
    format_text(stderr, json_string_value(message));
    fputs(" (", stderr);
    format_text(stderr, json_string_value(code));
    fputs(")\n", stderr);
    json_decref(code);
    json_decref(message);
    return no_server ? EXIT_CODE_NO_SERVER : EXIT_CODE_REFUSED;
}

static enum exit_code read_answer(const char *run_dir, const void *bytes, size_t size, json_t **data)
{
    json_t *code, *message;
    int result = question_read_answer(bytes, size, data, &code, &message);

    if (result == 0)
        return EXIT_CODE_DONE;
    if (result == 1)
        return tell_refusal(code, message);
    fprintf(stderr, "mcp-brokerctl: what answers in %s is no broker of this version\n", run_dir);
    return EXIT_CODE_NO_BROKER;
}

enum exit_code client_ask(const char *run_dir, const char *cmd, json_t *args, uint64_t timeout_ms, json_t **data)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct buf question;
    void *answer = NULL;
    size_t answer_size = 0;
    enum exit_code code;

    buf_init(&question, QUESTION_BYTES_MAX);
    int outcome = question_write(&question, cmd, args);
    json_decref(args);
    int fault = paths_join(path, sizeof path, run_dir, PATHS_DIAG);
    if (outcome == BUF_FULL) {
        fprintf(stderr, "mcp-brokerctl: that is more than the broker takes (%d bytes)\n", QUESTION_BYTES_MAX);
        code = EXIT_CODE_REFUSED;
    } else if (outcome != 0) {
        code = client_no_memory();
    } else {
        if (fault == 0)
            fault =
                bus_ask(path, question.bytes, question.size, QUESTION_ANSWER_MAX, timeout_ms, &answer, &answer_size);
        code = fault != 0 ? tell_fault(run_dir, fault, timeout_ms) : read_answer(run_dir, answer, answer_size, data);
    }
    free(answer);
    buf_fini(&question);
    return code;
}
