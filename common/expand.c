/* SPDX-License-Identifier: MIT */
/* Replacement of ${NAME} and ${file:PATH}. A variable that is not set and a file that can't be read are errors, not
 * empty texts: a server asked without its token would answer "unauthorized", and nobody would know why. A `$` that
 * begins none of the three forms stands for itself, since passwords have them. */
#include "common/expand.h"

#include "common/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool append(struct buf *out, const void *bytes, size_t size, char *error)
{
    int outcome = buf_append(out, bytes, size);

    if (outcome != 0)
        snprintf(error, EXPAND_ERROR_SIZE, outcome == BUF_FULL ? "is longer than 256 KiB" : "no memory");
    return outcome == 0;
}

/* Appends the whole content; at most EXPAND_FILE_MAX bytes. 0 or a negative errno. */
static int read_small(int fd, struct buf *content)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    for (;;) {
        char chunk[4096];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 0;
        int outcome = buf_append(content, chunk, (size_t)got);
        if (outcome != 0)
            return outcome == BUF_FULL ? -EFBIG : -ENOMEM;
    }
}

static size_t without_line_break(const struct buf *content)
{
    size_t size = content->size;

    if (size > 0 && content->bytes[size - 1] == '\n')
        size--;
    if (size < content->size && size > 0 && content->bytes[size - 1] == '\r')
        size--;
    return size;
}

static bool append_file(struct buf *out, const char *path, char *error)
{
    struct buf content;
    bool ok = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    int result = fd < 0 ? -errno : 0;

    buf_init(&content, EXPAND_FILE_MAX);
    if (result == 0)
        result = read_small(fd, &content);
    if (result == -EFBIG)
        snprintf(error, EXPAND_ERROR_SIZE, "${file:%.160s} is larger than 64 KiB", path);
    else if (result == -EINVAL)
        snprintf(error, EXPAND_ERROR_SIZE, "${file:%.160s} is no regular file", path);
    else if (result != 0)
        snprintf(error, EXPAND_ERROR_SIZE, "${file:%.160s} can't be read: %s", path, strerror(-result));
    else if (memchr(buf_text(&content), '\0', content.size) != NULL)
        snprintf(error, EXPAND_ERROR_SIZE, "${file:%.160s} has a NUL character", path);
    else
        ok = append(out, buf_text(&content), without_line_break(&content), error);
    buf_fini(&content);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool is_variable_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    return name[0] != '\0' && (name[0] < '0' || name[0] > '9') && name[strspn(name, allowed)] == '\0';
}

/* `inner` is what stands between the brackets. */
static bool append_reference(struct buf *out, const char *inner, char *error)
{
    if (strncmp(inner, "file:", 5) == 0)
        return append_file(out, inner + 5, error);
    if (!is_variable_name(inner)) {
        snprintf(error, EXPAND_ERROR_SIZE, "${…} must hold the name of a variable or file:PATH ($${ stands for ${)");
        return false;
    }

    const char *value = getenv(inner);
    if (value == NULL) {
        snprintf(error, EXPAND_ERROR_SIZE, "the environment has no variable %.160s", inner);
        return false;
    }
    return append(out, value, strlen(value), error);
}

/* `at` is behind "${"; *end will be behind "}". */
static bool expand_reference(struct buf *out, const char *at, const char **end, char *error)
{
    const char *bracket = strchr(at, '}');

    if (bracket == NULL) {
        snprintf(error, EXPAND_ERROR_SIZE, "${ without its } ($${ stands for ${)");
        return false;
    }
    char *inner = strndup(at, (size_t)(bracket - at));
    if (inner == NULL) {
        snprintf(error, EXPAND_ERROR_SIZE, "no memory");
        return false;
    }
    bool ok = append_reference(out, inner, error);
    free(inner);
    *end = bracket + 1;
    return ok;
}

char *expand_text(const char *text, char error[EXPAND_ERROR_SIZE])
{
    struct buf out;
    bool ok = true;

    buf_init(&out, EXPAND_SIZE_MAX);
    while (ok && *text != '\0') {
        if (strncmp(text, "$${", 3) == 0) {
            ok = append(&out, "${", 2, error);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            ok = expand_reference(&out, text + 2, &text, error);
        } else {
            size_t plain = 1 + strcspn(text + 1, "$");
            ok = append(&out, text, plain, error);
            text += plain;
        }
    }

    char *result = ok ? strdup(buf_text(&out)) : NULL;
    if (ok && result == NULL)
        snprintf(error, EXPAND_ERROR_SIZE, "no memory");
    buf_fini(&out);
    return result;
}
