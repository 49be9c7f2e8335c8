/* SPDX-License-Identifier: MIT */
/* Questions to the hub and its answers, as values and as bytes: the one place that knows the frame around them, used by
 * the hub and by the command line. What stands inside `args` and `data` is the business of the command.
 *
 * Either side may be anybody who can open the socket, so a frame that does not fit is an outcome: the hub answers it
 * with an error, the command line says that this is no broker. */
#include "common/question.h"

#include "common/pack.h"

#include <stdbool.h>

/* Small numbers are one byte in msgpack, and so is this. */
enum { MSGPACK_TRUE = 0xc3 };

const char *question_error_code(enum question_error error)
{
    static const char *const codes[] = {"ok",
#define X(symbol, code, meaning) code,
                                        QUESTION_ERRORS(X)
#undef X
    };
    return (size_t)error < ARRAY_LENGTH(codes) ? codes[error] : "unknown";
}

/* Writes and releases `frame`, which is NULL when there was no memory for it. */
static int write_frame(struct buf *out, json_t *frame)
{
    if (frame == NULL)
        return BUF_NO_MEMORY;
    int result = pack_write(out, frame);
    json_decref(frame);
    return result;
}

/* A new reference, or NULL when the bytes are no frame of our version. */
static json_t *read_frame(const void *bytes, size_t size)
{
    json_t *frame = pack_read(bytes, size);
    const json_t *version = json_object_get(frame, "v");

    if (json_is_integer(version) && json_integer_value(version) == QUESTION_VERSION)
        return frame;
    json_decref(frame);
    return NULL;
}

int question_write(struct buf *out, const char *cmd, json_t *args)
{
    json_t *part = args != NULL ? json_incref(args) : json_object();

    /* `o` takes the reference, also when it fails. */
    return write_frame(out, json_pack("{s:i, s:s, s:o}", "v", QUESTION_VERSION, "cmd", cmd, "args", part));
}

/* Whether the frame has this member, and it is this one byte. */
static bool has_byte(const void *bytes, size_t size, const char *key, unsigned char byte)
{
    size_t length = 0;
    const unsigned char *value = pack_member(bytes, size, key, &length);

    return value != NULL && length == 1 && value[0] == byte;
}

static int read_refusal(const void *bytes, size_t size, json_t **code, json_t **message)
{
    json_t *frame = read_frame(bytes, size);
    const json_t *error = json_object_get(frame, "error");
    json_t *got_code = json_object_get(error, "code");
    json_t *got_message = json_object_get(error, "message");
    int result = 2;

    if (json_is_false(json_object_get(frame, "ok")) && json_is_string(got_code) && json_is_string(got_message)) {
        *code = json_incref(got_code);
        *message = json_incref(got_message);
        result = 1;
    }
    json_decref(frame);
    return result;
}

/* An answer may be large, so what is data in it is pointed at, and read by who wants it. */
int question_read_answer(const void *bytes, size_t size, const void **data, size_t *data_size, json_t **code,
                         json_t **message)
{
    const void *found = pack_member(bytes, size, "data", data_size);

    if (found == NULL || !has_byte(bytes, size, "v", QUESTION_VERSION) || !has_byte(bytes, size, "ok", MSGPACK_TRUE))
        return read_refusal(bytes, size, code, message);
    *data = found;
    return 0;
}

int question_read(const void *bytes, size_t size, json_t **cmd, json_t **args)
{
    json_t *frame = read_frame(bytes, size);
    json_t *got_cmd = json_object_get(frame, "cmd");
    json_t *got_args = json_object_get(frame, "args");
    bool is_question = json_is_string(got_cmd) && json_is_object(got_args);

    if (is_question) {
        *cmd = json_incref(got_cmd);
        *args = json_incref(got_args);
    }
    json_decref(frame);
    return is_question ? 0 : 1;
}

int question_write_data(struct buf *out, json_t *data)
{
    return write_frame(out, json_pack("{s:i, s:b, s:O}", "v", QUESTION_VERSION, "ok", 1, "data", data));
}

int question_write_error(struct buf *out, enum question_error error, const char *message)
{
    return write_frame(out, json_pack("{s:i, s:b, s:{s:s, s:s}}", "v", QUESTION_VERSION, "ok", 0, "error", "code",
                                      question_error_code(error), "message", message));
}
