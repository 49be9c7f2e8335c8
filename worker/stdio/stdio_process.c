/* SPDX-License-Identifier: MIT */
/* One stdio server, by way of its keeper (keeper.c): a keeper is asked for, and starts the server, tells of its birth and
 * death, and sees to it that nobody of it is left in the end; the end of the leash is the keeper's. The pipes are the
 * server's own:
 *
 *   worker ══ input, output, errors ══════════ server
 *        └── leash ── keeper ── SIGTERM, SIGKILL ──┘
 *
 * Pipes, and not the sockets that libuv makes by itself, because programs open /dev/stderr.
 *
 * An end is told once, and from the loop. A pipe that closes is most often the first sign of an exit, so it is the end
 * only when no exit is told soon after: whoever reads the text wants to know why. Once closed, a process is on its way
 * out whatever happens: its output is dropped, its errors still go to the log, and its memory goes with the keeper. */
#include "worker/stdio/stdio_process.h"

#include "common/clock.h"
#include "common/log.h"
#include "worker/http/delay.h"
#include "worker/stdio/lines.h"
#include "worker/stdio/spawner.h"
#include "worker/stdio/stdio_order.h"
#include "worker/stdio/stdio_stderr.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 1000, /* for an exit, once a pipe has closed */
    NAME_SIZE = 64,
    LAST_ERRORS_SIZE = 4096,
    LAST_ERRORS_ROUNDS = 16, /* as much as a pipe holds */
    PIPES = 4,
};

struct stdio_process {
    uv_pipe_t input, output, errors, leash;
    uv_loop_t *loop;
    const struct stdio_handlers *handlers; /* NULL once closed */
    void *user;
    char *server;         /* its id, for the log */
    char name[NAME_SIZE]; /* of the command, for people */
    struct lines lines;
    struct stdio_stderr stderr_log;
    struct stdio_end end;
    struct delay *end_delay; /* before `end` is told */
    uint64_t started_ms;     /* monotonic */
    int pid;                 /* of the server; 0: not told */
    uint8_t open_handles;
    bool is_told; /* the end, to the owner */
    bool has_ended;
    bool has_keeper;
    bool is_leaving;
};

struct outgoing {
    uv_write_t request; /* first: a pointer to it is one to the whole */
    size_t size;
    char text[];
};

static unsigned leaving;

/* Of all processes: libuv gives what it has read to a callback before it reads more. */
static char read_buffer[STDIO_READ_SIZE];

static void finish(struct stdio_process *process);

/* --- ends --- */

/* Runs a handler. */
static void tell_end(struct stdio_process *process)
{
    delay_cancel(&process->end_delay);
    if (process->handlers == NULL || process->is_told)
        return;
    process->is_told = true;
    process->handlers->on_end(process->user, &process->end);
}

static void set_end(struct stdio_process *process, enum stdio_end_reason reason, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void set_end(struct stdio_process *process, enum stdio_end_reason reason, const char *format, ...)
{
    va_list arguments;
    process->end.reason = reason;
    va_start(arguments, format);
    vsnprintf(process->end.text, sizeof(process->end.text), format, arguments);
    va_end(arguments);
}

static void on_end_due(void *user)
{
    struct stdio_process *process = user;
    process->end_delay = NULL;
    tell_end(process);
}

/* Tells it after `ms`, unless an exit is told before. */
static void end_later(struct stdio_process *process, uint64_t ms, const char *text)
{
    if (process->handlers == NULL || process->is_told || process->end_delay != NULL)
        return;
    set_end(process, STDIO_BROKEN, "%s", text);
    if (delay_start(process->loop, ms, on_end_due, process, &process->end_delay) != 0)
        process->end_delay = NULL; /* then its exit is waited for */
}

/* --- what the keeper tells --- */

static void on_started(struct stdio_process *process, int pid)
{
    process->pid = pid;
    log_info("stdio.started", LOG_TEXT("server", process->server), LOG_TEXT("command", process->name),
             LOG_I64("server_pid", pid));
}

static void on_not_started(struct stdio_process *process, const char *what, int error)
{
    process->has_ended = true;
    set_end(process, STDIO_NOT_STARTED, "%s: %s", what, strerror(error));
    tell_end(process);
}

static void on_no_command(struct stdio_process *process, int error)
{
    char what[NAME_SIZE + 32];
    snprintf(what, sizeof(what), "command %s", process->name);
    on_not_started(process, what, error);
}

static void on_ended(struct stdio_process *process, int status)
{
    if (process->has_ended)
        return;
    process->has_ended = true;
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        set_end(process, STDIO_EXITED, "killed by SIG%s", name != NULL ? name : "?");
    } else {
        set_end(process, STDIO_EXITED, "exited with code %d", WEXITSTATUS(status));
    }
    log_info("stdio.ended", LOG_TEXT("server", process->server), LOG_I64("server_pid", process->pid),
             LOG_TEXT("how", process->end.text), LOG_U64("uptime_ms", clock_mono_ms() - process->started_ms));
    tell_end(process);
}

/* May run a handler. */
static void on_report(struct stdio_process *process, const struct keeper_report *report)
{
    if (report->news == KEEPER_STARTED)
        on_started(process, report->value);
    else if (report->news == KEEPER_NO_FOLDER)
        on_not_started(process, "cwd", report->value);
    else if (report->news == KEEPER_NO_COMMAND)
        on_no_command(process, report->value);
    else if (report->news == KEEPER_ENDED)
        on_ended(process, report->value);
}

/* Each report was sent, and so is read, whole. May run a handler. */
static void on_reports(struct stdio_process *process, const char *bytes, size_t size)
{
    struct keeper_report report;
    for (size_t at = 0; at + sizeof(report) <= size; at += sizeof(report)) {
        memcpy(&report, bytes + at, sizeof(report));
        on_report(process, &report);
    }
}

/* --- reading --- */

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)handle, (void)wanted;
    *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static bool on_line(void *user, const char *line, size_t size)
{
    struct stdio_process *process = user;
    const struct stdio_handlers *handlers = process->handlers;
    handlers->on_line(process->user, line, size);
    return process->handlers != NULL && !process->is_told;
}

static void on_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct stdio_process *process = stream->data;
    if (size < 0)
        end_later(process, PATIENCE_MS, "it closed its standard output");
    if (size <= 0 || process->handlers == NULL || process->is_told)
        return;
    int outcome = lines_feed(&process->lines, buf->base, (size_t)size, on_line, process);
    if (outcome != LINES_TOO_LONG && outcome != LINES_NO_MEMORY)
        return;
    if (outcome == LINES_TOO_LONG)
        set_end(process, STDIO_TOO_LONG, "a line of its standard output is longer than --max-line");
    else
        set_end(process, STDIO_NO_RESOURCES, "no memory");
    tell_end(process);
}

void stdio_process_hold(struct stdio_process *process, bool is_held)
{
    if (is_held)
        uv_read_stop((uv_stream_t *)&process->output);
    else
        uv_read_start((uv_stream_t *)&process->output, on_alloc, on_output);
}

static void on_errors(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct stdio_process *process = stream->data;
    if (size > 0)
        stdio_stderr_feed(&process->stderr_log, buf->base, (size_t)size);
}

/* Reads what is there without waiting for the loop. The size, or 0. */
static size_t read_rest(const uv_pipe_t *pipe, char *bytes, size_t room)
{
    uv_os_fd_t fd;
    if (uv_is_closing((const uv_handle_t *)pipe) || uv_fileno((const uv_handle_t *)pipe, &fd) != 0)
        return 0;
    ssize_t size = read(fd, bytes, room);
    return size > 0 ? (size_t)size : 0;
}

static void on_keeper_gone(struct stdio_process *process)
{
    if (!process->has_ended) {
        log_error("stdio.keeper_died", LOG_TEXT("server", process->server));
        process->has_ended = true;
        set_end(process, STDIO_EXITED, "its keeper died");
        tell_end(process);
    }
    process->has_keeper = false;
    if (process->handlers == NULL)
        finish(process);
}

static void on_leash(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    if (size > 0)
        on_reports(stream->data, buf->base, (size_t)size);
    else if (size < 0)
        on_keeper_gone(stream->data);
}

/* --- writing --- */

static void on_written(uv_write_t *request, int status)
{
    struct outgoing *outgoing = (struct outgoing *)request;
    if (status != 0 && status != UV_ECANCELED)
        end_later(request->data, PATIENCE_MS, "it closed its standard input");
    free(outgoing);
}

int stdio_process_write(struct stdio_process *process, const char *text)
{
    size_t size = strlen(text);
    uv_stream_t *input = (uv_stream_t *)&process->input;
    if (process->is_told || process->end_delay != NULL)
        return -EPIPE;
    if (uv_stream_get_write_queue_size(input) + size >= STDIO_QUEUE_MAX) {
        end_later(process, 0, "it does not read its standard input");
        return -EPIPE;
    }
    struct outgoing *outgoing = malloc(sizeof(*outgoing) + size + 1);
    if (outgoing == NULL)
        return -ENOMEM;
    memcpy(outgoing->text, text, size);
    outgoing->text[size] = '\n';
    outgoing->size = size + 1;
    outgoing->request.data = process;
    uv_buf_t buf = uv_buf_init(outgoing->text, (unsigned)outgoing->size);
    int result = uv_write(&outgoing->request, input, &buf, 1, on_written);
    if (result != 0)
        free(outgoing);
    return result == 0 || result == -ENOMEM ? result : -EPIPE;
}

/* --- birth --- */

/* Makes a pipe: one end is `ours`, open, the other one *theirs, which the caller closes. 0 or a negative errno. */
static int open_pipe(uv_pipe_t *ours, bool is_written, int *theirs)
{
    uv_file ends[2];
    int result = is_written ? uv_pipe(ends, 0, UV_NONBLOCK_PIPE) : uv_pipe(ends, UV_NONBLOCK_PIPE, 0);
    if (result != 0)
        return result;
    *theirs = ends[is_written ? 0 : 1];
    result = uv_pipe_open(ours, ends[is_written ? 1 : 0]);
    if (result != 0)
        close(ends[is_written ? 1 : 0]);
    return result;
}

static int open_leash(uv_pipe_t *ours, int *theirs)
{
    uv_os_sock_t ends[2];
    int result = uv_socketpair(SOCK_STREAM, 0, ends, UV_NONBLOCK_PIPE, 0);
    if (result != 0)
        return result;
    *theirs = ends[1];
    result = uv_pipe_open(ours, ends[0]);
    if (result != 0)
        close(ends[0]);
    return result;
}

static int start(struct stdio_process *process, const struct server_def *def)
{
    int theirs[KEEPER_FD + 1] = {-1, -1, -1, -1};
    int result = open_pipe(&process->input, true, &theirs[STDIN_FILENO]);
    if (result == 0)
        result = open_pipe(&process->output, false, &theirs[STDOUT_FILENO]);
    if (result == 0)
        result = open_pipe(&process->errors, false, &theirs[STDERR_FILENO]);
    if (result == 0)
        result = open_leash(&process->leash, &theirs[KEEPER_FD]);
    if (result == 0)
        result = spawner_request(theirs);
    for (size_t i = 0; i < ARRAY_LENGTH(theirs); i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    return result == 0 ? stdio_order_send(&process->leash, def) : result;
}

static struct stdio_process *create(uv_loop_t *loop, const struct server_def *def, size_t line_max)
{
    struct stdio_process *process = calloc(1, sizeof(*process));
    if (process == NULL)
        return NULL;
    process->server = strdup(def->id);
    if (process->server == NULL || stdio_stderr_init(&process->stderr_log, loop, process->server, def) != 0) {
        free(process->server);
        free(process);
        return NULL;
    }
    uv_pipe_t *const pipes[PIPES] = {&process->input, &process->output, &process->errors, &process->leash};
    for (size_t i = 0; i < PIPES; i++) {
        uv_pipe_init(loop, pipes[i], 0);
        pipes[i]->data = process;
    }
    process->loop = loop;
    process->open_handles = PIPES;
    process->started_ms = clock_mono_ms();
    server_def_origin(def, process->name, sizeof(process->name));
    lines_init(&process->lines, line_max, LINES_REFUSE);
    return process;
}

int stdio_process_start(uv_loop_t *loop, const struct server_def *def, size_t line_max,
                        const struct stdio_handlers *handlers, void *user, struct stdio_process **out)
{
    struct stdio_process *process = create(loop, def, line_max);
    if (process == NULL)
        return -ENOMEM;
    int result = start(process, def);
    if (result != 0) {
        log_error("stdio.not_started", LOG_TEXT("server", process->server), LOG_TEXT("error", uv_strerror(result)));
        finish(process);
        return result;
    }
    process->has_keeper = true;
    process->handlers = handlers;
    process->user = user;
    uv_read_start((uv_stream_t *)&process->output, on_alloc, on_output);
    uv_read_start((uv_stream_t *)&process->errors, on_alloc, on_errors);
    uv_read_start((uv_stream_t *)&process->leash, on_alloc, on_leash);
    *out = process;
    return 0;
}

/* --- death --- */

static void on_closed(uv_handle_t *handle)
{
    struct stdio_process *process = handle->data;
    if (--process->open_handles > 0)
        return;
    if (process->is_leaving)
        leaving--;
    lines_fini(&process->lines);
    free(process->server);
    free(process);
}

static void close_handle(void *handle)
{
    if (uv_handle_get_type(handle) != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* What the server wrote last is in its pipe still, and is often why it ended. */
static void read_last_errors(struct stdio_process *process)
{
    char bytes[LAST_ERRORS_SIZE];
    for (int rounds = LAST_ERRORS_ROUNDS; rounds > 0; rounds--) {
        size_t size = read_rest(&process->errors, bytes, sizeof(bytes));
        if (size == 0)
            break;
        stdio_stderr_feed(&process->stderr_log, bytes, size);
    }
    stdio_stderr_fini(&process->stderr_log);
}

/* There is no keeper any more, or never was. */
static void finish(struct stdio_process *process)
{
    read_last_errors(process);
    close_handle(&process->input);
    close_handle(&process->output);
    close_handle(&process->errors);
    close_handle(&process->leash);
}

/* For the keeper, which then kills at once; its own end is still to be read. */
static void end_leash(struct stdio_process *process)
{
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&process->leash, &fd) == 0)
        shutdown(fd, SHUT_WR);
}

void stdio_process_close(struct stdio_process **process)
{
    if (*process == NULL)
        return;
    struct stdio_process *old = *process;
    *process = NULL;
    delay_cancel(&old->end_delay);
    stdio_process_hold(old, false); /* lest it should wait for a reader and not hear that it shall end */
    old->handlers = NULL;
    old->is_leaving = true;
    leaving++;
    if (!old->has_keeper) {
        finish(old);
        return;
    }
    close_handle(&old->input);
    uv_buf_t in_order = uv_buf_init((char[]){'.'}, 1);
    if (old->has_ended || uv_try_write((uv_stream_t *)&old->leash, &in_order, 1) != 1)
        end_leash(old);
}

unsigned stdio_process_leaving(void)
{
    return leaving;
}
