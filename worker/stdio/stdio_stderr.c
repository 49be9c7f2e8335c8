/* SPDX-License-Identifier: MIT */
/* Standard error is where servers of this kind log, and often the only place that says why one does not start. So it is
 * kept, but a server that writes without end must not bury everybody else's lines: hence the window, which begins with a
 * line and ends by a timer, so that the number of lines left out is told even when nothing follows. What is in a line is
 * the server's business, but for the credentials that it was given, which are covered; log.c escapes and cuts it. More of a
 * line is read than log.c keeps, lest half of a credential stand at the cut. The copy of the credentials is this file's,
 * because a server's last words are read when its definition may have gone. */
#include "worker/stdio/stdio_stderr.h"

#include "common/log.h"
#include "worker/mask.h"

#include <string.h>

enum { LINE_MAX_READ = 4096, SECRETS_MAX = 1024 * 1024 /* more than a definition may have */ };

int stdio_stderr_init(struct stdio_stderr *stream, uv_loop_t *loop, const char *server, const struct server_def *def)
{
    *stream = (struct stdio_stderr){.loop = loop, .server = server};
    lines_init(&stream->lines, LINE_MAX_READ, LINES_CUT);
    buf_init(&stream->secrets, SECRETS_MAX);
    int result = mask_copy(&(struct mask){.def = def}, &stream->secrets);
    if (result != 0)
        buf_fini(&stream->secrets);
    return result;
}

static void tell(const struct stdio_stderr *stream, const char *line, size_t size)
{
    char text[LINE_MAX_READ + 1];
    memcpy(text, line, size);
    text[size] = '\0';
    mask_text(&(struct mask){.copied = &stream->secrets}, text, size);
    log_info("stdio.stderr", LOG_TEXT("server", stream->server), LOG_TEXT("text", text));
}

static void end_window(struct stdio_stderr *stream)
{
    if (stream->left_out > 0)
        log_warn("stdio.stderr_left_out", LOG_TEXT("server", stream->server), LOG_U64("lines", stream->left_out));
    stream->told = 0;
    stream->left_out = 0;
}

static void on_window_over(void *user)
{
    struct stdio_stderr *stream = user;
    stream->window = NULL;
    end_window(stream);
}

static bool on_line(void *user, const char *line, size_t size)
{
    struct stdio_stderr *stream = user;
    if (size == 0)
        return true;
    if (stream->window == NULL &&
        delay_start(stream->loop, STDIO_STDERR_WINDOW_MS, on_window_over, stream, &stream->window) != 0)
        return true; /* without memory, silence */
    if (stream->told < STDIO_STDERR_LINES) {
        stream->told++;
        tell(stream, line, size);
    } else {
        stream->left_out++;
    }
    return true;
}

void stdio_stderr_feed(struct stdio_stderr *stream, const void *bytes, size_t size)
{
    if (lines_feed(&stream->lines, bytes, size, on_line, stream) != 0)
        lines_fini(&stream->lines); /* no memory: this line is lost */
}

void stdio_stderr_fini(struct stdio_stderr *stream)
{
    if (lines_end(&stream->lines, on_line, stream) == 0)
        end_window(stream);
    delay_cancel(&stream->window);
    lines_fini(&stream->lines);
    buf_fini(&stream->secrets);
}
