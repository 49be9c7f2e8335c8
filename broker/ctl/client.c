/* SPDX-License-Identifier: MIT */
/* Asking with the library (broker/client), in JSON values. Every way in which a question can fail becomes an exit code and one line
 * on standard error here, so that a command has only to look at what it asked for.
 *
 * The answer is somebody else's text in parts (errors of servers): it is made fit for a terminal where it is shown. */
#include "broker/ctl/client.h"

#include "broker/client/mcp-broker.h"
#include "broker/ctl/format.h"
#include "common/duration.h"
#include "common/pack.h"
#include "common/question.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

    switch (fault) {
    case -ECONNREFUSED:
    case -ENOENT:
        return client_no_broker(run_dir);
    case -ENOMEM:
        return client_no_memory();
    case -E2BIG:
        fprintf(stderr, "mcp-brokerctl: that is more than the broker takes (%d bytes)\n", QUESTION_BYTES_MAX);
        return EXIT_CODE_REFUSED;
    case -ETIMEDOUT:
        fprintf(stderr, "mcp-brokerctl: the broker in %s has not answered within %s\n", run_dir,
                duration_words(timeout_ms, words));
        break;
    case -EPROTO:
        fprintf(stderr, "mcp-brokerctl: what answers in %s is no broker of this version\n", run_dir);
        break;
    default:
        fprintf(stderr, "mcp-brokerctl: the broker in %s can't be asked: %s\n", run_dir, strerror(-fault));
    }
    return EXIT_CODE_NO_BROKER;
}

static enum exit_code tell_refusal(const struct mcp_broker_answer *answer)
{
    bool no_server = strcmp(answer->error, question_error_code(QUESTION_NOT_FOUND)) == 0;

    fputs("mcp-brokerctl: ", stderr);
    format_text(stderr, answer->message);
    fputs(" (", stderr);
    format_text(stderr, answer->error);
    fputs(")\n", stderr);
    return no_server ? EXIT_CODE_NO_SERVER : EXIT_CODE_REFUSED;
}

static enum exit_code read_data(const char *run_dir, const struct mcp_broker_answer *answer, json_t **data)
{
    json_t *value = pack_read(answer->data, answer->size);

    if (value == NULL)
        return tell_fault(run_dir, -EPROTO, 0);
    *data = value;
    return EXIT_CODE_DONE;
}

enum exit_code client_ask(const char *run_dir, const char *cmd, json_t *args, uint64_t timeout_ms, json_t **data)
{
    struct mcp_broker_answer *answer = NULL;
    char *arguments = args != NULL ? json_dumps(args, JSON_COMPACT) : NULL;
    bool no_memory = args != NULL && arguments == NULL;
    enum exit_code code;

    json_decref(args);
    if (no_memory)
        return client_no_memory();
    int result = mcp_broker_ask(run_dir, cmd, arguments, (unsigned)timeout_ms, &answer);
    free(arguments);
    if (result == 0)
        code = read_data(run_dir, answer, data);
    else
        code = result == MCP_BROKER_REFUSED ? tell_refusal(answer) : tell_fault(run_dir, result, timeout_ms);
    mcp_broker_answer_free(answer);
    return code;
}
