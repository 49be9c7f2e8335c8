/* SPDX-License-Identifier: MIT */
/* A file with one bearer token: what whoever asks must show. */
#ifndef COMMON_TOKEN_FILE_H
#define COMMON_TOKEN_FILE_H

#include "common/compiler.h"

#include <stdbool.h>

enum { TOKEN_SIZE = 257, TOKEN_MIN = 16, TOKEN_FILE_WHY_SIZE = 160 };

/* The rest is zero, so that comparing can look at all of it. */
struct token {
    char text[TOKEN_SIZE];
};

/* Reads the file's only line. 0; or 1 when there is no such token, `why` then says so, without any of it. */
MUST_CHECK int token_file_read(const char *path, struct token *out, char why[TOKEN_FILE_WHY_SIZE]);

/* Whether `text` is the token, in a time that does not tell how much of it is right. */
bool token_matches(const struct token *token, const char *text);

#endif
