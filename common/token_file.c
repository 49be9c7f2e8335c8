/* SPDX-License-Identifier: MIT */
/* Tokens from files. A token is one line of visible ASCII, 16 to 256 bytes: short enough to be compared whole, long
 * enough not to be guessed. It is never logged and never repeated in an error. */
#include "common/token_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The first line without its end, as far as it fits; false when nothing could be read, errno says why. */
static bool read_line(const char *path, struct token *out, bool *more)
{
    char bytes[TOKEN_SIZE + 2]; /* a whole token, its line break, and one more */
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    bool good = ferror(file) == 0;
    int error = errno;
    fclose(file);
    errno = error;
    if (size > 0 && bytes[size - 1] == '\n')
        size--;
    *more = size >= TOKEN_SIZE;
    *out = (struct token){{0}};
    memcpy(out->text, bytes, *more ? TOKEN_SIZE - 1 : size);
    explicit_bzero(bytes, sizeof(bytes));
    return good;
}

int token_file_read(const char *path, struct token *out, char why[TOKEN_FILE_WHY_SIZE])
{
    struct token token = {{0}};
    bool more = false;
    if (!read_line(path, &token, &more)) {
        snprintf(why, TOKEN_FILE_WHY_SIZE, "%.100s: %s", path, strerror(errno));
        return 1;
    }
    size_t size = strlen(token.text);
    bool visible = true;
    for (size_t i = 0; i < size; i++)
        visible = visible && token.text[i] > ' ' && token.text[i] <= '~';
    if (more || !visible || size < TOKEN_MIN) {
        snprintf(why, TOKEN_FILE_WHY_SIZE, "%.60s: must be one line of %d to %d letters, digits and signs", path,
                 TOKEN_MIN, TOKEN_SIZE - 1);
        return 1;
    }
    *out = token;
    return 0;
}

bool token_matches(const struct token *token, const char *text)
{
    struct token given = {{0}};
    size_t size = strnlen(text, sizeof(given.text));
    unsigned char differs = size >= sizeof(given.text);
    memcpy(given.text, text, size < sizeof(given.text) ? size : sizeof(given.text) - 1);
    for (size_t i = 0; i < sizeof(given.text); i++)
        differs |= (unsigned char)(given.text[i] ^ token->text[i]);
    explicit_bzero(&given, sizeof(given));
    return differs == 0;
}
